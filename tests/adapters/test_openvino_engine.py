"""OpenVINO as an engine: it runs what it answers as TensorFlow does, and nothing else."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import engine_models
import numpy as np
import pytest
from once import once
from thread_priority import lower, priority

from service.adapters.engines.chosen_graph import ChosenGraph
from service.adapters.engines.engine_cache import EngineCache
from service.adapters.engines.saved_model_engine import EngineWish, SavedModelEngine
from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.engines.trials import Trials
from service.application.ports import Graph
from service.domain.engines import TOLERANCE
from service.domain.errors import InvalidInput, ModelFailed, NotSupported
from service.domain.tensors import DEFAULT_SIGNATURE, Tensors, farthest

MODELS = (
    engine_models.agreeable,
    engine_models.disagreeable,
    engine_models.tables,
    engine_models.beside_text,
    engine_models.keras_saved,
)
AGREEABLE = (
    "bytes_in",
    "conv",
    "dense",
    "embedding",
    "fixed",
    "free",
    "looped",
    "named",
    "over_the_batch",
    "two_in_two_out",
)
REFUSALS = {
    "any_rank": "may have any rank",
    "asserted": "CheckNumerics",
    "counted": "AssignAddVariableOp",
    "divided": "is divided by",
    "endless": "how long a loop goes on",
    "indexed": "decides an index that would not be checked",
    "long": "is off by",
    "noisy": "RandomStandardNormal",
    "printed": "PrintV2",
    "sized": "decides how much is computed",
    "text": "DT_STRING",
    "turned": "how long a loop goes on",
    "turned_within": "goes through a loop",
    "unique": "Unique",
    "wide": "DT_DOUBLE",
    "xdivy": "Xdivy",
}
TENSORFLOW = TensorFlowEngine()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(directory: Path) -> None:
        for one in MODELS:
            one(directory / one.__name__)

    return once(tmp_path_factory, "engine-models", make)


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    trials = Trials()
    yield trials
    trials.close()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, trials: Trials) -> SavedModelEngine:
    cache = once(tmp_path_factory, "engine-cache", lambda directory: directory.mkdir())
    return SavedModelEngine(TENSORFLOW, trials, EngineCache(cache, 1 << 30), EngineWish(lanes=2))


@pytest.fixture(scope="module")
def graph(engine: SavedModelEngine, models: Path) -> Iterator[ChosenGraph]:
    graph = engine.load(models / "agreeable")
    yield graph
    graph.close()


@pytest.fixture(scope="module")
def reference(models: Path) -> Iterator[Graph]:
    graph = TENSORFLOW.load(models / "agreeable")
    yield graph
    graph.close()


def inputs_of(name: str, rows: int, seed: int = 0) -> Tensors:
    rng = np.random.default_rng(seed)
    match name:
        case "conv":
            return {"x": rng.normal(size=(rows, 8, 8, 2)).astype(np.float32)}
        case "embedding":
            return {"ids": rng.integers(0, 7, (rows, 5)).astype(np.int32)}
        case "two_in_two_out":
            a, b = rng.normal(size=(rows, 4)), rng.normal(size=(rows, 3))
            return {"a": a.astype(np.float32), "b": b.astype(np.float32)}
        case "bytes_in":
            return {"pixels": rng.integers(0, 256, (rows, 3)).astype(np.uint8)}
        case "fixed":
            return {"x": rng.normal(size=(2, 4)).astype(np.float32)}
        case "free":
            return {"x": rng.normal(size=(rows, 1 + seed % 9, 4)).astype(np.float32)}
        case "over_the_batch":
            return {"x": rng.normal(size=(rows, 3)).astype(np.float32)}
        case _:
            return {"x": rng.normal(size=(rows, 4)).astype(np.float32)}


# --- What it runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AGREEABLE)
def test_what_it_answers_as_tensorflow_does_it_runs(graph: Graph, reference: Graph, name: str) -> None:
    choice = graph.choices[name]
    assert (choice.engine, choice.precision) == ("openvino", "f32"), choice.reason
    assert choice.difference is not None
    assert choice.difference <= TOLERANCE
    for rows in (1, 3, 2, 5):
        inputs = inputs_of(name, rows, seed=rows)
        expected, outputs = reference.run(name, inputs), graph.run(name, inputs)
        assert outputs.keys() == expected.keys()
        for alias, array in expected.items():
            assert outputs[alias].dtype == array.dtype
            assert farthest(array, outputs[alias]) <= TOLERANCE


def test_the_engine_of_a_graph_is_that_of_its_default_signature(graph: Graph) -> None:
    assert graph.engine == "openvino"
    assert graph.choices.keys() == graph.signatures.keys() == {*AGREEABLE, DEFAULT_SIGNATURE}


def test_what_it_runs_takes_the_same_time_for_all_values(graph: Graph) -> None:
    assert all(choice.steady for choice in graph.choices.values())


def test_a_keras_model_that_was_saved_and_not_exported_runs_too(engine: SavedModelEngine, models: Path) -> None:
    graph, reference = engine.load(models / "keras_saved"), TENSORFLOW.load(models / "keras_saved")
    assert graph.engine == "openvino", graph.choices
    inputs = inputs_of("dense", 3)
    assert farthest(reference.run(DEFAULT_SIGNATURE, inputs)["y"], graph.run(DEFAULT_SIGNATURE, inputs)["y"]) < 1e-5
    graph.close()


def test_a_table_from_numbers_runs_and_one_from_words_stays(engine: SavedModelEngine, models: Path) -> None:
    graph = engine.load(models / "tables")
    assert {name: choice.engine for name, choice in graph.choices.items()} == {
        "number": "openvino",
        "word": "tensorflow",
    }
    assert graph.run("number", {"n": np.array([5, 4, 3])})["y"].tolist() == [50.0, -1.0, 30.0]
    assert graph.run("word", {"word": np.array([b"b", b"c"], object)})["y"].tolist() == [2.0, -1.0]
    graph.close()


def test_words_come_as_bytes(graph: Graph) -> None:
    classes = graph.run("named", inputs_of("named", 2))["classes"]
    assert classes.dtype == object
    assert set(classes.ravel()) <= {b"ja", "für".encode(), b"no"}


# --- What it does not run ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def refusing(engine: SavedModelEngine, models: Path) -> Iterator[ChosenGraph]:
    graph = engine.load(models / "disagreeable")
    yield graph
    graph.close()


@pytest.mark.parametrize("name", REFUSALS)
def test_what_it_would_answer_otherwise_stays_on_tensorflow(refusing: Graph, name: str) -> None:
    choice = refusing.choices[name]
    assert choice.engine == "tensorflow"
    assert choice.difference is None
    assert REFUSALS[name] in choice.reason


def test_what_stays_on_tensorflow_answers_as_ever(refusing: Graph) -> None:
    assert refusing.run("unique", {"x": np.array([3, 1, 3, 2], np.int32)})["y"].tolist() == [3, 1, 2]
    assert refusing.run("xdivy", {"x": np.zeros(1, np.float32)})["y"].tolist() == [0.0]
    first, second = (refusing.run("counted", {"x": np.ones((1, 2), np.float32)})["y"][0, 0] for _ in range(2))
    assert second == first + 1


# --- Requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in AGREEABLE if name not in ("fixed", "over_the_batch")])
def test_a_rows_answer_is_the_same_to_the_bit_in_any_company(graph: Graph, name: str) -> None:
    rng, rows = np.random.default_rng(1), 17
    inputs = inputs_of(name, rows)
    alone = [graph.run(name, {alias: array[i : i + 1] for alias, array in inputs.items()}) for i in range(rows)]
    for size in (2, 3, 8, 17):
        chosen = rng.permutation(rows)[:size]
        together = graph.run(name, {alias: array[chosen] for alias, array in inputs.items()})
        for alias, array in together.items():
            for at, row in enumerate(chosen):
                assert array[at].tobytes() == alone[row][alias][0].tobytes() or array.dtype == object
                assert (array[at] == alone[row][alias][0]).all()


def test_an_answer_is_the_callers_own(graph: Graph) -> None:
    first = graph.run("dense", inputs_of("dense", 3, seed=1))["y"]
    kept = first.copy()
    graph.run("dense", inputs_of("dense", 3, seed=2))
    assert (first == kept).all()
    assert first.flags.writeable


def test_inputs_that_may_not_be_written_or_lie_apart_are_taken(graph: Graph) -> None:
    x = inputs_of("dense", 6)["x"]
    expected = graph.run("dense", {"x": x[::2].copy()})["y"]
    apart = x[::2]
    apart.flags.writeable = False
    assert (graph.run("dense", {"x": apart})["y"] == expected).all()


def test_an_empty_batch_is_answered(graph: Graph) -> None:
    assert graph.run("dense", {"x": np.zeros((0, 4), np.float32)})["y"].shape == (0, 3)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("dense", {"x": np.zeros((1, 4), np.float64)}),
        ("dense", {"x": np.zeros((1, 5), np.float32)}),
        ("dense", {"x": np.zeros(4, np.float32)}),
        ("dense", {"z": np.zeros((1, 4), np.float32)}),
        ("dense", {}),
        ("dense", {"x": np.array([["a", "b", "c", "d"]])}),
        ("two_in_two_out", {"a": np.zeros((2, 4), np.float32), "b": np.zeros((3, 3), np.float32)}),
        ("embedding", {"ids": np.zeros((1, 5), np.int64)}),
    ],
    ids=["float64", "width", "rank", "name", "none", "text", "unequal", "int64"],
)
def test_what_tensorflow_refuses_is_refused(graph: Graph, reference: Graph, name: str, inputs: Tensors) -> None:
    for one in (graph, reference):
        with pytest.raises(InvalidInput):
            one.run(name, inputs)
    assert graph.run(name, inputs_of(name, 2)), "and does no harm"


@pytest.mark.parametrize("index", [-1, 7, 2**31 - 1])
def test_an_index_beyond_the_table_is_refused_in_tensorflows_words(graph: Graph, reference: Graph, index: int) -> None:
    ids = np.zeros((2, 5), np.int32)
    ids[1, 3] = index
    said = []
    for one in (graph, reference):
        with pytest.raises(InvalidInput) as caught:
            one.run("embedding", {"ids": ids})
        said.append(str(caught.value))
    assert said[0] == f"indices[1,3] = {index} is not in [0, 7)"
    assert said[1].startswith(said[0])


def test_eight_threads_get_each_their_own_answers(graph: Graph) -> None:
    inputs = [inputs_of("conv", 1 + seed % 5, seed) for seed in range(160)]
    expected = [graph.run("conv", one)["y"] for one in inputs]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda one: graph.run("conv", one)["y"], inputs))
    assert all((got == want).all() for got, want in zip(answers, expected, strict=True))


def test_a_graph_runs_in_threads_of_ordinary_priority_although_loaders_have_a_lower_one(
    tmp_path: Path, trials: Trials, models: Path
) -> None:
    # OpenVINO gives the threads of a graph that is gone to another with as many lanes. Nobody else here has three, and
    # the first one, whose trial starts threads of its own, is still there.
    engine = SavedModelEngine(TENSORFLOW, trials, EngineCache(tmp_path, 1 << 30), EngineWish(lanes=3))

    def threads() -> set[int]:
        return {int(one.name) for one in Path("/proc/self/task").iterdir()}

    first, before = engine.load(models / "keras_saved"), threads()
    with ThreadPoolExecutor(1, initializer=lower) as loader:
        graph = loader.submit(engine.load, models / "keras_saved").result()
        own = loader.submit(threading.get_native_id).result()
    # A thread that was joined may still be listed for a moment.
    made = threads() - before - {own}
    assert graph.choices[DEFAULT_SIGNATURE].engine == "openvino"
    assert made
    assert {os.getpriority(os.PRIO_PROCESS, one) for one in made} == {priority()}
    graph.close()
    first.close()


def test_what_tensorflow_gives_a_row_differs_with_its_company_by_rounding_alone(reference: Graph) -> None:
    inputs = inputs_of("conv", 9)
    together = reference.run("conv", inputs)["y"]
    alone = np.concatenate([reference.run("conv", {"x": inputs["x"][i : i + 1]})["y"] for i in range(9)])
    assert farthest(together, alone) <= 1e-4


# --- What an operator asks for ----------------------------------------------------------------------------------------


def engine_for(tmp_path: Path, trials: Trials, **wish: str) -> SavedModelEngine:
    return SavedModelEngine(TENSORFLOW, trials, EngineCache(tmp_path, 1 << 30), EngineWish(lanes=1, **wish))


def test_tensorflow_may_be_asked_for(tmp_path: Path, trials: Trials, models: Path) -> None:
    engine = engine_for(tmp_path / "engines", trials, engine="tensorflow")
    graph = engine.load(models / "agreeable")
    assert {(choice.engine, choice.reason) for choice in graph.choices.values()} == {("tensorflow", "as was asked for")}
    assert not (tmp_path / "engines").exists(), "nothing was tried"
    graph.close()


def test_where_openvino_alone_is_asked_for_what_it_cannot_run_does_not_load(
    tmp_path: Path, trials: Trials, models: Path
) -> None:
    engine = engine_for(tmp_path, trials, engine="openvino")
    with pytest.raises(ModelFailed, match="OpenVINO was asked for and cannot run it: input 'x' may have any rank"):
        engine.load(models / "disagreeable")
    graph = engine.load(models / "beside_text")
    assert graph.engine == "openvino"
    with pytest.raises(NotSupported):
        graph.run("parsed", {"text": np.array([b"1"], object)})
    graph.close()


def test_another_precision_is_not_refused_and_says_how_far_it_is_off(
    tmp_path: Path, trials: Trials, models: Path
) -> None:
    engine = engine_for(tmp_path, trials, precision="bf16")
    graph = engine.load(models / "agreeable")
    choice = graph.choices["conv"]
    assert (choice.engine, choice.precision, choice.reason) == ("openvino", "bf16", "as was asked for")
    assert choice.difference is not None
    assert choice.agreement is not None
    assert choice.tolerance > choice.difference
    assert "top-1" in str(choice)
    graph.close()


def test_other_weights_under_the_same_path_are_another_model(tmp_path: Path, engine: SavedModelEngine) -> None:
    place, inputs = tmp_path / "model", inputs_of("dense", 2)
    answers = []
    for seed in (1, 2):
        engine_models.agreeable(place, seed)
        graph, reference = engine.load(place), TENSORFLOW.load(place)
        answers.append(graph.run("dense", inputs)["y"])
        assert farthest(reference.run("dense", inputs)["y"], answers[-1]) < 1e-5
        graph.close()
        reference.close()
        shutil.rmtree(place)
    assert farthest(*answers) > 0.01
