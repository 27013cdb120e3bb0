"""What a job will take, judged by what earlier jobs on the same base took, phase by phase.

A phase that looks at the items takes at least as long as it did for fewer, and at most in proportion longer; for fewer
items the other way round. The other phases take what they took. So one earlier job gives a range, narrow where it had
about as many items, and several give the range that holds all of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.domain.errors import ServiceError
from service.domain.jobs import PHASES, TERMINAL_EVENTS, JobEvent, JobState

_MOST_USED = 3
_STARTING = "start"
_OF_ITEMS = frozenset(PHASES[: PHASES.index("export")])


@dataclass(frozen=True, slots=True)
class Precedent:
    """A job that has succeeded: how many items it had, seconds by phase, and whether it was asked for alike."""

    job_id: str
    items: int
    seconds: Mapping[str, float]
    alike: bool


@dataclass(frozen=True, slots=True)
class Seconds:
    """A range, from a trainer's start to its end, and the jobs it comes from."""

    low: float
    high: float
    of: Sequence[str]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a job that was not asked for yet."""

    refusals: Sequence[ServiceError]
    """Everything that stands against it as things are now; empty, it would be accepted."""
    items: int | None
    seconds: Seconds | None
    queued: int
    running: int

    @property
    def queue_position(self) -> int:
        """Where it would stand in the queue, 1 being next, at the latest: those of lower priority stand behind it."""
        return self.queued + 1


def phase_seconds(history: Sequence[JobEvent]) -> Mapping[str, float] | None:
    """Seconds a job spent in each phase, and in starting; None where it was interrupted or is not whole."""
    starts = [event for event in history if event.type == f"job.{JobState.VALIDATING}"]
    if len(starts) != 1 or history[-1].type not in TERMINAL_EVENTS:
        return None
    marks = [(_STARTING, starts[0].time)]
    marks += [(str(event.data.get("phase")), event.time) for event in history if event.type == "job.phase"]
    ends = [time for _, time in marks[1:]] + [history[-1].time]
    seconds = dict.fromkeys((name for name, _ in marks), 0.0)
    for (name, begun), ended in zip(marks, ends, strict=True):
        seconds[name] += max(0.0, ended - begun)
    return seconds


def expected_seconds(items: int, precedents: Sequence[Precedent]) -> Seconds | None:
    """What a job of so many items will take; None, nothing is known. Of jobs that were asked for alike, if there are
    any, the few that are nearest in size count.
    """
    known = [one for one in precedents if one.items > 0] if items > 0 else []
    alike = [one for one in known if one.alike] or known
    nearest = sorted(alike, key=lambda one: abs(math.log(items / one.items)))[:_MOST_USED]
    if not nearest:
        return None
    ranges = [_range(items / one.items, one.seconds) for one in nearest]
    return Seconds(min(low for low, _ in ranges), max(high for _, high in ranges), [one.job_id for one in nearest])


def _range(ratio: float, seconds: Mapping[str, float]) -> tuple[float, float]:
    fixed = sum(took for phase, took in seconds.items() if phase not in _OF_ITEMS)
    growing = sum(took for phase, took in seconds.items() if phase in _OF_ITEMS)
    return fixed + growing * min(1.0, ratio), fixed + growing * max(1.0, ratio)
