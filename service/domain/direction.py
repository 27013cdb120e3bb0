"""Who is answered by which version of a model: an operator's word, as one value that every replica reads alike.

Without one the newest version that answers does, as in TF Serving. With one a version that is published changes nothing
by itself: it is promoted, given a share of the requests first, or only compared. ``direction_changes`` makes the next
value from the one before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from service.domain.errors import InvalidInput, NotReady

STABLE, CANARY = "stable", "canary"
"""Labels that say themselves where they point."""


@dataclass(frozen=True, slots=True)
class Share:
    """A version, and its weight beside the others' of its split.

    Raises:
        InvalidInput: it is no version's number, or the weight is not a positive number.
    """

    version: int
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.version < 0:
            raise InvalidInput(f"{self.version} is no version")
        if not 0 < self.weight < float("inf"):
            raise InvalidInput(f"the weight of version {self.version} has to be a positive number, not {self.weight}")


Split = tuple[Share, ...]
"""Requests divided among versions; of one version, all are its."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much worse than the stable version a canary may be before it is taken back. All shares are of 1."""

    more_errors: float = 0.02
    """By so much its share of requests that the model failed may be higher."""
    slower: float = 2.0
    """So many times the stable version's p95 its own may be."""
    disagreement: float = 0.5
    """On so many of the rows both were given their best class may differ: a better version differs too."""

    def __post_init__(self) -> None:
        if not 0 <= self.more_errors < 1 or not 0 < self.disagreement <= 1 or not 1 <= self.slower < float("inf"):
            raise InvalidInput(
                "a canary's limits are more_errors from 0 to 1, slower of at least 1, disagreement above 0 and up to 1"
            )


@dataclass(frozen=True, slots=True)
class Canary:
    """A version on probation: a share of the requests, until it is promoted or taken back."""

    version: int
    percent: float
    limits: Limits = Limits()
    promote_after: int | None = None
    """Promoted by itself after so many requests within its limits; None, when somebody says so."""

    def __post_init__(self) -> None:
        if not 0 < self.percent < 100:
            raise InvalidInput(
                f"a canary has more than 0 and less than 100 percent of the requests, not {self.percent}"
            )
        if self.promote_after is not None and self.promote_after < 1:
            raise InvalidInput("a canary is promoted after at least one request")


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to a direction."""

    at: float
    """Seconds since the epoch."""
    what: str
    by: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Direction:
    """One model's. ``stable`` answers whoever names neither version nor label, but for the canary's share."""

    stable: int | None = None
    """None is whatever is newest."""
    canary: Canary | None = None
    shadows: tuple[int, ...] = ()
    """Versions that are compared with the stable one on its own requests, and answer nobody who does not name them."""
    labels: Mapping[str, Split] = field(default_factory=dict)
    before: tuple[int, ...] = ()
    """What was stable earlier, the last one last."""
    changes: tuple[Change, ...] = ()
    revision: int = 0

    @property
    def wanted(self) -> frozenset[int]:
        """The versions that have to be live for it; the one to go back to is kept ready too."""
        shares = (share.version for split in self.labels.values() for share in split)
        stable = () if self.stable is None else (self.stable, *self.before[-1:])
        canary = () if self.canary is None else (self.canary.version,)
        return frozenset({*stable, *canary, *self.shadows, *shares})

    @property
    def compared(self) -> frozenset[int]:
        """The versions that are compared with the stable one."""
        return frozenset(self.shadows if self.canary is None else (*self.shadows, self.canary.version))

    def split(self, label: str | None = None) -> Split | None:
        """Who answers requests under this label, or under none; None where nothing was said about that."""
        if label == CANARY:
            return None if self.canary is None else (Share(self.canary.version),)
        if label is not None and label != STABLE:
            return self.labels.get(label)
        if self.stable is None:
            return None
        if self.canary is None or label == STABLE:
            return (Share(self.stable),)
        return (Share(self.stable, 100 - self.canary.percent), Share(self.canary.version, self.canary.percent))


DirectionByModel = Mapping[str, Direction]
NOBODY: DirectionByModel = {}
"""Where nothing was said of any model."""


def chosen(split: Split, live: Collection[int], point: float) -> int | None:
    """The version for a request at ``point``, from 0 up to 1, of those in the split that answer; None when none does.

    The shares of versions that do not answer are divided among those that do, by their weights.
    """
    able = [share for share in split if share.version in live]
    left = point * sum(share.weight for share in able)
    for share in able:
        left -= share.weight
        if left < 0:
            return share.version
    return able[-1].version if able else None


def answering(direction: Direction, label: str | None, live: Collection[int], point: float) -> int | None:
    """The version for a request at ``point``, from 0 up to 1, under a label or under none; None where nothing was said
    about that or, without a label, nothing of what was said answers: then something is better than nothing.

    Raises:
        NotReady: what the label stands for does not answer.
    """
    split = direction.split(label)
    if split is None:
        return None
    number = chosen(split, live, point)
    if number is None and label is not None:
        raise NotReady(f"no version that label {label} stands for answers now")
    if number is None:
        # What was promoted is on its way, or lost: who answered before goes on.
        number = next((one for one in reversed(direction.before) if one in live), None)
    return number
