"""Wider layers that compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.bases.surgery.widening import widen
from training.errors import BadRecipe

IMAGES = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)


def network(keras: Any) -> Any:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(3, 3, name="conv1"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(4, 2, activation="relu", name="conv2"),
            keras.layers.Flatten(),
            keras.layers.Dense(6, "relu", name="dense"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, "softmax", name="out"),
        ]
    )
    draw = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(draw.uniform(0.1, 1.0, weight.shape) * draw.choice([-1, 1], weight.shape))
    model.get_layer("norm").moving_variance.assign([0.5, 1.0, 2.0])
    return model


@pytest.mark.parametrize(
    "units", [{"conv1": 5}, {"conv2": 9}, {"dense": 13}, {"conv1": 4, "conv2": 5, "dense": 30}], ids=str
)
def test_outputs_stay_the_same(units: dict[str, int]) -> None:
    import keras

    model = network(keras)
    wider = widen(model, units, 0)
    for name, width in units.items():
        layer = wider.get_layer(name)
        assert (layer.units if hasattr(layer, "units") else layer.filters) == width
    assert wider.count_params() > model.count_params()
    assert np.asarray(wider(IMAGES)) == pytest.approx(np.asarray(model(IMAGES)), abs=2e-6)


def test_copies_of_a_unit_do_not_get_equal_gradients() -> None:
    import keras
    import tensorflow as tf

    wider = widen(network(keras), {"dense": 12}, 0)
    kernel = wider.get_layer("dense").kernel
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(wider(IMAGES)[:, 0])
    gradient = tape.gradient(loss, kernel.value).numpy()
    columns = {tuple(column) for column in np.round(gradient[:, np.abs(gradient).sum(axis=0) > 0].T, 9)}
    alive = int((np.abs(gradient).sum(axis=0) > 0).sum())
    assert alive > 6
    assert len(columns) == alive


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({"dense": 6}, "not wider"),
        ({"out": 5}, "ends in softmax"),
        ({"norm": 5}, "is a BatchNormalization"),
        ({"dens": 9}, "did you mean dense"),
    ],
)
def test_what_cannot_be_widened(units: dict[str, int], words: str) -> None:
    import keras

    with pytest.raises(BadRecipe, match=words):
        widen(network(keras), units, 0)


def test_readers_that_mix_units_are_named() -> None:
    import keras

    inputs = keras.Input((4,))
    tensor = keras.layers.Dense(4, name="first")(inputs)
    tensor = keras.layers.LayerNormalization(name="mixing")(tensor)
    model = keras.Model(inputs, keras.layers.Dense(2)(tensor))
    with pytest.raises(BadRecipe, match="read by 'mixing'"):
        widen(model, {"first": 8}, 0)
    with pytest.raises(BadRecipe, match="model's output"):
        widen(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="last")]), {"last": 8}, 0)
