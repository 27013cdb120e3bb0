"""Limits of a job: each is reached with a reason and a remedy, and time counts over attempts."""

from __future__ import annotations

import os

import pytest

from training.errors import LimitReached
from training.limits import Limits, peak_memory_mb
from training.recipe import LimitsChoice


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_counts_over_all_attempts() -> None:
    clock = Clock()
    limits = Limits(LimitsChoice(seconds=10), clock, lambda: 1.0)
    limits.count(4.0)
    clock.now += 6.0
    limits.check()
    clock.now += 0.5
    with pytest.raises(LimitReached, match=r"limits\.seconds is 10"):
        limits.check()


def test_memory_is_what_the_process_has_had() -> None:
    used = [99.0]
    limits = Limits(LimitsChoice(memory_mb=100), Clock(), lambda: used[0])
    limits.check()
    used[0] = 101.0
    with pytest.raises(LimitReached, match=r"101 MiB.*limits\.memory_mb is 100"):
        limits.check()
    assert 10 < peak_memory_mb() < 1_000_000


def test_there_may_be_so_many_items() -> None:
    limits = Limits(LimitsChoice(examples=2))
    limits.check_examples(2)
    with pytest.raises(LimitReached, match="3 items") as caught:
        limits.check_examples(3)
    assert caught.value.code == "limit"


def test_threads_are_told_to_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    Limits(LimitsChoice(threads=3)).apply()
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "3"
