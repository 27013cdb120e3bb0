"""Fresh weights: other values than before, other values in each layer, the same ones for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.bases.surgery.cloning import clone
from training.bases.surgery.reinitialising import reinitialise
from training.errors import BadRecipe


def network(keras: Any) -> Any:
    shared = keras.initializers.GlorotUniform(seed=1)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, kernel_initializer=shared, name="first"),
            keras.layers.Dense(4, kernel_initializer=shared, name="second"),
        ]
    )


def kernel(model: Any, name: str) -> Any:
    return np.asarray(model.get_layer(name).kernel)


def test_only_the_named_layer_starts_anew() -> None:
    import keras

    model = network(keras)
    before = kernel(model, "first")
    assert reinitialise(model, ["second"], 7) == ("second",)
    assert (kernel(model, "first") == before).all()
    assert (kernel(model, "second") != before).any()


def test_each_layer_and_each_seed_draws_for_itself_and_can_be_drawn_again() -> None:
    import keras

    model = network(keras)
    # The trap: one seeded initialiser gives the same values to whoever calls it.
    assert (kernel(model, "first") == kernel(model, "second")).all()
    reinitialise(model, ["first", "second"], 7)
    assert (kernel(model, "first") != kernel(model, "second")).any()
    again, other = clone(model), clone(model)
    reinitialise(again, ["first", "second"], 7)
    reinitialise(other, ["first", "second"], 8)
    assert (kernel(again, "first") == kernel(model, "first")).all()
    assert (kernel(other, "first") != kernel(model, "first")).any()


def test_both_directions_of_a_recurrent_layer_differ() -> None:
    import keras

    both = keras.layers.Bidirectional(keras.layers.LSTM(3), name="both")
    model = keras.Sequential([keras.Input((5, 2)), both])
    reinitialise(model, ["both"], 0)
    forward, backward = model.layers[0].get_weights()[0], model.layers[0].get_weights()[3]
    assert (forward != backward).any()


def test_what_was_adapted_to_data_has_no_initialiser() -> None:
    import keras

    scale = keras.layers.Normalization(name="scale")
    scale.adapt(np.ones((3, 4)))
    model = keras.Sequential([keras.Input((4,)), scale, keras.layers.ReLU(name="relu")])
    for name in ("scale", "relu"):
        with pytest.raises(BadRecipe, match="no learned weights"):
            reinitialise(model, [name], 0)
