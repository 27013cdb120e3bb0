"""The batcher: what piled up goes together, everyone gets their own rows, and nobody suffers from anybody else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from batching_ward import Ward, column, doubled, turns
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_fakes import Gate, RecordingObserver

from service.application.batching import Batcher
from service.application.lanes import Lanes
from service.domain.batches import BatchLimits
from service.domain.errors import DeadlineExceeded, InvalidInput, ModelFailed, NotReady, Overloaded, QueueTimedOut
from service.domain.tensors import Array, Tensors


async def test_what_piled_up_while_the_lane_was_busy_goes_together(ward: Callable[..., Ward]) -> None:
    w = ward()
    busy = await w.send_busy()
    others = [w.send(1), w.send(2, 3), w.send(4)]
    await turns()
    w.gate.open()
    assert await asyncio.gather(busy, *others) == [[200], [2], [4, 6], [8]]
    assert w.batches == [[100], [1, 2, 3, 4]]
    assert w.observer.named("batch_ran") == [("batch_ran", "g", "s", 1, 1), ("batch_ran", "g", "s", 4, 3)]


async def test_a_lone_request_on_an_idle_server_waits_for_nobody(ward: Callable[..., Ward]) -> None:
    w = ward()
    w.gate.open()
    assert await w.send(1) == [2]
    assert w.batches == [[1]]


async def test_no_run_is_larger_than_it_may_be(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=4)
    busy = await w.send_busy()
    others = [w.send(1, 2, 3), w.send(4, 5), w.send(6), w.send(7)]
    await turns()
    w.gate.open()
    assert await asyncio.gather(busy, *others) == [[200], [2, 4, 6], [8, 10], [12], [14]]
    assert w.batches[1:] == [[1, 2, 3, 6], [4, 5, 7]], "a small one fills the gap, and nobody loses their place"


async def test_a_request_larger_than_a_run_is_split_and_put_together_again(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=4, lanes=2)
    w.gate.open()
    assert await w.send(*range(10)) == [2 * value for value in range(10)]
    assert sorted(w.batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_when_one_piece_of_a_large_request_fails_the_request_fails_and_nothing_stays_behind(
    ward: Callable[..., Ward],
) -> None:
    w = ward(max_rows=2, max_waiting_rows=6)
    busy = await w.send_busy()
    large, other = w.send(1, 2, -3, 4, 5), w.send(7)
    await turns()
    w.gate.open()
    with pytest.raises(InvalidInput, match="negative"):
        await large
    assert await other == [14]
    await busy
    assert await w.send(1, 2, 3, 4, 5, 6) == [2, 4, 6, 8, 10, 12]


async def test_requests_of_other_inner_shapes_run_apart_and_in_order(ward: Callable[..., Ward]) -> None:
    w = ward()
    busy = await w.send_busy()
    wide = np.ones((1, 2), np.float32)
    others = [w.send(1), w.send_inputs({"x": wide}), w.send(2), w.send_inputs({"x": wide * 3})]
    await turns()
    w.gate.open()
    assert await asyncio.gather(busy, *others) == [[200], [2], [2, 2], [4], [6, 6]]
    assert w.batches == [[100], [1, 2], [1, 3]]


async def test_a_full_queue_refuses_at_the_door_and_takes_again_when_it_has_emptied(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=2, max_waiting_rows=3)
    busy = await w.send_busy()
    waiting = [w.send(1, 2), w.send(3)]
    await turns()
    with pytest.raises(Overloaded, match="3 rows are waiting"):
        await w.send(4)
    w.gate.open()
    await asyncio.gather(busy, *waiting)
    assert await w.send(5) == [10]


async def test_a_huge_request_does_not_lock_the_others_out(ward: Callable[..., Ward]) -> None:
    """It takes its turns between theirs, however many runs it needs."""
    w = ward(max_rows=2, max_waiting_rows=10)
    busy, early = await w.send_busy(), w.send(3000)
    await turns()
    huge = w.send(*range(1000))
    await turns()
    small = w.send(2000)
    await turns()
    w.gate.open()
    assert await small == [4000]
    assert not huge.done()
    assert await huge == [2 * value for value in range(1000)], "nor is it locked out by who waits already"
    await asyncio.gather(busy, early)


async def test_those_who_left_a_full_queue_make_room_for_those_who_come(ward: Callable[..., Ward]) -> None:
    """Else a stuck lane and impatient clients would lock everyone out for as long as it is stuck."""
    w = ward(max_waiting_rows=3)
    busy = await w.send_busy()
    for _ in range(5):
        leaving = [w.send(1), w.send(2), w.send(3)]
        await turns()
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
    staying = w.send(4)
    await turns()
    w.gate.open()
    assert await staying == [8]
    await busy
    assert w.batches == [[100], [4]]


async def test_the_refusal_of_a_full_queue_is_tf_servings(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=2, max_waiting_rows=4)
    busy = await w.send_busy()
    waiting = [w.send(1, 2), w.send(3, 4)]
    await turns()
    with pytest.raises(Overloaded, match="is full; currently 2 batches enqueued and max_enqueued_batches is 2"):
        await w.send(5)
    w.gate.open()
    await asyncio.gather(busy, *waiting)


async def test_a_request_larger_than_any_may_be_is_refused_and_one_as_large_is_not(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=3, max_request_rows=3)
    w.gate.open()
    with pytest.raises(InvalidInput, match="Task size 4 is larger than maximum input batch size 3"):
        await w.send(1, 2, 3, 4)
    assert await w.send(1, 2, 3) == [2, 4, 6]


async def test_where_only_some_sizes_may_run_a_run_is_filled_up_and_nobody_sees_the_filling(
    ward: Callable[..., Ward],
) -> None:
    w = ward(max_rows=6, allowed_rows=(2, 6))
    busy = await w.send_busy()
    others = [w.send(1), w.send(2), w.send(3)]
    await turns()
    w.gate.open()
    assert await asyncio.gather(busy, *others) == [[200], [2], [4], [6]]
    assert w.batches == [[100, 100], [1, 2, 3, 3, 3, 3]]
    assert [event[3:5] for event in w.observer.named("batch_ran")] == [(1, 1), (3, 3)], "the filling is no request's"


async def test_a_failed_run_of_some_size_is_tried_again_in_runs_of_those_sizes(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=4, allowed_rows=(2, 4))
    busy = await w.send_busy()
    good, bad = w.send(1), w.send(-1)
    await turns()
    w.gate.open()
    assert await good == [2]
    with pytest.raises(InvalidInput, match="negative"):
        await bad
    await busy
    assert w.batches == [[100, 100], [1, -1], [1, 1], [-1, -1]]


@pytest.mark.parametrize(("tells", "kind"), [(True, QueueTimedOut), (False, DeadlineExceeded)])
async def test_a_deadline_that_passes_in_the_queue_says_so_where_that_is_told(
    ward: Callable[..., Ward], tells: bool, kind: type[Exception]
) -> None:
    w = ward(tells_late=tells)
    busy = await w.send_busy()
    with pytest.raises(kind):
        await w.send(1, timeout_s=0.001)
    w.gate.open()
    await busy
    assert w.batches == [[100]], "who has gone is not run"


async def test_a_deadline_that_passes_in_a_run_is_a_deadline_all_the_same(ward: Callable[..., Ward]) -> None:
    w = ward(tells_late=True)
    late = w.send(1, timeout_s=0.2)
    await w.gate.arrival()
    with pytest.raises(DeadlineExceeded):
        await late
    w.gate.open()


@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize("when", ["queued", "running"])
async def test_a_client_that_leaves_harms_nobody(ward: Callable[..., Ward], position: int, when: str) -> None:
    """At every position of a batch, before it runs and while it runs."""
    w = ward()
    if when == "queued":
        busy = await w.send_busy()
    clients = [w.send(value) for value in range(5)]
    await turns()
    if when == "running":
        await w.gate.arrival()
    clients[position].cancel()
    await turns()
    w.gate.open()
    answers = await asyncio.gather(*clients, return_exceptions=True)
    assert isinstance(answers[position], asyncio.CancelledError)
    assert [a for i, a in enumerate(answers) if i != position] == [[2 * v] for v in range(5) if v != position]
    if when == "queued":
        await busy
        assert position not in w.batches[1], "nothing is computed for who left before the run"
    assert await w.send(9) == [18]


async def test_when_all_clients_left_the_lane_is_free_again(ward: Callable[..., Ward]) -> None:
    w = ward()
    busy = await w.send_busy()
    clients = [w.send(value) for value in range(3)]
    await turns()
    for client in clients:
        client.cancel()
    w.gate.open()
    await busy
    assert await w.send(1) == [2]
    assert w.batches == [[100], [1]]


@pytest.mark.parametrize("position", range(4))
async def test_a_bad_request_in_a_batch_fails_alone(ward: Callable[..., Ward], position: int) -> None:
    w = ward()
    busy = await w.send_busy()
    clients = [w.send(-1.0 if at == position else at) for at in range(4)]
    await turns()
    w.gate.open()
    answers = await asyncio.gather(*clients, return_exceptions=True)
    assert isinstance(answers[position], InvalidInput)
    assert [a for i, a in enumerate(answers) if i != position] == [[2 * v] for v in range(4) if v != position]
    await busy


async def test_something_unexpected_in_a_run_is_the_answer_of_exactly_that_batch(ward: Callable[..., Ward]) -> None:
    def run(inputs: Tensors) -> dict[str, Array]:
        if 3 in inputs["x"]:
            raise ZeroDivisionError("a bug")
        return doubled(inputs)

    w = ward(run, max_rows=2)
    busy = await w.send_busy()
    clients = [w.send(value) for value in (1, 2, 3, 4, 5)]
    await turns()
    w.gate.open()
    answers = await asyncio.gather(busy, *clients, return_exceptions=True)
    assert [answers[i] for i in (0, 1, 2, 5)] == [[200], [2], [4], [10]]
    assert all(isinstance(answers[i], ModelFailed) and "a bug" in str(answers[i]) for i in (3, 4))
    assert await w.send(6) == [12], "the lane lives on"


async def test_a_head_that_breaks_fails_only_its_own_request(ward: Callable[..., Ward]) -> None:
    w = ward()

    def breaks(outputs: Tensors) -> dict[str, Array]:
        raise AttributeError("no such thing")

    busy = await w.send_busy()
    good = w.send(1)
    bad = asyncio.create_task(w.batcher.submit(column(2), breaks))
    await turns()
    w.gate.open()
    assert await good == [2]
    with pytest.raises(ModelFailed, match="no such thing"):
        await bad
    await busy


@pytest.mark.parametrize("outputs", [{"y": np.float32(3)}, {"y": np.zeros((1, 1), np.float32)}])
async def test_outputs_that_are_not_the_batchs_rows_are_never_cut_up(
    ward: Callable[..., Ward], outputs: dict[str, Array]
) -> None:
    w = ward(lambda inputs: {alias: np.asarray(array) for alias, array in outputs.items()})
    busy = await w.send_busy()
    clients = [w.send(1), w.send(2)]
    await turns()
    w.gate.open()
    await asyncio.gather(busy, *clients)
    assert w.batches[-2:] == [[1], [2]], "each was run alone instead"


async def test_requests_that_may_not_share_a_run_do_not(ward: Callable[..., Ward]) -> None:
    w = ward(together=False, max_rows=2)
    busy = await w.send_busy()
    clients = [w.send(1), w.send(2, 3, 4), w.send(5)]
    await turns()
    w.gate.open()
    assert await asyncio.gather(busy, *clients) == [[200], [2], [4, 6, 8], [10]]
    assert w.batches == [[100], [1], [2, 3, 4], [5]], "nor is a large one split"


async def test_inputs_without_a_batch_dimension_run_alone(ward: Callable[..., Ward]) -> None:
    w = ward(together=False)
    w.gate.open()
    assert await w.send_inputs({"x": np.float32(4)}) == [8]


async def test_inputs_that_disagree_about_their_rows_run_by_themselves(ward: Callable[..., Ward]) -> None:
    """A graph may broadcast one to the other; joined with somebody else's rows it could not."""
    w = ward(lambda inputs: {"y": inputs["x"] + inputs.get("z", 0)})
    busy = await w.send_busy()
    one, z = np.array([[1.0]]), np.array([[10.0], [20.0]])
    answers = [w.send(1), w.send_inputs({"x": one, "z": z}), w.send_inputs({"x": one, "z": z}), w.send(2)]
    w.gate.open()
    assert await busy == [100]
    assert [await answer for answer in answers] == [[1], [11, 21], [11, 21], [2]]
    assert w.batches == [[100], [1, 2], [1], [1]]


