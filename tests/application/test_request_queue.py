"""Who may wait, whose turn it is, and who is not worth a run: fairness counted in runs, deadlines by a clock of the
test's, and bounds by rows and by bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from batching_ward import Ward, column, turns

from service.domain.errors import DeadlineExceeded, Overloaded, QueueTimedOut
from service.domain.shares import Shares


async def test_who_trickles_is_in_the_next_run_however_much_another_has_put_in(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=4)
    busy = await w.send_busy()
    flood = [w.send(1, flow="flood") for _ in range(200)]
    await turns()
    trickle = w.send(2, flow="trickle")
    await turns()
    w.gate.open()
    await asyncio.gather(busy, trickle, *flood)
    assert 2 in w.batches[1], "in the first run after the one under way"


async def test_every_flow_has_as_many_rows_of_a_run_as_the_others(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=6)
    busy = await w.send_busy()
    requests = [w.send(value, flow=str(value)) for value, count in ((1, 90), (2, 6), (3, 6)) for _ in range(count)]
    await turns()
    w.gate.open()
    await asyncio.gather(busy, *requests)
    for batch in w.batches[1:4]:
        assert sorted(batch) == [1, 1, 2, 2, 3, 3]
    assert w.batches[4] == [1, 2, 3, 1, 1, 1] or 2 not in w.batches[4]


async def test_who_sends_many_rows_a_request_has_no_more_of_them_than_who_sends_one(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=4)
    busy = await w.send_busy()
    large = [w.send(1, 1, 1, 1, flow="large") for _ in range(20)]
    small = [w.send(2, flow="small") for _ in range(20)]
    await turns()
    w.gate.open()
    await asyncio.gather(busy, *large, *small)
    rows = [value for batch in w.batches[1:] for value in batch]
    assert rows[:40].count(2) >= 16


async def test_a_flood_that_fills_the_queue_keeps_no_other_flow_out(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=2, max_waiting_rows=10)
    busy = await w.send_busy()
    flood = [w.send(1, flow="flood") for _ in range(50)]
    await turns()
    quiet = [w.send(2, flow="quiet") for _ in range(5)]
    await turns()
    assert sum(one.done() for one in flood) == 40
    assert not any(one.done() for one in quiet)
    late = w.send(2, flow="quiet")
    await turns()
    assert isinstance(late.exception(), Overloaded), "that is its share"
    w.gate.open()
    answers = await asyncio.gather(busy, *quiet, *flood, return_exceptions=True)
    assert sum(isinstance(answer, Overloaded) for answer in answers) == 40


async def test_what_is_late_when_its_turn_comes_costs_no_run(ward: Callable[..., Ward]) -> None:
    w = ward()
    busy = await w.send_busy()
    late, patient = w.send(1, timeout_s=5.0), w.send(2, timeout_s=20.0)
    await turns()
    w.time += 10.0
    w.gate.open()
    with pytest.raises(DeadlineExceeded, match="within 5 s"):
        await late
    assert await patient == [4]
    await busy
    assert w.batches == [[100], [2]]


@pytest.mark.parametrize(("tells", "kind"), [(True, QueueTimedOut), (False, DeadlineExceeded)])
@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
async def test_who_comes_too_late_is_told_at_once(
    ward: Callable[..., Ward], tells: bool, kind: type[Exception], timeout_s: float
) -> None:
    w = ward(tells_late=tells)
    with pytest.raises(kind):
        await w.send(1, timeout_s=timeout_s)
    assert w.batches == []


async def standing(w: Ward, waiting: int, row_s: float = 0.1) -> list[asyncio.Task[list[float]]]:
    """Runs of one row that follow each other every ``row_s``, until so many requests wait; the lane is held then."""
    requests = [w.send(value) for value in range(waiting + 4)]
    for _ in range(3):
        await w.gate.arrival()
        w.time += row_s
        w.gate.let_one_pass()
    await w.gate.arrival()
    return requests


async def test_who_would_wait_for_longer_than_half_of_its_time_is_refused_while_it_can_ask_elsewhere(
    ward: Callable[..., Ward],
) -> None:
    w = ward(max_rows=1)
    requests = await standing(w, waiting=10)
    with pytest.raises(Overloaded, match="too little capacity") as refusal:
        await w.send(50, timeout_s=1.0)
    assert refusal.value.retry_after_s == pytest.approx(0.9, abs=0.2), "as long as what waits will take"
    accepted = w.send(51, timeout_s=30.0)
    await turns()
    assert not accepted.done()
    w.gate.open()
    await asyncio.gather(accepted, *requests)


async def test_a_flow_waits_for_its_own_and_not_for_all_that_others_have_put_in(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=1)
    requests = await standing(w, waiting=30)
    with pytest.raises(Overloaded):
        await w.send(50, timeout_s=2.0)
    other = w.send(51, timeout_s=2.0, flow="other")
    await turns()
    assert not other.done()
    w.gate.open()
    await asyncio.gather(other, *requests)


async def test_callers_who_leave_without_a_word_teach_how_long_a_queue_may_be(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=1)
    requests = await standing(w, waiting=60)
    w.time += 4.0
    for request in requests[20:50]:
        request.cancel()
        await turns()
        w.time += 0.02
    with pytest.raises(Overloaded, match="longer than callers wait"):
        await w.send(50)
    w.gate.open()
    answers = await asyncio.gather(*requests, return_exceptions=True)
    assert any(isinstance(answer, Overloaded) for answer in answers[50:]), "nor is anybody run who has waited too long"
    assert await w.send(7) == [14]


async def test_the_bytes_of_all_queues_together_are_bounded_and_come_back(ward: Callable[..., Ward]) -> None:
    room = Shares(40)
    one, other = ward(room=room), ward(room=room)
    busy = await one.send_busy()
    waiting = [one.send(1, 2, 3), one.send(4), other.send(5, 6)]
    await turns()
    with pytest.raises(Overloaded, match="fill the 40 bytes"):
        await other.send(7, 8, 9, 10)
    one.gate.open()
    other.gate.open()
    await asyncio.gather(busy, *waiting)
    assert room.held == 0
    assert await other.send(*range(100)) == [2.0 * value for value in range(100)], "who is alone may take anything"
    leaving = other.send(1)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert room.held == 0


async def test_a_flood_of_bytes_keeps_no_other_model_out(ward: Callable[..., Ward]) -> None:
    room = Shares(40)
    one, other = ward(room=room), ward(room=room)
    flood = [one.send(1, flow="flood") for _ in range(20)]
    await turns()
    quiet = other.send(2, 3, flow="quiet")
    one.gate.open()
    other.gate.open()
    assert await quiet == [4, 6]
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(answer, Overloaded) for answer in answers) == 10


async def test_the_bytes_of_strings_are_those_of_their_letters(ward: Callable[..., Ward]) -> None:
    w = ward(lambda inputs: {"y": np.zeros(len(inputs["x"]))}, room=Shares(1000))
    w.gate.open()
    first = w.send_inputs({"x": np.array([b"a" * 900], object)})
    await turns(1)
    with pytest.raises(Overloaded):
        await w.send_inputs({"x": np.array([b"a" * 900], object)})
    await first


async def test_those_who_left_do_not_pile_up_while_a_lane_hangs(ward: Callable[..., Ward]) -> None:
    w = ward(max_waiting_rows=10)
    busy = await w.send_busy()
    for _ in range(300):
        leaving = [w.send(1, flow=str(number)) for number in range(5)]
        await turns(1)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
    assert len(w.batcher._queue._requests) < 200
    staying = w.send(4)
    await turns()
    w.gate.open()
    assert await staying == [8]
    await busy
    assert w.batches == [[100], [4]]
    assert w.batcher._queue._requests.flows == 0, "nor is anything kept of flows that are idle"


# --- Runs on the event loop -------------------------------------------------------------------------------------------

QUICK = {1: 1e-5, 2: 1e-5, 4: 1e-5}


async def test_short_runs_are_made_on_the_loop_together_with_what_it_has_read_already(
    ward: Callable[..., Ward],
) -> None:
    w = ward(steady=True, max_rows=4)
    w.batcher.measured(QUICK)
    w.gate.open()
    assert await asyncio.gather(*(w.send(value) for value in range(3))) == [[0], [2], [4]]
    assert w.batches == [[0, 1, 2]]
    assert w.lanes._threads == [], "no lane was needed"


async def test_who_has_company_waits_for_those_the_loop_has_only_begun_to_read(ward: Callable[..., Ward]) -> None:
    w = ward(steady=True, max_rows=4)
    w.batcher.measured(QUICK)
    w.gate.open()
    assert await asyncio.gather(w.send(1), w.send(2)) == [[2], [4]]
    first = w.send(3)
    await turns(4)
    assert await asyncio.gather(first, w.send(4)) == [[6], [8]]
    assert w.batches == [[1, 2], [3, 4]]


async def test_who_has_been_alone_for_long_waits_for_nobody(ward: Callable[..., Ward]) -> None:
    w = ward(steady=True, max_rows=4)
    w.batcher.measured(QUICK)
    w.gate.open()
    assert await asyncio.gather(w.send(1), w.send(2)) == [[2], [4]]
    for _ in range(100):
        await w.send(3)
    first = w.send(3)
    await turns(4)
    assert first.done()


async def test_a_run_on_the_loop_that_is_full_waits_for_nobody(ward: Callable[..., Ward]) -> None:
    w = ward(steady=True, max_rows=2)
    w.batcher.measured(QUICK)
    w.gate.open()
    for _ in range(2):
        both = [w.send(value) for value in (1, 2)]
        await turns(4)
        assert all(one.done() for one in both)
    assert w.batches == [[1, 2], [1, 2]]


async def test_more_than_may_be_run_on_the_loop_goes_to_the_lanes(ward: Callable[..., Ward]) -> None:
    w = ward(steady=True, max_rows=8)
    w.batcher.measured(QUICK)
    w.gate.open()
    assert await asyncio.gather(*(w.send(value) for value in range(6))) == [[2 * value] for value in range(6)]
    assert w.lanes._threads


async def test_a_run_on_the_loop_that_fails_is_the_answer_of_who_is_to_blame(ward: Callable[..., Ward]) -> None:
    w = ward(steady=True, max_rows=4)
    w.batcher.measured(QUICK)
    w.gate.open()
    answers = await asyncio.gather(*(w.send(value) for value in (1, -1, 2)), return_exceptions=True)
    assert [answers[0], answers[2]] == [[2], [4]]
    assert "negative" in str(answers[1])
    assert await w.send(3) == [6]


async def test_all_callers_of_a_run_on_the_loop_may_leave_before_it(ward: Callable[..., Ward]) -> None:
    w = ward(steady=True, max_rows=4)
    w.batcher.measured(QUICK)
    w.gate.open()
    leaving = asyncio.create_task(w.batcher.submit(column(1), lambda outputs: dict(outputs)))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert await w.send(2) == [4]
    assert w.batches == [[2]]
