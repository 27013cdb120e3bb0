"""Which loops go on for as long as the values say that a caller sends, and which for as long as the shapes say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from once import once

from service.adapters.engines import saved_model_files
from service.adapters.engines.openvino import loops
from service.adapters.engines.openvino.rules import refusal

NUMBERS = tf.TensorSpec([None], tf.int32, "n")
SEQUENCES = tf.TensorSpec([None, None, 3], tf.float32, "x")


def counted(end: Any) -> Any:
    return tf.while_loop(lambda i: i < end, lambda i: i + 1, [0])[0]


@tf.function
def up_to_the_largest(n: Any) -> Any:
    return counted(tf.reduce_max(n))


BY_SHAPES = {
    "no_loop": lambda n: n * 2,
    "constant": lambda n: counted(3) + n,
    "size": lambda n: counted(tf.size(n)) + n,
    "each_row": lambda n: tf.map_fn(lambda one: one * one, n),
    "called_with_a_shape": lambda n: up_to_the_largest(tf.shape(n)) + n,
    "constant_about_values": lambda n: tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y + n), [0, n])[1],
}
BY_VALUES = {
    "until_a_value": lambda n: counted(tf.reduce_max(n)) + n,
    "while_a_value": lambda n: tf.while_loop(lambda i: tf.reduce_max(n) > 100, lambda i: i + 1, [0])[0] + n,
    "called_with_values": lambda n: up_to_the_largest(n) + n,
    "steps_of_a_value": lambda n: tf.while_loop(lambda i: i < 9, lambda i: i + tf.reduce_max(n), [0])[0] + n,
    "in_a_roundabout_way": lambda n: (
        tf.while_loop(lambda i, j, k: i < 9, lambda i, j, k: (i + j, k, tf.reduce_max(n)), [0, 1, 1])[0] + n
    ),
    "chosen_by_a_value": lambda n: counted(tf.cond(tf.reduce_sum(n) > 0, lambda: 1, lambda: 2)) + n,
    "given_by_a_branch": lambda n: counted(tf.cond(tf.size(n) > 3, lambda: tf.reduce_max(n), lambda: 2)) + n,
    "within_a_loop": lambda n: tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, counted(y[0]) + y), [0, n])[1],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(place: Path) -> None:
        module = tf.Module()
        module.lstm, module.gru = tf.keras.layers.LSTM(4), tf.keras.layers.GRU(4)
        recurrent = tf.function(
            lambda x: {"y": module.lstm(x, mask=tf.reduce_any(x != 0, -1)) + module.gru(x)}, input_signature=[SEQUENCES]
        )
        signatures = {
            name: tf.function(lambda n, of=of: {"y": of(n)}, input_signature=[NUMBERS])
            for name, of in {**BY_SHAPES, **BY_VALUES}.items()
        }
        tf.saved_model.save(module, str(place / "new"), {**signatures, "recurrent": recurrent})
        for name, values in (("old_by_shapes", False), ("old_by_values", True)):
            old(place / name, values)

    return once(tmp_path_factory, "loops", make)


def old(place: Path, values: bool) -> None:
    """As TensorFlow 1 wrote loops."""
    v1 = tf.compat.v1
    v1.disable_control_flow_v2()
    try:
        with v1.Graph().as_default(), v1.Session() as session:
            n = v1.placeholder(tf.int32, [None], "n")
            end = tf.reduce_max(n) if values else tf.size(n)
            y = v1.while_loop(lambda i: i < end, lambda i: i + 1, [tf.constant(0)]) + n
            v1.saved_model.simple_save(session, str(place), {"n": n}, {"y": y})
    finally:
        v1.enable_control_flow_v2()


@pytest.mark.parametrize("name", [*BY_SHAPES, "recurrent"])
def test_shapes_are_no_values(models: Path, name: str) -> None:
    assert not loops.depend_on_values(saved_model_files.read(models / "new"), name)


@pytest.mark.parametrize("name", BY_VALUES)
def test_values_are_followed_wherever_they_go(models: Path, name: str) -> None:
    file = saved_model_files.read(models / "new")
    assert loops.depend_on_values(file, name)
    assert refusal(file, name) == "how long a loop goes on depends on the values that are sent"


@pytest.mark.parametrize("values", [False, True], ids=["shapes", "values"])
def test_so_they_are_in_loops_of_single_operations(models: Path, values: bool) -> None:
    file = saved_model_files.read(models / f"old_by_{'values' if values else 'shapes'}")
    assert "LoopCond" in file.ops("serving_default")
    assert loops.depend_on_values(file, "serving_default") is values
