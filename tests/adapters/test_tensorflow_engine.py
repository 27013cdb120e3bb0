"""TensorFlow as an engine: SavedModels of every age, every kind of signature, and every way to be broken."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import saved_models
from serving_fakes import FakeEngine, RecordingObserver, scaling_model

from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.application.graphs import SharedGraphs
from service.application.lanes import Lanes
from service.application.ports import Engine, Graph
from service.domain.batches import BatchLimits
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.tensors import DEFAULT_SIGNATURE, TensorSpec

ENGINE = TensorFlowEngine()
ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("saved_models")


def built(home: Path, make: Callable[..., Any], name: str = "", **options: Any) -> Path:
    """The directory of one SavedModel, made once."""
    directory = home / (name or make.__name__)
    if not directory.exists():
        make(directory, **options)
    return directory


@pytest.fixture(scope="module")
def curious(home: Path) -> Iterator[Graph]:
    graph = ENGINE.load(built(home, saved_models.curiosities))
    yield graph
    graph.close()


# --- What fake and real have in common --------------------------------------------------------------------------------


@pytest.fixture(params=["fake", "tensorflow"])
def engine_and_model(request: pytest.FixtureRequest, home: Path) -> tuple[Engine, Path]:
    if request.param == "tensorflow":
        return ENGINE, built(home, saved_models.scaling)
    fake = FakeEngine()
    fake.models[home / "scaling"] = scaling_model()
    return fake, home / "scaling"


def test_contract_the_signatures_are_the_same_before_and_after_loading(engine_and_model: tuple[Engine, Path]) -> None:
    engine, directory = engine_and_model
    signatures = engine.signatures(directory)
    assert signatures.keys() == {"serving_default", "features"}
    assert signatures["serving_default"].inputs["x"].shape == (None, 3)
    assert signatures["features"].outputs["embedding"].dtype == "DT_FLOAT"
    assert all(signature.batched for signature in signatures.values())
    graph = engine.load(directory)
    assert graph.signatures == signatures
    assert graph.engine
    graph.close()


def test_contract_a_run_answers_by_the_names_of_the_signature(engine_and_model: tuple[Engine, Path]) -> None:
    engine, directory = engine_and_model
    graph = engine.load(directory)
    for name, alias in (("serving_default", "y"), ("features", "embedding")):
        outputs = graph.run(name, {"x": ROWS})
        assert outputs.keys() == {alias}
        assert outputs[alias].tolist() == (ROWS * 2 + 1).tolist()
        assert outputs[alias].dtype == np.float32
    graph.close()


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": ROWS.astype(np.int32)},
        {"x": np.array([["a", "b", "c"]])},
        {"z": ROWS},
        {"x": ROWS, "z": ROWS},
        {},
    ],
    ids=["type", "text", "name", "more", "none"],
)
def test_contract_inputs_that_do_not_fit_are_the_callers_fault(
    engine_and_model: tuple[Engine, Path], inputs: dict[str, np.ndarray]
) -> None:
    engine, directory = engine_and_model
    graph = engine.load(directory)
    with pytest.raises(InvalidInput):
        graph.run("serving_default", inputs)
    assert graph.run("serving_default", {"x": ROWS})["y"].shape == (2, 3), "and do no harm"
    graph.close()


def test_contract_a_run_may_be_one_of_several_at_once(engine_and_model: tuple[Engine, Path]) -> None:
    engine, directory = engine_and_model
    graph = engine.load(directory)
    with ThreadPoolExecutor(4) as threads:
        inputs = [np.full((1 + number % 3, 3), number, np.float32) for number in range(40)]
        outputs = threads.map(lambda x: graph.run("serving_default", {"x": x})["y"], inputs)
        assert [y.tolist() for y in outputs] == [(x * 2 + 1).tolist() for x in inputs]
    graph.close()


def test_contract_what_is_not_there_cannot_be_read_or_loaded(engine_and_model: tuple[Engine, Path]) -> None:
    engine, directory = engine_and_model
    for act in (engine.signatures, engine.load):
        with pytest.raises(ModelFailed):
            act(directory / "nowhere")


# --- SavedModels of every age -----------------------------------------------------------------------------------------


def test_a_keras_export_answers_as_keras_does(home: Path) -> None:
    directory = home / "keras"
    model = saved_models.keras_export(directory)
    graph = ENGINE.load(directory)
    rng = np.random.default_rng(0)
    a, b = rng.random((5, 4), np.float32), rng.random((5, 2), np.float32)
    assert {alias: spec.shape for alias, spec in graph.signatures[DEFAULT_SIGNATURE].inputs.items()} == {
        "a": (None, 4),
        "b": (None, 2),
    }
    (output,) = graph.run(DEFAULT_SIGNATURE, {"a": a, "b": b}).values()
    np.testing.assert_allclose(output, model.predict_on_batch([a, b]), rtol=1e-5)
    graph.close()


def test_a_model_of_tensorflow_1_with_plain_variables_answers(home: Path) -> None:
    graph = ENGINE.load(built(home, saved_models.half_plus_two_of_tf1))
    assert graph.signatures[DEFAULT_SIGNATURE].inputs["x"] == TensorSpec("x", "DT_FLOAT", (None, 2), "x:0")
    assert graph.signatures[DEFAULT_SIGNATURE].method == "tensorflow/serving/predict"
    assert graph.run(DEFAULT_SIGNATURE, {"x": ROWS[:, :2]})["y"].tolist() == (ROWS[:, :2] / 2 + 2).tolist()
    graph.close()


def test_a_table_from_an_asset_is_filled_when_it_is_loaded(home: Path) -> None:
    graph = ENGINE.load(built(home, saved_models.words_of_tf1))
    words = np.array([b"two", b"zero", b"ten"], dtype=object)
    assert graph.run(DEFAULT_SIGNATURE, {"text": words})["number"].tolist() == [2, 0, -1]
    assert graph.run("odd", {"my text:0": words})["the-number"].tolist() == [2, 0, -1], (
        "names that Python could not say"
    )
    graph.close()


def test_a_variable_that_nobody_set_is_the_models_fault_and_not_the_callers(curious: Graph) -> None:
    with pytest.raises(ModelFailed, match="never"):
        curious.run("unset", {"x": np.ones(1, np.float32)})


# --- Signatures of every kind -----------------------------------------------------------------------------------------


def test_a_signature_without_inputs(curious: Graph) -> None:
    assert curious.signatures["nothing_in"].inputs == {}
    assert not curious.signatures["nothing_in"].batched
    assert curious.run("nothing_in", {})["answer"].tolist() == 42


@pytest.mark.parametrize("words", [["für", ""], [], ["x" * 10_000]])
@pytest.mark.parametrize("dtype", [object, "S"])
def test_strings_in_and_out(curious: Graph, words: list[str], dtype: Any) -> None:
    text = np.array([word.encode() for word in words], dtype=dtype)
    outputs = curious.run("shout", {"text": text})
    assert outputs["text"].tolist() == [
        word.encode().replace(b"f", b"F").replace(b"r", b"R").replace(b"x", b"X") for word in words
    ]
    assert outputs["length"].tolist() == [len(word.encode()) for word in words]


def test_several_inputs_and_outputs_of_other_types(curious: Graph) -> None:
    inputs = {
        "i": np.array([1, -2], np.int32),
        "u": np.array([1, 255], np.uint8),
        "b": np.array([True, False]),
        "d": np.array([1.0, 2.0]),
        "h": np.array([0.5, 1.5], np.float16),
    }
    curious.signatures["types"].check(inputs)
    outputs = curious.run("types", inputs)
    assert {alias: array.tolist() for alias, array in outputs.items()} == {
        "i": [2, -1],
        "u": [2, 0],
        "b": [False, True],
        "d": [1 / 3, 2 / 3],
        "h": [1, 3],
    }
    assert {alias: array.dtype for alias, array in outputs.items()} == {a: x.dtype for a, x in inputs.items()}


def test_an_unknown_rank_takes_anything_and_is_not_batched(curious: Graph) -> None:
    assert curious.signatures["any_rank"].inputs["x"].shape is None
    assert not curious.signatures["any_rank"].batched
    assert curious.run("any_rank", {"x": np.ones((2, 2, 2), np.float32)})["y"] == 8
    assert curious.run("any_rank", {"x": np.float32(3)})["y"] == 3


@pytest.mark.parametrize(
    ("signature", "inputs", "text"),
    [
        ("pick", {"n": np.array([7], np.int32)}, "indices[0] = 7 is not in [0, 3)"),
        ("parse", {"raw": np.array([b""], dtype=object)}, "slice index 0 of dimension 0 out of bounds."),
        ("asserted", {"x": np.array([-1], np.float32)}, "assertion failed: [only positive numbers, please"),
    ],
)
def test_values_that_the_graph_refuses_are_the_callers_fault(
    curious: Graph, signature: str, inputs: dict[str, np.ndarray], text: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        curious.run(signature, inputs)
    assert str(caught.value).startswith(text), "and not with where in the graph"


def test_which_signatures_may_be_batched_is_seen_by_running_them(home: Path) -> None:
    """The probe, over a real graph."""
    directory, lanes = built(home, saved_models.curiosities), Lanes(1)
    graphs = SharedGraphs(ENGINE, lanes, BatchLimits(), RecordingObserver())
    shared = graphs.acquire("k", directory, published=False)
    together = {name for name, batcher in shared.batchers.items() if batcher.together}
    assert together == {"types", "brain", "pick", "asserted"}
    graphs.release(shared)
    lanes.close()


# --- Broken ones ------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built(home, saved_models.scaling), tmp_path / "copy"))


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x00" * 100])
def test_a_broken_graph_cannot_be_loaded(copy: Path, content: bytes) -> None:
    (copy / "saved_model.pb").write_bytes(content)
    for act in (ENGINE.signatures, ENGINE.load):
        with pytest.raises(ModelFailed, match=r"saved_model\.pb"):
            act(copy)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_half_a_graph_cannot_be_loaded(copy: Path, share: float) -> None:
    whole = (copy / "saved_model.pb").read_bytes()
    (copy / "saved_model.pb").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelFailed):
        ENGINE.load(copy)


@pytest.mark.parametrize("file", ["variables.index", "variables.data-00000-of-00001"])
@pytest.mark.parametrize("how", ["missing", "empty", "half"])
def test_missing_or_broken_variables_cannot_be_loaded(copy: Path, file: str, how: str) -> None:
    path = copy / "variables" / file
    whole = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(whole[: len(whole) // 2] if how == "half" else b"")
    with pytest.raises(ModelFailed, match="TensorFlow cannot load it"):
        ENGINE.load(copy)


def edited(directory: Path, edit: Callable[[Any], None]) -> Path:
    from tensorflow.core.protobuf import saved_model_pb2

    file = directory / "saved_model.pb"
    proto = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    edit(proto)
    file.write_bytes(proto.SerializeToString())
    return directory


@pytest.mark.parametrize("tags", [["train"], [], ["serve", "gpu"]])
def test_a_graph_for_another_purpose_is_refused_with_its_tags(copy: Path, tags: list[str]) -> None:
    edited(copy, lambda proto: proto.meta_graphs[0].meta_info_def.ClearField("tags"))
    edited(copy, lambda proto: proto.meta_graphs[0].meta_info_def.tags.extend(tags))
    for act in (ENGINE.signatures, ENGINE.load):
        with pytest.raises(ModelFailed, match="no graph tagged 'serve'") as caught:
            act(copy)
        assert str([sorted(tags)]) in str(caught.value)


def test_the_signatures_are_those_of_the_graph_that_is_loaded(copy: Path) -> None:
    """Of several graphs in one file the one for serving alone is meant."""

    def with_another_in_front(proto: Any) -> None:
        serving = proto.meta_graphs[0]
        other = proto.meta_graphs.add()
        other.CopyFrom(serving)
        serving.meta_info_def.tags.append("gpu")
        del serving.signature_def["features"]

    assert ENGINE.signatures(edited(copy, with_another_in_front)).keys() == {"serving_default", "features"}


def test_a_type_of_a_later_tensorflow_is_named_by_its_number(copy: Path) -> None:
    def later(proto: Any) -> None:
        proto.meta_graphs[0].signature_def["serving_default"].inputs["x"].dtype = 999

    assert ENGINE.signatures(edited(copy, later))["serving_default"].inputs["x"].dtype == "999"


def test_a_signature_that_the_graph_does_not_have_is_a_failed_load(copy: Path) -> None:
    def ghost(proto: Any) -> None:
        graph = proto.meta_graphs[0]
        graph.signature_def["ghost"].CopyFrom(graph.signature_def["features"])

    edited(copy, ghost)
    with pytest.raises(ModelFailed):
        ENGINE.load(copy)


def test_a_closed_graph_lets_go_of_its_variables(home: Path) -> None:
    graph = ENGINE.load(built(home, saved_models.scaling))
    graph.run("serving_default", {"x": ROWS})
    variable = weakref.ref(graph._loaded.variables[0] if hasattr(graph._loaded, "variables") else graph._loaded)
    graph.close()
    gc.collect()
    assert variable() is None
