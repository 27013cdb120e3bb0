"""One model's versions and where each is in its life. It decides what is aspired and what comes next; others do it.

Files that change in place make a new edition of the version, which loads beside the old one and takes its place once it
answers: to the policy a change is a version like any other. Everything here belongs to the event loop and none of it
waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from service.application.online import Online
from service.application.ports import Listing
from service.domain.engines import EngineChoice
from service.domain.errors import ModelNotFound, NotReady, ServiceError, UnknownLabel
from service.domain.serving_config import Directed, Latest, Specific, VersionPolicy, applied_labels, aspired
from service.domain.versions import Load, ModelRef, Snapshot, Unload, VersionState, next_action

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
_NONE: Mapping[str, int] = {}


@dataclass(eq=False, slots=True)
class Edition:
    """One state of one version's files, and where it is in its life."""

    listing: Listing
    serial: int = 0
    state: VersionState = VersionState.NEW
    aspired: bool = True
    online: Online | None = None
    error: str | None = None
    failures: int = 0
    retry_at: float = 0.0

    @property
    def version(self) -> int:
        """Its number."""
        return self.listing.id.version

    def snapshot(self, now: float) -> Snapshot:
        """What the policy sees: one that failed is new again when it is due."""
        due = self.state is VersionState.FAILED and now >= self.retry_at
        return Snapshot(self.version, VersionState.NEW if due else self.state, self.aspired, self.serial)

    def went_live(self, online: Online) -> None:
        """It answers."""
        self.online, self.state, self.error, self.failures = online, VersionState.LIVE, None, 0

    def failed(self, error: Exception, now: float) -> str:
        """It does not, for this reason, and is to be tried again later, ever more rarely; the reason as a text."""
        self.state = VersionState.FAILED
        self.error = str(error) if isinstance(error, ServiceError) else f"unexpected: {error!r}"
        # The exponent is bounded too: a version may fail for days, and 2.0**1024 is not a number.
        self.retry_at = now + min(FIRST_RETRY_S * 2 ** min(self.failures, 10), LAST_RETRY_S)
        self.failures += 1
        return self.error


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version as an operator sees it."""

    version: int
    state: VersionState
    error: str | None
    """Why it does not answer, if so."""
    engine: str | None
    graph: str | None
    listing: Listing | None
    """Where it lies; None once it is gone."""
    warning: str | None = None
    """What is wrong with its files as they are now, although it answers."""
    engines: Mapping[str, EngineChoice] = field(default_factory=dict)
    """By signature of the graph behind it; empty while it is not live."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What ought to be served of one model, and what a look at its place found."""

    policy: VersionPolicy = Latest()
    labels: Mapping[str, int] = field(default_factory=lambda: _NONE)
    listings: Sequence[Listing] | None = ()
    """None when the place could not be read: what is live stays."""
    problem: str | None = None

    def same_as(self, other: Wish) -> bool:
        """Whether it says the same of the very same listings."""
        return self.listings is other.listings and (self.policy, self.labels, self.problem) == (
            other.policy,
            other.labels,
            other.problem,
        )


