"""Choosing what is trained: by name, count and share, with batch normalisation in its three modes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.bases.surgery.cloning import clone
from training.bases.surgery.freezing import freeze, freeze_all, names_from, training_graph
from training.bases.surgery.layers import parameter_counts
from training.errors import BadRecipe
from training.recipe import Unfreeze


def network(keras: Any) -> Any:
    layers = []
    for place in (1, 2, 3):
        layers += [
            keras.layers.Conv2D(2, 1, name=f"conv{place}"),
            keras.layers.BatchNormalization(name=f"norm{place}"),
            keras.layers.ReLU(name=f"relu{place}"),
        ]
    return keras.Sequential([keras.Input((4, 4, 2)), *layers])


@pytest.mark.parametrize(
    ("unfreeze", "trained"),
    [
        (Unfreeze(last_n=1), ("conv3",)),
        (Unfreeze(last_n=9), ("conv1", "conv2", "conv3")),
        (Unfreeze(first_n_frozen=0), ("conv1", "conv2", "conv3")),
        (Unfreeze(first_n_frozen=2), ("conv3",)),
        (Unfreeze(fraction=0.33), ("conv3",)),
        (Unfreeze(fraction=0.5), ("conv2", "conv3")),
        (Unfreeze(fraction=1.0), ("conv1", "conv2", "conv3")),
        (Unfreeze(names=["conv1"]), ("conv1",)),
        (Unfreeze(names=["conv*"]), ("conv1", "conv2", "conv3")),
    ],
)
def test_what_is_trained_is_known_by_name(unfreeze: Unfreeze, trained: tuple[str, ...]) -> None:
    import keras

    model = network(keras)
    assert freeze(model, unfreeze) == trained
    assert {weight.path.split("/")[-2] for weight in model.trainable_weights} == set(trained)


def test_batch_normalisation_goes_with_the_layer_below() -> None:
    import keras

    model = network(keras)
    assert freeze(model, Unfreeze(last_n=2), "train") == ("conv2", "norm2", "conv3", "norm3")
    assert freeze(model, Unfreeze(last_n=2), "gamma_beta") == ("conv2", "norm2", "conv3", "norm3")
    assert freeze(model, Unfreeze(names=["conv2"]), "train") == ("conv2",)


@pytest.mark.parametrize(
    "unfreeze", [Unfreeze(first_n_frozen=3), Unfreeze(first_n_frozen=100), Unfreeze(names=["relu1"])]
)
def test_nothing_to_train_is_refused(unfreeze: Unfreeze) -> None:
    import keras

    with pytest.raises(BadRecipe, match=r"leaves nothing of the base to train: it has 3 layers .* conv1, conv2, conv3"):
        freeze(network(keras), unfreeze)


def test_everything_frozen_and_back_by_names() -> None:
    import keras

    model = network(keras)
    names = freeze(model, Unfreeze(fraction=0.5))
    again = clone(model)
    freeze_all(again)
    assert parameter_counts(again).trainable == 0
    assert freeze(again, Unfreeze(names=list(names))) == names


def test_a_shallow_network_counts_its_dense_layers_only() -> None:
    import keras

    layers = [keras.layers.Dense(5, name="one"), keras.layers.Dense(5, name="two")]
    model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0), *layers])
    assert freeze(model, Unfreeze(first_n_frozen=1)) == ("two",)
    assert names_from(model, 1) == ("one", "two")


def test_the_graph_for_gamma_and_beta_shares_its_layers() -> None:
    import keras

    model = network(keras)
    freeze(model, batch_norm="gamma_beta")
    graph = training_graph(model, "gamma_beta")
    rows = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype(np.float32)
    assert (np.asarray(graph(rows, training=True)) == np.asarray(model(rows, training=False))).all()
    graph.trainable_variables[0].assign(graph.trainable_variables[0] * 2)
    assert (np.asarray(graph(rows)) == np.asarray(model(rows))).all()
    assert training_graph(model, "train") is model
