"""Layers by address, and the tables that reports show."""

from __future__ import annotations

from typing import Any

import pytest

from training.bases.surgery.layers import layer_table, leaves, parameter_counts, resolve
from training.errors import BadRecipe


def network(keras: Any) -> Any:
    base = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="block5_conv1"), keras.layers.Flatten(name="flat")],
        name="base",
    )
    return keras.Sequential([keras.Input((8, 8, 3)), base, keras.layers.Dense(2, name="top")])


def test_a_nested_layer_has_the_address_of_its_model() -> None:
    import keras

    model = network(keras)
    assert [address for address, _ in leaves(model)] == ["base/block5_conv1", "base/flat", "top"]
    assert resolve(model, ["top", "block5_conv1"]) == ("base/block5_conv1", "top")
    assert resolve(model, ["base/*"]) == ("base/block5_conv1", "base/flat")


def test_a_name_that_is_not_there_brings_near_ones() -> None:
    import keras

    with pytest.raises(BadRecipe, match="did you mean base/block5_conv1"):
        resolve(network(keras), ["block5_conv3"])
    with pytest.raises(BadRecipe, match="there are base/block5_conv1, base/flat, top"):
        resolve(network(keras), ["xyzzy"])


def test_the_table_has_shapes_and_parameters() -> None:
    import keras

    model = network(keras)
    model.layers[0].trainable = False
    conv, flat, top = layer_table(model)
    assert (conv.name, conv.kind, conv.shape, conv.parameters, conv.trainable) == (
        "base/block5_conv1",
        "Conv2D",
        (None, 6, 6, 4),
        112,
        0,
    )
    assert (flat.shape, flat.parameters) == ((None, 144), 0)
    assert (top.parameters, top.trainable) == (290, 290)
    counts = parameter_counts(model)
    assert (counts.total, counts.trainable) == (402, 290)