class ModelVersions:
    """One model."""

    __slots__ = ("_editions", "_found", "_serials", "_wanted", "_wish", "labels", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.labels: Mapping[str, int] = _NONE
        """Where each label points now."""
        self._editions: list[Edition] = []
        self._serials = count()
        self._wish = Wish()
        self._found: dict[int, Listing] = {}
        self._wanted: frozenset[int] = frozenset()

    @property
    def editions(self) -> Sequence[Edition]:
        """All there are, of every version."""
        return tuple(self._editions)

    @property
    def wish(self) -> Wish:
        """What was last wished for and found."""
        return self._wish

    # --- What is wanted -----------------------------------------------------------------------------------------------

    def aspire(self, wish: Wish) -> list[Edition]:
        """Take in what ought to be served; what is thereby forgotten without ever having answered."""
        self._wish = wish
        if wish.listings is None:
            return self.review()
        before, self._found = self._found, {listing.id.version: listing for listing in wish.listings}
        return self.review(before)

    def review(self, before: Mapping[int, Listing] | None = None) -> list[Edition]:
        """Decide anew what is aspired, after a look or when a version's state has changed; what is thereby forgotten.
        ``before`` is what the look before this one found, and absent when nobody has looked.
        """
        live, failed = self.live(), {one.version for one in self._editions if one.failures and one.online is None}
        self._wanted = wanted = aspired(self._wish.policy, self._found.keys(), live.keys(), failed)
        for number in sorted(wanted):
            self._take_up(self._found[number], before)
        newest = {one.version: one for one in self._editions}
        for one in self._editions:
            one.aspired = one.version in wanted and newest[one.version] is one
        forgotten = [
            one for one in self._editions if not one.aspired and one.state in (VersionState.NEW, VersionState.FAILED)
        ]
        for one in forgotten:
            self._editions.remove(one)
        self.point_labels()
        return forgotten

    def _take_up(self, listing: Listing, before: Mapping[int, Listing] | None) -> None:
        known = next((one for one in reversed(self._editions) if one.version == listing.id.version), None)
        if known is None:
            self._add(listing)
        elif _same_files(known.listing, listing):
            return
        elif known.state in (VersionState.NEW, VersionState.FAILED):
            # Its files changed since it was seen or failed: somebody is at work on it, no reason to wait.
            known.listing, known.retry_at = listing, 0.0
        elif known.state is VersionState.LIVE:
            last = before.get(listing.id.version) if before is not None else None
            # It answers well as it is: wait until nobody is at work on it any more, or take it from another place.
            if listing.directory != known.listing.directory or (last is not None and _same_files(last, listing)):
                self._add(listing)

    @property
    def unsteady(self) -> bool:
        """Whether there are files that may have to be loaded, should the next look find them as they are."""
        newest = {one.version: one for one in self._editions}
        return any(
            number in newest and not _same_files(newest[number].listing, self._found[number]) for number in self._wanted
        )

    def hasten(self) -> None:
        """Try what failed at once: what it lacked is there now."""
        for one in self._editions:
            one.retry_at = 0.0

    def _add(self, listing: Listing) -> None:
        self._editions.append(Edition(listing, next(self._serials)))

    def next(self, now: float) -> Load | Unload | None:
        """The one next step, if there is one."""
        return next_action([one.snapshot(now) for one in self._editions])

    def edition(self, step: Load | Unload) -> Edition:
        """What a step is about."""
        return next(one for one in self._editions if (one.version, one.serial) == (step.version, step.edition))

    def gone(self, edition: Edition) -> None:
        """It has been freed."""
        self._editions.remove(edition)
        self.point_labels()

    def point_labels(self) -> None:
        """Let every label point where it is wished to, as far as that answers now. Part of every swap."""
        self.labels = applied_labels(self._wish.labels, self.labels, self.live()) if self._wish.labels else _NONE

    # --- What there is ------------------------------------------------------------------------------------------------

    def live(self) -> dict[int, Online]:
        """What answers, by number: of each version the newest edition that does."""
        return {one.version: one.online for one in self._editions if one.state is VersionState.LIVE and one.online}

    def labelled(self, label: str) -> int:
        """The version a label stands for.

        Raises:
            UnknownLabel: nobody gave it.
            NotReady: the version is on its way.
            ModelNotFound: there is none such any more.
        """
        number = self.labels.get(label)
        if number is not None:
            return number
        wished = self._wish.labels.get(label)
        if wished is None:
            raise UnknownLabel(f"Unrecognized servable version label: {label}")
        if any(one.version == wished and one.aspired for one in self._editions):
            raise NotReady(f"label {label} stands for version {wished} of model {self.name}, which does not answer yet")
        raise ModelNotFound(f"Servable not found for request: {ModelRef(self.name, wished)}")

    def status(self) -> list[VersionStatus]:
        """Every version there is, newest first."""
        by_version: dict[int, list[Edition]] = {}
        for one in self._editions:
            by_version.setdefault(one.version, []).append(one)
        return [_status(editions) for _, editions in sorted(by_version.items(), reverse=True)]

    @property
    def untried(self) -> bool:
        """Whether there is a version that is wanted, does not answer and has not failed yet."""
        on_their_way = (VersionState.NEW, VersionState.LOADING, VersionState.DRAINING)
        live = self.live()
        return any(
            one.version in self._wanted - live.keys() and one.state in on_their_way and not one.failures
            for one in self._editions
        )

    @property
    def settled(self) -> bool:
        """Whether there is a verdict: something of it answers, or nothing there is can be made to. Where somebody said
        which versions answer whom, each of those was tried: until then another would stand in for it.
        """
        if isinstance(self._wish.policy, Directed):
            return not self.untried
        return bool(self.live()) or not self.untried

    @property
    def failure(self) -> str | None:
        """Why nothing of the model answers, once that is known."""
        if self.live() or not self.settled:
            return None
        told = [f"version: {one.version}: {one.error}" for one in reversed(self._editions) if one.error]
        return "; ".join(told) or self._wish.problem or "no version of it was found"

    @property
    def warnings(self) -> list[str]:
        """What an operator would want to know about the wish and how far it is from fulfilled."""
        told = [self._wish.problem] if self._wish.problem else []
        if isinstance(self._wish.policy, Specific):
            if not self._wish.policy.versions:
                told.append("the version policy names no version")
            absent = sorted(self._wish.policy.versions - self._found.keys())
            told += [f"version {number} was asked for and is not there" for number in absent]
        if isinstance(self._wish.policy, Directed):
            absent = sorted(self._wish.policy.versions - self._found.keys())
            told += [f"version {number} is named by the model's direction and is not there" for number in absent]
        for label, number in sorted(self._wish.labels.items()):
            if self.labels.get(label) != number:
                told.append(f"label {label} is for version {number}, which does not answer")
        return told


def _same_files(one: Listing, other: Listing) -> bool:
    return (one.directory, one.stamp) == (other.directory, other.stamp)


def _status(editions: Sequence[Edition]) -> VersionStatus:
    """One version, which its editions make up: what it is for callers, and what is wrong with its newest files."""
    shown = next((one for one in reversed(editions) if one.state is VersionState.LIVE), editions[-1])
    newest, online = editions[-1], shown.online
    return VersionStatus(
        version=shown.version,
        state=shown.state,
        error=shown.error,
        engine=online.shared.graph.engine if online else None,
        engines=online.shared.graph.choices if online else {},
        graph=online.shared.key if online else None,
        listing=shown.listing,
        warning=f"its changed files cannot be served: {newest.error}" if newest is not shown and newest.error else None,
    )
