"""How long a queue may become: what is learned of how it drains and how long its callers wait, and what comes of it."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque

import pytest

from service.domain.waiting import Drain, Patience


def test_a_row_takes_as_long_as_the_time_between_takes_says_while_others_wait() -> None:
    drain = Drain()
    assert drain.seconds_a_row == 0.0
    drain.took(4, 10.0, more=True)
    drain.took(4, 10.2, more=False)
    assert drain.seconds_a_row == pytest.approx(0.05)
    drain.took(1, 99.0, more=False)
    assert drain.seconds_a_row == pytest.approx(0.05), "when nothing waited nothing is learned"


def leave(patience: Patience, count: int, waited: float, now: float, in_vain: bool, over: float = 0.5) -> None:
    """So many leave, one after the other, the last at ``now``."""
    for number in range(count):
        at = now - over * (1 - (number + 1) / count)
        patience.left(at - waited, at, in_vain)


def test_many_who_leave_at_once_are_one_client_that_ends() -> None:
    patience = Patience()
    for now in (100.0, 110.0):
        leave(patience, 64, 0.5, now, in_vain=True, over=0.02)
        leave(patience, 64, 0.5, now + 1, in_vain=True, over=0.02)
        leave(patience, 1000, 0.5, now + 5, in_vain=False)
    assert patience.limit_s(115.0) == math.inf


def test_without_anybody_leaving_in_vain_there_is_no_limit() -> None:
    patience = Patience()
    leave(patience, 1000, 20.0, 100.0, in_vain=False)
    assert patience.limit_s(100.0) == math.inf


def test_a_few_who_leave_are_no_reason_to_refuse_the_others() -> None:
    patience = Patience()
    for _ in range(10):
        leave(patience, 19, 0.5, 100.0, in_vain=False)
        leave(patience, 1, 0.5, 100.0, in_vain=True)
    assert patience.limit_s(100.0) == math.inf


def test_the_limit_is_half_of_what_was_not_borne_and_grows_until_it_is_forgotten() -> None:
    patience = Patience()
    leave(patience, 20, 2.0, 100.0, in_vain=True)
    assert patience.limit_s(100.0) == pytest.approx(1.0)
    assert patience.limit_s(110.0) == pytest.approx(1.63, abs=0.01)
    assert patience.limit_s(200.0) > 60.0
    assert patience.limit_s(100.0) == math.inf


def test_who_came_under_an_older_limit_says_nothing_of_this_one() -> None:
    patience = Patience()
    leave(patience, 20, 2.0, 100.0, in_vain=True)
    leave(patience, 100, 2.0, 101.9, in_vain=True)
    assert patience.limit_s(100.0) == pytest.approx(1.0)


def test_no_limit_is_shorter_than_what_a_person_notices() -> None:
    patience = Patience()
    for now in (100.0, 200.0, 300.0):
        leave(patience, 20, 0.001, now, in_vain=True)
    assert patience.limit_s(300.0) == pytest.approx(0.05)


def goodput(*, learning: bool, patience_s: float, load: float, rows_a_run: int = 4, seconds: float = 40.0) -> float:
    """The share of its capacity that a server answers in time, of two lanes that take rows of 20 ms, so many a run:
    rows come at random, ``load`` times as many as it can do, and leave without a word after ``patience_s``.
    """
    lanes, row_s = 2, 0.02
    chance, waiting, gone = random.Random(0), deque[float](), set[float]()
    drain, patience = Drain(), Patience()
    free, answered, order = lanes, 0, iter(range(10**9))
    events: list[tuple[float, int, str, list[float]]] = [(0.0, next(order), "come", [])]

    def bearable_rows(now: float) -> int:
        limit_s = patience.limit_s(now) if learning else math.inf
        known = limit_s < math.inf and drain.seconds_a_row
        return max(1, min(rows_a_run, int(limit_s / (drain.seconds_a_row * lanes)))) if known else rows_a_run

    def bearable_s(now: float) -> float:
        return max(patience.limit_s(now), drain.seconds_a_row * bearable_rows(now) * lanes) if learning else math.inf

    while events[0][0] < seconds:
        now, _, what, rows = heapq.heappop(events)
        if what == "come":
            heapq.heappush(events, (now + chance.expovariate(load * lanes / row_s), next(order), "come", []))
            if not waiting or len(waiting) * drain.seconds_a_row <= bearable_s(now):
                waiting.append(now)
                heapq.heappush(events, (now + patience_s, next(order), "leave", [now]))
        for row in rows:
            if row not in gone:
                gone.add(row)
                answered += what == "end"
                patience.left(row, now, in_vain=what == "leave")
        free += what == "end"
        while free and waiting:
            batch = list[float]()
            while waiting and len(batch) < bearable_rows(now):
                row = waiting.popleft()
                if row not in gone and now - row <= bearable_s(now):
                    batch.append(row)
            if batch:
                drain.took(len(batch), now, more=bool(waiting))
                free -= 1
                heapq.heappush(events, (now + row_s * len(batch), next(order), "end", batch))
    return answered * row_s / lanes / seconds


@pytest.mark.parametrize("load", [1.2, 2.0, 10.0])
@pytest.mark.parametrize("patience_s", [0.2, 1.0, 3.0])
def test_overload_costs_next_to_nothing_of_what_is_answered_in_time(load: float, patience_s: float) -> None:
    assert goodput(learning=True, patience_s=patience_s, load=load) > 0.95


@pytest.mark.parametrize("load", [2.0, 10.0])
@pytest.mark.parametrize("patience_s", [0.2, 0.5])
def test_nor_does_it_where_a_full_run_takes_longer_than_its_callers_wait(patience_s: float, load: float) -> None:
    assert goodput(learning=True, patience_s=patience_s, load=load, rows_a_run=16) > 0.95


def test_a_plain_queue_answers_next_to_nothing_in_time() -> None:
    """So that the test above tests something."""
    assert goodput(learning=False, patience_s=1.0, load=10.0) < 0.1
