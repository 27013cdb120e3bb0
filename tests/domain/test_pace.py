"""Which runs are made on the event loop: short ones of graphs that can be nothing else, for as long as they are."""

from __future__ import annotations

from service.domain.pace import SHORT_S, Pace

QUICK, SLOW, LATE, VERY_LATE = SHORT_S / 2, SHORT_S * 2, 3e-3, 30e-3
TIMES = {1: QUICK, 2: QUICK, 4: QUICK * 1.5, 8: SLOW}


def measured(steady: bool = True) -> Pace:
    pace = Pace(steady)
    pace.measured(TIMES)
    return pace


def test_as_many_rows_run_here_as_are_short() -> None:
    assert measured().rows_here == 4


def test_nothing_runs_here_that_was_not_measured_or_that_data_may_prolong() -> None:
    assert Pace(steady=True).rows_here == 0
    assert measured(steady=False).rows_here == 0


def test_one_run_that_takes_long_sends_the_next_thousand_to_the_lanes_and_then_two_thousand() -> None:
    pace = measured()
    for rest in (1000, 2000):
        pace.ran_here(VERY_LATE)
        for _ in range(rest):
            assert pace.rows_here == 0
            pace.ran_in_lane(1, QUICK)
        assert pace.rows_here == 4


def test_a_few_runs_may_be_late_and_many_may_not() -> None:
    pace = measured()
    for number in range(1000):
        pace.ran_here(LATE if number % 16 == 0 else QUICK)
    assert pace.rows_here == 4
    for _ in range(7):
        pace.ran_here(LATE)
    assert pace.rows_here == 0


def test_larger_runs_that_were_short_in_the_lanes_again_and_again_are_made_here() -> None:
    pace = measured()
    for rows in (16, 12, 9, 16) * 7:
        pace.ran_in_lane(rows, QUICK)
    for rows in (16, 12, 9):
        pace.ran_in_lane(rows, QUICK)
        assert pace.rows_here == 4
    pace.ran_in_lane(32, QUICK)
    assert pace.rows_here == 9, "the smallest of those seen: all of them were at least so large"


def test_runs_that_were_not_short_or_not_larger_or_that_data_may_prolong_show_nothing() -> None:
    pace, any_length = measured(), measured(steady=False)
    for _ in range(1000):
        pace.ran_in_lane(16, SLOW)
        pace.ran_in_lane(4, QUICK)
        any_length.ran_in_lane(16, QUICK)
    assert (pace.rows_here, any_length.rows_here) == (4, 0)


def test_what_the_lanes_have_shown_is_taken_back_where_runs_here_are_late() -> None:
    pace = measured()
    for _ in range(32):
        pace.ran_in_lane(16, QUICK)
    assert pace.rows_here == 16
    pace.ran_here(VERY_LATE)
    assert pace.rows_here == 0
