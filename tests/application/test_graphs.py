"""Loaded graphs: one in memory for all who use it, freed with the last; and which signatures may be batched."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from serving_fakes import (
    FakeEngine,
    FakeModel,
    Function,
    Gate,
    RecordingObserver,
    scaling_model,
    signature,
    spec,
)

from service.application.graphs import SharedGraphs, generated_rows
from service.application.lanes import Lanes
from service.domain.batches import BatchLimits
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.tensors import Array, Tensors

HERE, THERE = Path("/fake/here"), Path("/fake/there")


class Shelf:
    """Shared graphs over a fake engine."""

    def __init__(self) -> None:
        self.engine, self.observer, self.lanes = FakeEngine(), RecordingObserver(), Lanes(1)
        self.graphs = SharedGraphs(self.engine, self.lanes, BatchLimits(max_rows=8), self.observer)
        self.engine.models = {HERE: scaling_model(), THERE: scaling_model()}


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf()
    yield made
    assert made.engine.misuses == []
    made.lanes.close()


def test_one_key_is_one_graph_wherever_it_was_found(shelf: Shelf) -> None:
    first = shelf.graphs.acquire("k", HERE, published=True)
    second = shelf.graphs.acquire("k", THERE, published=True)
    assert first is second
    assert shelf.graphs.acquire_loaded("k") is first
    assert len(shelf.engine.loaded) == 1


def test_a_graph_is_freed_with_its_last_user_and_loaded_anew_for_the_next(shelf: Shelf) -> None:
    first = shelf.graphs.acquire("k", HERE, published=True)
    shelf.graphs.acquire("k", HERE, published=True)
    shelf.graphs.release(first)
    assert len(shelf.engine.open_graphs) == 1
    shelf.graphs.release(first)
    assert shelf.engine.open_graphs == []
    assert shelf.graphs.acquire_loaded("k") is None
    assert shelf.graphs.acquire("k", HERE, published=True) is not first
    loads = ["load_attempted", "graph_loaded", "engines_chosen"]
    assert [event[0] for event in shelf.observer.events] == [*loads, "graph_freed", *loads]


def test_loads_of_one_graph_at_the_same_time_become_one(shelf: Shelf) -> None:
    gate = shelf.engine.models[HERE].load_gate = Gate()
    with ThreadPoolExecutor(3) as threads:
        loads = [threads.submit(shelf.graphs.acquire, "k", HERE, published=True) for _ in range(3)]
        gate.open()
        assert len({id(load.result()) for load in loads}) == 1
    assert len(shelf.engine.loaded) == 1


def test_loads_of_two_graphs_do_not_wait_for_each_other(shelf: Shelf) -> None:
    gate = shelf.engine.models[HERE].load_gate = Gate()
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(shelf.graphs.acquire, "slow", HERE, published=True)
        shelf.graphs.acquire("quick", THERE, published=True)
        assert not slow.done()
        gate.open()
        slow.result()


def test_many_threads_taking_and_giving_back_leave_nothing_and_never_free_what_is_used(shelf: Shelf) -> None:
    def worker() -> None:
        for _ in range(200):
            shared = shelf.graphs.acquire("k", HERE, published=True)
            assert not shared.graph.closed  # type: ignore[attr-defined]
            shelf.graphs.release(shared)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(worker) for _ in range(4)]:
            done.result()
    assert shelf.engine.open_graphs == []
    assert shelf.observer.count("graph_loaded") == shelf.observer.count("graph_freed")


def test_a_load_that_fails_leaves_nothing_and_can_be_tried_again(shelf: Shelf) -> None:
    shelf.engine.models[HERE].broken = "no variables"
    for _ in range(2):
        with pytest.raises(ModelFailed, match="no variables"):
            shelf.graphs.acquire("k", HERE, published=True)
    assert shelf.graphs.acquire_loaded("k") is None
    shelf.engine.models[HERE].broken = None
    shelf.graphs.acquire("k", HERE, published=True)


def test_a_graph_that_breaks_while_it_is_probed_does_not_stay_in_memory(shelf: Shelf) -> None:
    def breaks(inputs: Tensors) -> dict[str, Array]:
        raise MemoryError("too large")

    x = spec("x", (None, 1))
    shelf.engine.models[HERE] = FakeModel({"s": signature([x], [x])}, {"s": breaks})
    with pytest.raises(MemoryError):
        shelf.graphs.acquire("k", HERE, published=True)
    assert len(shelf.engine.loaded) == 1
    assert shelf.engine.open_graphs == []


async def test_a_graph_is_not_freed_under_a_run_whose_caller_has_left(shelf: Shelf) -> None:
    """A request that timed out holds no version any more, but its run still holds the graph."""
    shared = shelf.graphs.acquire("k", HERE, published=True)
    gate = shelf.engine.models[HERE].run_gate = Gate()
    row = {"x": np.ones((1, 3), np.float32)}
    request = asyncio.create_task(shared.batchers["serving_default"].submit(row, lambda outputs: dict(outputs)))
    await gate.arrival()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    freeing = threading.Event()

    def free() -> None:
        freeing.set()
        shelf.graphs.release(shared)

    freed = asyncio.create_task(asyncio.to_thread(free))
    await asyncio.to_thread(freeing.wait)
    assert shelf.engine.open_graphs, "the run is still under way"
    gate.open()
    await freed
    assert shelf.engine.open_graphs == []
    assert shelf.observer.events[-1] == ("graph_freed", "k"), "and nothing is counted for it afterwards"


# --- May requests share a run? ----------------------------------------------------------------------------------------

counter = itertools.count()
rng = np.random.default_rng(7)


def numbers(function: Callable[[Array], Array], shape: tuple[int | None, ...] = (None, 2)) -> FakeModel:
    outputs = [spec("y", (None,) * len(shape))]
    functions: dict[str, Function] = {"s": lambda inputs: {"y": function(inputs["x"])}}
    return FakeModel({"s": signature([spec("x", shape)], outputs)}, functions)


@pytest.mark.parametrize(
    ("sentence", "model", "together"),
    [
        ("each row by itself", numbers(lambda x: x * 2), True),
        ("each row by itself, but for rounding", numbers(lambda x: x + len(x) * 1e-6), True),
        ("each row's own sum", numbers(lambda x: x.sum(axis=1)), True),
        ("less the mean of the batch", numbers(lambda x: x - x.mean(axis=0)), False),
        ("less the mean of one number a row", numbers(lambda x: x - x.mean(axis=0), (None,)), False),
        ("a share of the batch", numbers(lambda x: x / x.sum()), False),
        ("a rank in the batch", numbers(lambda x: x.argsort(axis=0).astype(np.float32)), False),
        ("random numbers", numbers(lambda x: rng.random(x.shape)), False),
        ("a counter of calls", numbers(lambda x: x + next(counter)), False),
        ("one number for the batch", numbers(lambda x: x.sum()), False),
        ("one row for the batch", numbers(lambda x: x.sum(axis=0, keepdims=True)), False),
        ("every row twice", numbers(lambda x: np.concatenate([x, x])), False),
        ("a row for each but the last", numbers(lambda x: x[:-1]), False),
    ],
)
def test_only_rows_that_are_independent_share_a_run(
    shelf: Shelf, sentence: str, model: FakeModel, together: bool
) -> None:
    shelf.engine.models[HERE] = model
    shared = shelf.graphs.acquire("k", HERE, published=False)
    assert shared.batchers["s"].together is together, sentence


@pytest.mark.parametrize("dtype", ["DT_INT32", "DT_UINT8", "DT_BOOL"])
@pytest.mark.parametrize("shape", [(None,), (None, 1), (None, 3)])
def test_what_a_model_does_across_its_batch_shows_for_integers_and_truths_too(
    shelf: Shelf, dtype: str, shape: tuple[int | None, ...]
) -> None:
    """There are few such numbers to draw, and rows that happen to be alike would hide it."""
    model = numbers(lambda x: x - x.astype(float).mean(axis=0), shape)
    x = spec("x", shape, dtype)
    model.signatures = {"s": signature([x], [spec("y", (None,) * len(shape))])}
    shelf.engine.models[HERE] = model
    assert not shelf.graphs.acquire("k", HERE, published=False).batchers["s"].together


def test_a_signature_with_a_fixed_first_dimension_is_not_batched_whoever_made_it(shelf: Shelf) -> None:
    shelf.engine.models[HERE] = numbers(lambda x: x, (4, 2))
    assert not shelf.graphs.acquire("k", HERE, published=True).batchers["s"].together


def test_strings_cannot_be_probed_so_only_our_own_models_are_believed(shelf: Shelf) -> None:
    text, y = spec("text", (None,), "DT_STRING"), spec("y", (None,))
    model = FakeModel({"s": signature([text], [y])}, {"s": lambda inputs: {"y": np.zeros(len(inputs["text"]))}})
    shelf.engine.models[HERE] = model
    assert shelf.graphs.acquire("ours", HERE, published=True).batchers["s"].together
    assert not shelf.graphs.acquire("anyone's", HERE, published=False).batchers["s"].together


def test_a_signature_that_does_not_take_generated_rows_runs_alone(shelf: Shelf) -> None:
    def picky(inputs: Tensors) -> dict[str, Array]:
        raise InvalidInput("at least 32 pixels, please")

    x = spec("x", (None, None))
    shelf.engine.models[HERE] = FakeModel({"s": signature([x], [x])}, {"s": picky})
    assert not shelf.graphs.acquire("k", HERE, published=True).batchers["s"].together


def test_generated_rows_suit_their_signature_and_are_the_same_each_time() -> None:
    inputs = [spec("f", (None, None, 3)), spec("n", (2,), "DT_INT8"), spec("b", (None,), "DT_BOOL")]
    one = signature(inputs, [])
    rows = generated_rows(one, 3)
    assert rows is not None
    one.check(rows)
    assert {alias: array.shape for alias, array in rows.items()} == {"f": (3, 4, 3), "n": (2,), "b": (3,)}
    again = generated_rows(one, 3)
    assert again is not None
    assert all((rows[alias] == again[alias]).all() for alias in rows)


# --- Warm-up ----------------------------------------------------------------------------------------------------------


def sizes_run(shelf: Shelf) -> list[int]:
    return [rows for name, rows in shelf.engine.loaded[-1][1].runs if name == "s"]


def test_every_power_of_two_is_run_before_the_first_request(shelf: Shelf) -> None:
    shelf.engine.models[HERE] = numbers(lambda x: x)
    shared = shelf.graphs.acquire("k", HERE, published=True)
    probes = len(sizes_run(shelf))
    shared.warm_up("s", None)
    assert sizes_run(shelf)[probes:] == [1, 2, 4, 8]
    shared.warm_up("s", None)
    assert len(sizes_run(shelf)) == probes + 4, "once for all who share the graph"


def test_what_is_not_batched_is_run_as_it_comes(shelf: Shelf) -> None:
    shelf.engine.models[HERE] = numbers(lambda x: x, (5, 2))
    shared = shelf.graphs.acquire("k", HERE, published=True)
    shared.warm_up("s", {"x": np.ones((5, 2), np.float32)})
    assert sizes_run(shelf) == [5]


def test_without_an_example_a_signature_with_a_fixed_batch_is_warmed_at_its_size(shelf: Shelf) -> None:
    shelf.engine.models[HERE] = numbers(lambda x: x, (5, 2))
    shelf.graphs.acquire("k", HERE, published=True).warm_up("s", None)
    assert sizes_run(shelf) == [5]


def test_a_generated_example_may_fail_and_a_given_one_must_not(shelf: Shelf) -> None:
    def picky(inputs: Tensors) -> dict[str, Array]:
        raise InvalidInput("never")

    x = spec("x", (None, 1))
    shelf.engine.models[HERE] = FakeModel(
        {"s": signature([x], [x]), "t": signature([x], [x])}, dict.fromkeys("st", picky)
    )
    shared = shelf.graphs.acquire("k", HERE, published=True)
    shared.warm_up("s", None)
    with pytest.raises(InvalidInput):
        shared.warm_up("t", {"x": np.ones((1, 1), np.float32)})


class Rules:
    """Limits by directory."""

    def limits(self, directory: Path) -> BatchLimits | None:
        return {HERE: BatchLimits(max_rows=6, allowed_rows=(3, 6))}.get(directory)


def test_a_version_may_bring_limits_of_its_own_and_is_warmed_by_them(shelf: Shelf) -> None:
    graphs = SharedGraphs(shelf.engine, shelf.lanes, BatchLimits(max_rows=8), shelf.observer, Rules())
    own, other = graphs.acquire("own", HERE, published=True), graphs.acquire("other", THERE, published=True)
    own.warm_up("serving_default", None)
    other.warm_up("serving_default", None)
    runs = [[rows for name, rows in graph.runs if name == "serving_default"] for _, graph in shelf.engine.loaded]
    assert [one[4:] for one in runs] == [[3, 6], [1, 2, 4, 8]], "the first four are the probe's"
    graphs.release(own)
    graphs.release(other)


def test_every_attempt_to_load_is_told_whatever_comes_of_it(shelf: Shelf) -> None:
    shelf.engine.models[HERE] = FakeModel({}, {}, broken="torn")
    with pytest.raises(ModelFailed, match="torn"):
        shelf.graphs.acquire("k", HERE, published=True)
    assert shelf.observer.events == [("load_attempted", HERE, False)]


def test_the_size_of_a_run_is_measured_where_nobody_sets_it_and_shown(shelf: Shelf) -> None:
    """Which it is cannot be told: the fake takes next to no time, whatever the rows."""
    shelf.engine.models[HERE] = numbers(lambda x: x)
    graphs = SharedGraphs(shelf.engine, shelf.lanes, BatchLimits(measured=True), shelf.observer)
    shared = graphs.acquire("k", HERE, published=True)
    shared.warm_up("s", None)
    sizes = sizes_run(shelf)
    assert {1, 2} <= set(sizes) <= set(range(1, 9)) | {16, 32}
    assert shared.batchers["s"].limits.max_rows in sizes
    assert shelf.observer.named("run_rows_chosen") == [("run_rows_chosen", "k", "s")]
    graphs.release(shared)


def test_a_version_whose_batching_is_set_is_not_measured(shelf: Shelf) -> None:
    shared = shelf.graphs.acquire("k", HERE, published=True)
    shared.warm_up("serving_default", None)
    assert shelf.observer.named("run_rows_chosen") == []
    assert shared.batchers["serving_default"].limits.max_rows == 8
