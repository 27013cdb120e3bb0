"""TensorFlow Lite models through the engine port, and the choice between a version's two forms."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from serving_fakes import FakeEngine, scaling_model

from service.adapters.engines.by_files import EngineByFiles
from service.adapters.engines.tflite_engine import TfLiteEngine
from service.domain.errors import InvalidInput, ModelFailed

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with three signatures, in both forms."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
    def scaled(x: Any) -> Any:
        return {"y": 2.0 * x + 1.0}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "a"), tf.TensorSpec([None], tf.int64, "b")])
    def two(a: Any, b: Any) -> Any:
        return {"sum": a + b, "difference": a - b}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def echo(text: Any) -> Any:
        return {"text": tf.identity(text)}

    made = tmp_path_factory.mktemp("tflite")
    tf.saved_model.save(module, str(made), {"serving_default": scaled, "two": two, "echo": echo})
    (made / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(made)).convert())
    return made


def test_it_has_the_signatures_that_were_exported(directory: Path) -> None:
    graph = TfLiteEngine().load(directory)
    assert graph.engine == "tflite"
    assert graph.signatures.keys() == {"serving_default", "two", "echo"}
    described: Mapping[str, Any] = {
        alias: (one.dtype, one.shape) for alias, one in graph.signatures["two"].inputs.items()
    }
    assert described == {"a": ("DT_INT64", (None,)), "b": ("DT_INT64", (None,))}
    assert graph.signatures["serving_default"].inputs["x"].shape == (None, 3)
    assert graph.signatures["echo"].outputs["text"].dtype == "DT_STRING"
    assert graph.signatures["serving_default"].batched
    assert TfLiteEngine().signatures(directory).keys() == graph.signatures.keys()


def test_it_answers_any_number_of_rows_as_tensorflow_does(directory: Path) -> None:
    graph = TfLiteEngine().load(directory)
    for rows in (X, np.ones((7, 3), np.float32), X[:1]):
        assert graph.run("serving_default", {"x": rows})["y"].tolist() == (rows * 2 + 1).tolist()
    numbers = np.array([5, 7])
    both = graph.run("two", {"a": numbers, "b": numbers - 1})
    assert {alias: array.tolist() for alias, array in both.items()} == {"sum": [9, 13], "difference": [1, 1]}
    texts = np.array([b"one", b"\x00two", b"three"], object)
    assert graph.run("echo", {"text": texts})["text"].tolist() == texts.tolist()


def test_an_answer_stays_as_it_was_when_the_next_is_computed(directory: Path) -> None:
    graph = TfLiteEngine().load(directory)
    first = graph.run("serving_default", {"x": X})["y"]
    graph.run("serving_default", {"x": X * 100})
    assert first.tolist() == (X * 2 + 1).tolist()


def test_calls_at_once_do_not_mix(directory: Path) -> None:
    graph = TfLiteEngine().load(directory)
    inputs = [np.full((4, 3), number, np.float32) for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda x: graph.run("serving_default", {"x": x})["y"], inputs))
    assert all((answer == x * 2 + 1).all() for x, answer in zip(inputs, answers, strict=True))
    graph.close()


def test_inputs_it_does_not_take_are_the_callers_and_the_next_is_answered(directory: Path) -> None:
    graph = TfLiteEngine().load(directory)
    for wrong in ({"z": X}, {"x": X.astype(np.int32)}, {"x": X, "z": X}):
        with pytest.raises(InvalidInput):
            graph.run("serving_default", wrong)
    assert graph.run("serving_default", {"x": X})["y"].tolist() == (X * 2 + 1).tolist()


def test_a_model_without_signatures_has_one_of_its_tensors(tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
    def scaled(x: Any) -> Any:
        return 2.0 * x + 1.0

    converter = tf.lite.TFLiteConverter.from_concrete_functions([scaled.get_concrete_function()])
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    graph = TfLiteEngine().load(tmp_path)
    (signature,) = graph.signatures.values()
    (given,), (answer,) = signature.inputs, signature.outputs
    for rows in (X, X[:1]):
        assert graph.run("serving_default", {given: rows})[answer].tolist() == (rows * 2 + 1).tolist()


def test_what_is_no_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match=r"model\.tflite cannot be read"):
        TfLiteEngine().load(tmp_path)
    (tmp_path / "model.tflite").write_bytes(b"junk")
    with pytest.raises(ModelFailed, match=r"TensorFlow Lite cannot load model\.tflite"):
        TfLiteEngine().load(tmp_path)


@pytest.mark.parametrize(
    ("files", "prefer", "chosen"),
    [
        ({"saved_model.pb"}, False, "saved_model"),
        ({"saved_model.pb"}, True, "saved_model"),
        ({"saved_model.pb", "model.tflite"}, False, "saved_model"),
        ({"saved_model.pb", "model.tflite"}, True, "tflite"),
        ({"model.tflite"}, False, "tflite"),
        (set(), True, "saved_model"),
    ],
)
def test_the_files_and_the_preference_choose_the_engine(
    tmp_path: Path, files: set[str], prefer: bool, chosen: str
) -> None:
    for name in files:
        (tmp_path / name).touch()
    engines = {"saved_model": FakeEngine(), "tflite": FakeEngine()}
    engines[chosen].models[tmp_path] = scaling_model()
    engine = EngineByFiles(engines["saved_model"], engines["tflite"], prefer_tflite=prefer)
    assert engine.signatures(tmp_path).keys() == {"serving_default", "features"}
    assert engine.load(tmp_path) is engines[chosen].loaded[0][1]


def test_both_engines_may_be_asked_at_once_before_tensorflow_is_there(directory: Path) -> None:
    """In a new process: two threads that begin to import TensorFlow at different ends would fail one another."""
    program = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from service.adapters.engines.importing import IMPORTING
from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.engines.tflite_engine import TfLiteEngine

directory = Path(sys.argv[1])
engines = TfLiteEngine(), TensorFlowEngine()
with ThreadPoolExecutor() as threads:
    with IMPORTING:
        asked = [threads.submit(engine.load, directory) for engine in engines for _ in range(2)]
        assert not any(one.done() for one in asked) and "tensorflow" not in sys.modules
    print(*(one.result().engine for one in asked))
"""
    ran = subprocess.run([sys.executable, "-c", program, str(directory)], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["tflite", "tflite", "tensorflow", "tensorflow"]
