"""Model versions: their names, their states, and the pure rules that say which ought to be live and what to do next.

The lifecycle is level-triggered. A repository repeats what is on disk, a policy says which versions that makes aspired,
and ``next_action`` maps the states of one model's versions to at most one step. Nobody commands a reload; a lost
notification, a crash or a repeated poll all heal at the next look.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.domain.errors import InvalidInput


@dataclass(frozen=True, slots=True, order=True)
class VersionId:
    """A model's name and a version number: the only identity of what is served."""

    model: str
    version: int

    def __str__(self) -> str:
        return f"{self.model}@{self.version}"


@dataclass(frozen=True, slots=True)
class ModelRef:
    """What a caller asks for: a model, and at most one of a version or a label; neither means the newest live one."""

    model: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.label is not None:
            raise InvalidInput("name a version or a label, not both")

    def __str__(self) -> str:
        """TF Serving's own wording, which its clients match on."""
        return f"Latest({self.model})" if self.version is None else f"Specific({self.model}, {self.version})"


class VersionState(StrEnum):
    """Where one version is in its life. It is LIVE only once it can answer, DRAINING before it no longer does.

    ENDED is the past: a version that is gone, remembered for whoever asks.
    """

    NEW = "new"
    LOADING = "loading"
    LIVE = "live"
    DRAINING = "draining"
    FAILED = "failed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, order=True)
class Snapshot:
    """One version as the policy sees it. Files changed in place are a new edition of the same version."""

    version: int
    state: VersionState
    aspired: bool
    edition: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """Make this version able to answer, then let it."""

    version: int
    edition: int = 0


@dataclass(frozen=True, slots=True)
class Unload:
    """Stop routing to this version, let it finish, free it."""

    version: int
    edition: int = 0


def next_action(versions: Sequence[Snapshot]) -> Load | Unload | None:
    """The one next step for one model, keeping it available throughout: load the new before unloading the old.

    Stateless and idempotent. A version that failed is not a candidate: its owner presents it as NEW when it is due to
    be tried again. While anything is loading, nothing else is started for this model. A version whose new edition is
    aspired but not live yet goes on in its old one. After TF Serving's ``AvailabilityPreservingPolicy``.
    """
    if any(v.state is VersionState.LOADING for v in versions):
        return None
    live = [v for v in versions if v.state is VersionState.LIVE]
    stale = [v for v in live if not v.aspired]
    fresh = [v for v in versions if v.aspired and v.state is VersionState.NEW]
    covered = len(live) > len(stale) or not any(v.aspired for v in versions)
    standing_in = _standing_in(versions, live)
    spare = [v for v in stale if v not in standing_in]
    if spare and (covered or len(stale) > 1):
        gone = min(spare)
        return Unload(gone.version, gone.edition)
    if not fresh:
        return None
    first = max(fresh)
    return Load(first.version, first.edition)


def _standing_in(versions: Sequence[Snapshot], live: Sequence[Snapshot]) -> set[Snapshot]:
    """Of each version that is aspired but does not answer yet, the newest edition that still does."""
    awaited = {v.version for v in versions if v.aspired and v.state is not VersionState.LIVE}
    editions = {v.version: v for v in sorted(live)}
    return {v for number, v in editions.items() if number in awaited}


def newest(versions: Iterable[int], count: int = 1) -> frozenset[int]:
    """The version policy ``latest(count)``, TF Serving's default: the ``count`` highest numbers there are."""
    return frozenset(sorted(versions)[-max(count, 1) :])


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the service as a whole may be sent requests, and if not, what it waits for."""

    ready: bool
    waiting: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What is not as it ought to be, though requests may be sent."""

    @property
    def reason(self) -> str:
        """One sentence for whoever asks."""
        return "; ".join(("ready", *self.notes) if self.ready else self.waiting)


def readiness(required: Collection[str], loading: Collection[str], live: Collection[str]) -> Readiness:
    """Ready means that every required model answers now or, where none is required by name, that no model is still
    on its way to its first verdict and at least one answers. A server with nothing to serve is not ready.
    """
    if required:
        waiting = tuple(f"model {name} is not live" for name in sorted(set(required)) if name not in live)
    elif not live:
        waiting = ("no model is live",)
    else:
        waiting = tuple(f"model {name} is loading" for name in sorted(loading))
    return Readiness(not waiting, waiting)
