"""Whose turn it is in the queue."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvalidInput
from service.domain.job_queue import PRIORITIES, Waiting, check_priority, order

QUEUES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 1), st.integers(0, 5)), max_size=20).map(
    lambda jobs: [
        Waiting(f"job-{number}", head, priority, float(age)) for number, (head, priority, age) in enumerate(jobs)
    ]
)
SERVED = st.dictionaries(st.sampled_from("abc"), st.floats(0, 10))


def test_the_oldest_of_one_head_goes_first() -> None:
    assert order([Waiting("late", "a", 0, 2.0), Waiting("early", "a", 0, 1.0)], {}) == ["early", "late"]


def test_a_higher_priority_goes_first_whoever_was_served() -> None:
    jobs = [Waiting("old", "a", 0, 1.0), Waiting("urgent", "b", 5, 9.0), Waiting("patient", "c", -5, 0.0)]
    assert order(jobs, {"b": 99.0}) == ["urgent", "old", "patient"]


def test_heads_take_turns_however_many_jobs_one_of_them_has_put_in() -> None:
    flood = [Waiting(f"a{number}", "a", 0, float(number)) for number in range(4)]
    few = [Waiting("b0", "b", 0, 100.0), Waiting("b1", "b", 0, 101.0), Waiting("c0", "c", 0, 102.0)]
    assert order([*flood, *few], {}) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]
    assert order([*flood, *few], {"a": 50.0})[:3] == ["b0", "c0", "a0"]
    assert order([*flood, *few], {"a": 50.0, "b": 60.0, "c": 40.0})[:3] == ["c0", "a0", "b0"]


@given(QUEUES, SERVED)
def test_everybody_has_one_place(jobs: list[Waiting], served: dict[str, float]) -> None:
    assert sorted(order(jobs, served)) == sorted(job.id for job in jobs)


@given(QUEUES, SERVED)
def test_a_head_that_waits_is_passed_over_once_by_each_other_at_most(
    jobs: list[Waiting], served: dict[str, float]
) -> None:
    by_id = {job.id: job for job in jobs}
    places = [by_id[id] for id in order(jobs, served)]
    for priority in (-1, 0, 1):
        heads = [job.head for job in places if job.priority == priority]
        for start in range(len(heads)):
            for head in set(heads[start:]):
                before = Counter(heads[start : heads.index(head, start)])
                assert all(times == 1 for times in before.values()), (heads, start, head)


@given(QUEUES, SERVED)
def test_a_claim_is_what_the_order_said(jobs: list[Waiting], served: dict[str, float]) -> None:
    """The order is that of claims one after the other, each looking at the queue anew."""
    foreseen, claimed, left, times = order(jobs, served), [], list(jobs), dict(served)
    for moment in range(len(jobs)):
        first = order(left, times)[0]
        claimed.append(first)
        times[next(job.head for job in left if job.id == first)] = 100.0 + moment
        left = [job for job in left if job.id != first]
    assert claimed == foreseen


def test_priorities_have_bounds() -> None:
    for priority in (PRIORITIES[0], 0, PRIORITIES[-1]):
        check_priority(priority)
    for priority in (PRIORITIES[0] - 1, PRIORITIES[-1] + 1):
        with pytest.raises(InvalidInput):
            check_priority(priority)
