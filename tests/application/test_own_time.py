"""What a run took itself, and what was taken from it."""

from __future__ import annotations

import pytest

from service.application.own_time import Moment, moment, own_seconds


def test_who_was_not_interrupted_took_all_of_it_waiting_too() -> None:
    assert own_seconds(0.05, Moment(1.0, 7), Moment(1.001, 7)) == 0.05


def test_who_was_interrupted_took_what_it_had_of_the_processor() -> None:
    assert own_seconds(0.05, Moment(1.0, 7), Moment(1.001, 8)) == pytest.approx(0.001)


def test_a_long_run_is_long_however_often_it_is_interrupted() -> None:
    assert own_seconds(0.05, Moment(1.0, 7), Moment(1.04, 19)) == pytest.approx(0.04)


def test_nothing_took_longer_than_the_clock_says() -> None:
    """The system counts a thread's time in its own grain."""
    assert own_seconds(0.002, Moment(1.0, 7), Moment(1.004, 8)) == 0.002


def test_what_a_thread_had_of_the_processor_grows_with_its_work() -> None:
    """It works until the system has counted some of it."""
    begun = ended = moment()
    while ended.processor_s == begun.processor_s:
        sum(range(1000))
        ended = moment()
    assert ended.processor_s > begun.processor_s
    assert ended.interruptions >= begun.interruptions