async def test_lanes_are_shared_in_turn_between_graphs() -> None:
    """A busy graph does not keep a quiet one from its turn."""
    lanes, gate, order = Lanes(1), Gate(), []

    def batcher(name: str) -> Batcher:
        def run(inputs: Tensors) -> dict[str, Array]:
            gate.pass_through()
            order.append(name)
            return doubled(inputs)

        limits = BatchLimits(max_rows=1)
        return Batcher(name, "s", run, together=True, lanes=lanes, limits=limits, observer=RecordingObserver())

    def send(to: Batcher) -> asyncio.Task[Any]:
        return asyncio.create_task(to.submit(column(1), lambda outputs: dict(outputs)))

    busy, quiet = batcher("busy"), batcher("quiet")
    requests = [send(busy) for _ in range(4)]
    await gate.arrival()
    requests.append(send(quiet))
    await turns()
    gate.open()
    await asyncio.gather(*requests)
    assert order.index("quiet") == 1, "after the run under way, before the other's next"
    lanes.close()


async def test_several_lanes_run_at_once_when_there_is_enough_for_them(ward: Callable[..., Ward]) -> None:
    w = ward(max_rows=1, lanes=2)
    clients = [w.send(1), w.send(2)]
    await w.gate.arrival()
    await w.gate.arrival()
    w.gate.open()
    assert await asyncio.gather(*clients) == [[2], [4]]


