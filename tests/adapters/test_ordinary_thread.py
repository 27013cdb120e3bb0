"""A thread of ordinary priority, whoever gives it work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from thread_priority import STEP, lower, priority

from service.adapters.engines.ordinary_thread import OrdinaryThread


def test_it_keeps_the_priority_of_who_made_it_whoever_gives_it_work() -> None:
    ordinary, mine = OrdinaryThread(), priority()
    with ThreadPoolExecutor(1, initializer=lower) as low:
        assert low.submit(priority).result() == mine + STEP
        assert low.submit(ordinary.call, priority).result() == mine


def test_what_is_raised_there_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        OrdinaryThread().call(lambda: 1 // 0)
