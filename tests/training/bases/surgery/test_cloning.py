"""Copies that share nothing with their source: weights, flags, vocabulary, nested models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.bases.surgery.cloning import clone, in_float32
from training.bases.surgery.replaying import nodes_in_order
from training.errors import BadBase


def nested(keras: Any) -> Any:
    """A convolution and its normalisation as a model inside another; both have a layer ``dense``."""
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(5, "relu", name="dense"),
        ],
        name="base",
    )
    model = keras.Sequential([keras.Input((6, 6, 1)), inner, keras.layers.Dense(3, "softmax", name="dense")])
    draw = np.random.default_rng(0)
    for weight in inner.get_layer("norm").weights:
        weight.assign(draw.uniform(0.5, 2, weight.shape))
    return model


ROWS = np.random.default_rng(1).normal(size=(5, 6, 6, 1)).astype(np.float32)


def test_a_copy_answers_alike_and_shares_no_weight() -> None:
    import keras

    model = nested(keras)
    before = [np.asarray(weight) for weight in model.weights]
    copy = clone(model)
    assert np.abs(np.asarray(copy(ROWS)) - np.asarray(model(ROWS))).max() < 1e-6
    for weight in copy.weights:
        weight.assign(weight + 1.0)
    assert all((np.asarray(now) == old).all() for now, old in zip(model.weights, before, strict=True))


def test_stock_cloning_gives_other_weights_and_sharing_changes_the_source() -> None:
    import keras

    model = nested(keras)
    stock = keras.models.clone_model(model)
    assert np.abs(np.asarray(stock.weights[0]) - np.asarray(model.weights[0])).max() > 0
    shared = keras.Sequential([keras.Input((6, 6, 1)), *model.layers[:-1], keras.layers.Dense(2)])
    before = np.asarray(model.weights[0])
    shared.weights[0].assign(shared.weights[0] + 1.0)
    assert (np.asarray(model.weights[0]) != before).all()


def test_nested_models_are_opened_and_names_that_clash_keep_their_path() -> None:
    import keras

    names = [layer.name for layer in clone(nested(keras)).layers[1:]]
    assert names == ["conv", "norm", "flat", "base__dense", "dense"]


def test_flags_of_inner_layers_are_copied() -> None:
    import keras

    model = nested(keras)
    model.layers[0].get_layer("conv").trainable = False
    copy = clone(model)
    assert not copy.get_layer("conv").trainable
    assert copy.get_layer("norm").trainable


def test_a_vocabulary_learned_from_data_and_adapted_statistics_are_copied() -> None:
    import keras
    import tensorflow as tf

    words = keras.layers.TextVectorization(output_sequence_length=4)
    words.adapt(["one two three", "two three", "three"])
    model = keras.Sequential(
        [keras.Input((), dtype="string"), words, keras.layers.Embedding(8, 3), keras.layers.GlobalAveragePooling1D()]
    )
    texts = tf.constant(["three one", "nobody knows"])
    assert (np.asarray(clone(model)(texts)) == np.asarray(model(texts))).all()
    scale = keras.layers.Normalization()
    scale.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)))
    numbers = keras.Sequential([keras.Input((4,)), scale, keras.layers.Dense(2)])
    rows = np.ones((3, 4), dtype=np.float32)
    assert (np.asarray(clone(numbers)(rows)) == np.asarray(numbers(rows))).all()


def test_narrow_computation_is_made_wide() -> None:
    import keras

    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, "relu", dtype="mixed_bfloat16"),
            keras.layers.Dense(2, "softmax", dtype="mixed_bfloat16"),
        ]
    )
    assert str(model.outputs[0].dtype) == "bfloat16"
    wide = in_float32(model)
    assert str(wide.outputs[0].dtype) == "float32"
    assert all(layer.compute_dtype == "float32" for layer in wide.layers)
    rows = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    gap = np.abs(np.asarray(wide(rows)) - np.asarray(model(rows)).astype(np.float32)).max()
    assert 0 < gap < 0.02


def test_hundreds_of_layers_are_no_deeper_than_one() -> None:
    import keras

    tensor = inputs = keras.Input((2,))
    for place in range(600):
        tensor = keras.layers.Activation("linear", name=f"step_{place}")(tensor)
    model = keras.Model(inputs, tensor)
    assert len(nodes_in_order(clone(model))) == 600


def test_a_model_with_two_inputs_is_refused() -> None:
    import keras

    left, right = keras.Input((2,)), keras.Input((2,))
    with pytest.raises(BadBase, match="2 inputs"):
        clone(keras.Model([left, right], keras.layers.Add()([left, right])))