async def test_a_graph_whose_runs_do_not_end_is_refused_until_one_does(ward: Callable[..., Ward]) -> None:
    w = ward(lanes=1)
    client = await w.send_busy()
    client.cancel()
    await turns()
    w.lanes._stuck_s = 0.0
    w.lanes.look()
    with pytest.raises(NotReady, match="do not end"):
        await w.send(1)
    w.gate.open()
    await asyncio.to_thread(w.batcher.wait_until_idle)
    await asyncio.sleep(0.1)
    assert await w.send(1) == [2]


async def test_idle_means_that_no_run_is_under_way_even_when_nobody_waits_for_it(ward: Callable[..., Ward]) -> None:
    w = ward()
    client = await w.send_busy()
    client.cancel()
    await turns()
    idle = asyncio.create_task(asyncio.to_thread(w.batcher.wait_until_idle))
    await turns()
    assert not idle.done()
    w.gate.open()
    await idle
    assert w.observer.count("batch_ran") == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 3))
def test_everyone_gets_exactly_their_own_rows(seed: int, max_rows: int, lanes: int) -> None:
    """Many clients, random sizes and shapes, some bad, some leaving at random moments."""
    chance = random.Random(seed)

    async def client(batcher: Batcher, number: int) -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        rows, width = chance.randrange(1, 12), chance.choice((1, 1, 2))
        sent = np.full((rows, width), number, np.float32) + np.arange(rows, dtype=np.float32)[:, None] / 64
        bad = chance.random() < 0.1
        if bad:
            sent[chance.randrange(rows)] = -1
        try:
            answer = await batcher.submit({"x": sent}, lambda outputs: {"z": outputs["y"] + number})
        except InvalidInput:
            assert bad
            return
        assert not bad
        assert answer["z"].tolist() == (sent * 2 + number).tolist()

    async def everyone() -> None:
        places = Lanes(lanes)
        batcher = Batcher(
            "g",
            "s",
            doubled,
            together=True,
            lanes=places,
            limits=BatchLimits(max_rows=max_rows, max_waiting_rows=10**6),
            observer=RecordingObserver(),
            now=lambda: 0.0,  # so that nobody waits, and nobody is told that callers leave
        )
        tasks = [asyncio.create_task(client(batcher, number)) for number in range(1, 30)]
        for task in tasks:
            if chance.random() < 0.2:
                asyncio.get_running_loop().call_later(chance.random() / 200, task.cancel)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError), repr(outcome)
        places.close()

    asyncio.run(everyone())


async def test_no_wake_up_is_lost_among_thousands_of_tiny_requests() -> None:
    """Clients come and go in waves over three graphs that share two lanes; every one of them is answered."""
    lanes = Lanes(2)
    batchers = [
        Batcher(
            str(number),
            "s",
            doubled,
            together=number != 2,
            lanes=lanes,
            limits=BatchLimits(max_rows=3, max_waiting_rows=10**6),
            observer=RecordingObserver(),
        )
        for number in range(3)
    ]

    async def client(number: int) -> None:
        for turn in range(20):
            answer = await batchers[(number + turn) % 3].submit(column(number), lambda outputs: dict(outputs))
            assert answer["y"].tolist() == [[2 * number]]

    async with asyncio.timeout(30):
        await asyncio.gather(*(client(number) for number in range(150)))
    lanes.close()
