"""What earlier jobs say of a later one."""

from __future__ import annotations

import pytest

from service.domain.estimates import Precedent, expected_seconds, phase_seconds
from service.domain.jobs import JobEvent


def event(type: str, time: float, **data: str) -> JobEvent:
    return JobEvent("job-1", type, "", time, data)


HISTORY = [
    event("job.queued", 0.0),
    event("job.validating", 100.0),
    event("job.phase", 101.0, phase="validate"),
    event("job.phase", 103.0, phase="features"),
    event("job.warning", 104.0),
    event("job.running", 104.0),
    event("job.phase", 113.0, phase="publish"),
    event("job.succeeded", 114.5),
]


def test_a_history_says_how_long_each_phase_took_and_nothing_of_the_queue() -> None:
    assert phase_seconds(HISTORY) == {"start": 1.0, "validate": 2.0, "features": 10.0, "publish": 1.5}


def test_a_clock_that_was_set_back_makes_no_negative_seconds() -> None:
    history = [event("job.validating", 100.0), event("job.phase", 90.0, phase="validate"), event("job.succeeded", 95.0)]
    assert phase_seconds(history) == {"start": 0.0, "validate": 5.0}


@pytest.mark.parametrize("history", [[*HISTORY[:3], *HISTORY[1:]], HISTORY[:-1], HISTORY[-1:]])
def test_what_was_interrupted_or_is_not_whole_says_nothing(history: list[JobEvent]) -> None:
    assert phase_seconds(history) is None


def precedent(name: str, items: int, features: float, fixed: float = 2.0, alike: bool = True) -> Precedent:
    return Precedent(name, items, {"features": features, "publish": fixed}, alike)


def test_as_many_items_take_as_long() -> None:
    found = expected_seconds(100, [precedent("a", 100, 10.0)])
    assert found is not None
    assert (found.low, found.high, found.of) == (12.0, 12.0, ["a"])


@pytest.mark.parametrize(("items", "low", "high"), [(200, 12.0, 22.0), (50, 7.0, 12.0)])
def test_other_sizes_lie_between_no_growth_and_growth_in_proportion(items: int, low: float, high: float) -> None:
    found = expected_seconds(items, [precedent("a", 100, 10.0)])
    assert found is not None
    assert (found.low, found.high) == (low, high)


def test_the_nearest_in_size_count_and_those_asked_for_alike_before_others() -> None:
    sizes = [precedent(str(items), items, items / 10) for items in (10, 90, 100, 110, 5000)]
    found = expected_seconds(100, sizes)
    assert found is not None
    assert sorted(found.of) == ["100", "110", "90"]
    other = [precedent("other", 100, 500.0, alike=False)]
    found = expected_seconds(100, [*other, precedent("far", 10_000, 50.0)])
    assert found is not None
    assert found.of == ["far"]
    found = expected_seconds(100, other)
    assert found is not None
    assert found.of == ["other"]


def test_without_precedents_nothing_is_known() -> None:
    assert expected_seconds(100, []) is None
    assert expected_seconds(0, [precedent("a", 100, 10.0)]) is None
    assert expected_seconds(100, [precedent("a", 0, 10.0)]) is None
