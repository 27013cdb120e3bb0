"""The limits of batching as a value: what they allow, what they warm, and which contradict themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.batches import BatchLimits


def test_without_allowed_sizes_a_run_has_the_rows_asked_for_and_powers_of_two_are_warmed() -> None:
    limits = BatchLimits(max_rows=20)
    assert [limits.run_rows(rows) for rows in (1, 3, 20)] == [1, 3, 20]
    assert limits.warm_sizes() == (1, 2, 4, 8, 16)
    assert BatchLimits(max_rows=1).warm_sizes() == (1,)
    assert BatchLimits(max_rows=1000).warm_sizes()[-1] == 128, "a load is not to take minutes"


def test_with_allowed_sizes_a_run_is_filled_up_to_the_next_and_those_are_warmed() -> None:
    limits = BatchLimits(max_rows=8, allowed_rows=(2, 5, 8))
    assert [limits.run_rows(rows) for rows in (1, 2, 3, 5, 6, 8)] == [2, 2, 5, 5, 8, 8]
    assert limits.warm_sizes() == (2, 5, 8)


@pytest.mark.parametrize(
    ("allowed", "says"),
    [
        ((2, 3), "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 3; expected 4"),
        ((4, 2), "ascending"),
        ((2, 2, 4), "ascending"),
        ((0, 4), "positive"),
    ],
)
def test_allowed_sizes_that_contradict_the_largest_are_refused_in_tf_servings_words(
    allowed: tuple[int, ...], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        BatchLimits(max_rows=4, allowed_rows=allowed)


@pytest.mark.parametrize("wrong", [{"max_rows": 0}, {"max_waiting_rows": 0}, {"max_request_rows": -1}])
def test_sizes_below_one_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        BatchLimits(**wrong)


@given(st.lists(st.integers(1, 500), min_size=1, max_size=6, unique=True), st.data())
def test_a_run_is_never_smaller_than_asked_for_nor_larger_than_allowed(sizes: list[int], data: st.DataObject) -> None:
    allowed = tuple(sorted(sizes))
    rows = data.draw(st.integers(1, allowed[-1]))
    run = BatchLimits(max_rows=allowed[-1], allowed_rows=allowed).run_rows(rows)
    assert run in allowed
    assert rows <= run
    assert not any(rows <= size < run for size in allowed)


MOBILENET = {1: 8.2e-3, 2: 16.3e-3, 4: 32.4e-3, 8: 71e-3, 16: 162e-3}
TINY = {1: 12e-6, 2: 12e-6, 4: 13e-6, 8: 15e-6, 16: 18e-6, 32: 26e-6}


@pytest.mark.parametrize(("seconds", "best"), [(MOBILENET, 2), (TINY, 32), ({1: 1.0, 2: 2.0}, 1), ({}, 32)])
def test_a_run_is_as_large_as_answers_most_rows_a_second_and_no_larger(seconds: dict[int, float], best: int) -> None:
    assert BatchLimits(measured=True).best(seconds).max_rows == best


def test_what_an_operator_sets_is_not_measured() -> None:
    assert BatchLimits(max_rows=20).best(MOBILENET).max_rows == 20


def test_every_size_is_warmed_where_there_are_few() -> None:
    assert BatchLimits(measured=True).best({4: 1.0}).warm_sizes() == (1, 2, 3, 4)
    assert BatchLimits(measured=True).best(TINY).warm_sizes() == (1, 2, 4, 8, 16, 32)
