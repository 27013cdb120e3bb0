"""Versions that are compared with the stable one, or on trial beside it: watched, judged, taken back where bad.

Every replica watches what it answers itself and may end a trial by what it has seen; the direction in the store is
changed once, whoever is first. What was seen begins anew when somebody changes what is compared.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from service.application.comparing import Comparison, Placed
from service.application.directing import Directing
from service.application.grafts import HeadEndpoints
from service.application.online import Online
from service.application.ports import Clock, DirectionObserver
from service.application.registry import Registry
from service.domain.direction import Direction
from service.domain.disagreement import incomparable
from service.domain.errors import ServiceError
from service.domain.probation import Judgement, Seen, Verdict, judged

log = logging.getLogger(__name__)
EVERY_S = 0.25
WATCH = "the watch over canaries"
"""Who changes directions here."""


@dataclass(slots=True)
class Trial:
    """What is compared with one model's stable version, and what was seen of it."""

    direction: Direction
    stable: int
    seen: Mapping[int, Seen]
    """By version; the stable one's beside the others'."""
    incomparable: dict[int, str] = field(default_factory=dict)
    """Why versions are not compared row by row."""
    _comparison: Comparison | None = None
    _on: tuple[int, ...] = ()
    """The versions in memory, by identity, that it was set up with."""

    def same_as(self, direction: Direction, stable: int | None) -> bool:
        """Whether this is what is asked for still: other labels change nothing."""
        mine, asked = self.direction, direction
        return self.stable == stable and (mine.canary, mine.compared) == (asked.canary, asked.compared)

    def set_up(self, online: Mapping[int, Online]) -> None:
        """Watch the versions that are in memory now."""
        there = {version: online[version] for version in sorted(self.seen) if version in online}
        on = tuple(id(one) for one in there.values())
        if on == self._on:
            return
        self._on = on
        for version, one in there.items():
            one.watched = self.seen[version]
        self._compare(there)

    def _compare(self, there: Mapping[int, Online]) -> None:
        """Hold against the stable head all that can be."""
        self._comparison, self.incomparable = None, {}
        stable = there.get(self.stable)
        heads: dict[int, Placed] = {}
        for version in self.seen.keys() - {self.stable}:
            why = _why_not(stable, there.get(version))
            if why is None:
                heads[version] = _placed(there[version])
            else:
                self.incomparable[version] = why
        if stable is not None and isinstance(stable.endpoints, HeadEndpoints):
            self._comparison = Comparison(_placed(stable), heads) if heads else None
            stable.endpoints.shown = self._comparison.offer if self._comparison else None

    async def compare(self) -> Mapping[int, tuple[int, int]]:
        """Note what was compared since the last look; the same, by version."""
        comparison = self._comparison
        taken = comparison.taken() if comparison is not None else ()
        if comparison is not None and comparison.problem is not None:
            self.incomparable.update(dict.fromkeys(comparison.others, comparison.problem))
        if comparison is None or not taken:
            return {}
        found = await asyncio.to_thread(comparison.differences, taken)
        for version, (rows, differed) in found.items():
            self.seen[version].saw_compared(rows, differed)
        return found

    def judged(self) -> Judgement:
        """What becomes of the canary, if there is one."""
        canary = self.direction.canary
        if canary is None:
            return Judgement(Verdict.GOES_ON)
        return judged(canary, self.seen[self.stable], self.seen[canary.version])

    def end(self, online: Mapping[int, Online]) -> None:
        """Nobody wants to know any more."""
        for version, one in online.items():
            if one.watched is self.seen.get(version):
                one.watched = None
            if version == self.stable and isinstance(one.endpoints, HeadEndpoints):
                one.endpoints.shown = None


def _placed(online: Online) -> Placed:
    assert isinstance(online.endpoints, HeadEndpoints), "only heads are compared"
    return Placed(online.endpoints.head, online.endpoints.cut)


def _why_not(stable: Online | None, other: Online | None) -> str | None:
    if stable is None or other is None:
        return f"the {'stable' if stable is None else 'compared'} version does not answer now"
    if not isinstance(stable.endpoints, HeadEndpoints) or not isinstance(other.endpoints, HeadEndpoints):
        return "it is not a head on a base that both share"
    if stable.shared is not other.shared:
        return "it is a head on another base"
    return incomparable(stable.endpoints.head, other.endpoints.head)


class Probations:
    """All trials of one process."""

    def __init__(self, models: Registry, directing: Directing, observer: DirectionObserver, clock: Clock) -> None:
        self._models, self._directing, self._observer, self._clock = models, directing, observer, clock
        self._trials: dict[str, Trial] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(EVERY_S)

    def of(self, model: str) -> Trial | None:
        """What is compared of a model now."""
        return self._trials.get(model)

    async def look(self) -> None:
        """Take in what is asked for and what was seen; act on it."""
        directions = self._directing.directions.now()
        for model in self._trials.keys() - directions.keys():
            self._end(model)
        for model, direction in directions.items():
            if direction.compared:
                await self._go_on(model, direction)
            elif model in self._trials:
                self._end(model)

    async def _go_on(self, model: str, direction: Direction) -> None:
        trial, stable = self._trials.get(model), direction.stable
        if stable is None and (answering := self._models.live_listing(model)) is not None:
            stable = answering.id.version
        if trial is None or not trial.same_as(direction, stable):
            self._end(model)
            if stable is None:
                return
            seen = {version: Seen() for version in (direction.compared | {stable})}
            trial = self._trials[model] = Trial(direction, stable, seen)
        trial.set_up(self._models.online(model))
        for version, (rows, differed) in (await trial.compare()).items():
            self._observer.compared(model, version, rows, differed)
        await self._act(model, trial)

    async def _act(self, model: str, trial: Trial) -> None:
        judgement, canary = trial.judged(), trial.direction.canary
        if judgement.verdict is Verdict.GOES_ON or canary is None:
            return
        why = "; ".join(judgement.reasons)
        # Of the revision that was watched: who changed it meanwhile knows something else.
        revision = self._directing.directions.of(model).revision
        try:
            if self._directing.directions.of(model).canary != canary:
                return
            if judgement.verdict is Verdict.PROMOTED:
                await self._directing.promote(model, canary.version, WATCH, why, revision)
            else:
                await self._directing.roll_back(model, WATCH, why, revision)
                self._observer.taken_back(model, canary.version)
        except ServiceError as error:
            log.warning("model %s: canary %s: not acted yet: %s", model, canary.version, error)

    def _end(self, model: str) -> None:
        trial = self._trials.pop(model, None)
        if trial is not None:
            trial.end(self._models.online(model))
