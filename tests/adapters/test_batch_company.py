"""A row's answer does not depend on which rows it shares a run with: through the batcher, over every engine there is.

Tolerances are what the engines were measured to keep: OpenVINO answers bitwise the same on one machine, and so do
heads, which are one product a row; TensorFlow computes a lone row otherwise than several, and differs by rounding.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import engine_models
import numpy as np
import pytest
from once import once
from serving_fakes import RecordingObserver, head_of

from service.adapters.engines.engine_cache import EngineCache
from service.adapters.engines.saved_model_engine import EngineWish, SavedModelEngine
from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.engines.trials import Trials
from service.application.batching import Batcher
from service.application.lanes import Lanes
from service.application.ports import Graph
from service.domain.batches import BatchLimits
from service.domain.heads import AnswerForm, Head
from service.domain.tensors import Array, Tensors, farthest

ROWS = 48
ENGINES = [
    pytest.param("tensorflow", 1e-4),
    pytest.param("openvino", 0.0, marks=pytest.mark.skipif(find_spec("openvino") is None, reason="it is not here")),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once(tmp_path_factory, "agreeable", engine_models.agreeable)


@pytest.fixture(scope="module")
def graphs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Graph]]:
    trials = Trials()
    chooser = SavedModelEngine(
        TensorFlowEngine(), trials, EngineCache(tmp_path_factory.mktemp("cache"), 1 << 30), EngineWish(lanes=2)
    )
    loaded: dict[str, Graph] = {"tensorflow": TensorFlowEngine().load(model)}
    if find_spec("openvino") is not None:
        loaded["openvino"] = chooser.load(model)
        assert loaded["openvino"].choices["conv"].engine == "openvino"
    yield loaded
    for graph in loaded.values():
        graph.close()
    trials.close()


def as_is(outputs: Tensors) -> dict[str, Array]:
    return dict(outputs)


def headed(head: Head, outputs: Tensors) -> dict[str, Array]:
    return head.answer(outputs["y"], AnswerForm.PREDICT)


@pytest.mark.parametrize(("engine", "tolerance"), ENGINES)
@pytest.mark.parametrize("seed", range(3))
async def test_an_answer_is_the_same_in_any_company(
    graphs: dict[str, Graph], engine: str, tolerance: float, seed: int
) -> None:
    """Requests of random sizes come together and leave together: as they are, and through different heads."""
    graph, chance = graphs[engine], random.Random(seed)
    images = np.random.default_rng(seed).normal(size=(ROWS, 8, 8, 2)).astype(np.float32)
    heads = [head_of(("a", "b", "c"), width=5, seed=number) for number in range(4)]
    finishes = [as_is, *(partial(headed, head) for head in heads)]
    lanes = Lanes(2)
    batcher = Batcher(
        "g",
        "conv",
        partial(graph.run, "conv"),
        together=True,
        lanes=lanes,
        limits=BatchLimits(max_rows=8),
        observer=RecordingObserver(),
    )

    async def one(start: int, size: int, number: int) -> None:
        finish = finishes[number]
        rows = images[start : start + size]
        alone = [finish(graph.run("conv", {"x": rows[at : at + 1]})) for at in range(size)]
        await asyncio.sleep(0)
        answer = await batcher.submit({"x": rows}, finish, flow=str(number))
        for alias, array in answer.items():
            expected = np.concatenate([each[alias] for each in alone])
            if tolerance and expected.dtype.kind == "f":
                assert farthest(expected, array) <= tolerance
            else:
                assert (expected == array).all(), alias

    try:
        for _ in range(5):
            sizes = [chance.randrange(1, 7) for _ in range(12)]
            starts = [chance.randrange(ROWS - size) for size in sizes]
            await asyncio.gather(*(one(*which, chance.randrange(5)) for which in zip(starts, sizes, strict=True)))
    finally:
        await asyncio.to_thread(lanes.close)
