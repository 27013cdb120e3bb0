"""All layers but the output, other cuts, and new layers on top."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.bases.surgery.reusing import reuse, with_hidden, with_output
from training.errors import BadRecipe

ROWS = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)


def model_a(keras: Any) -> Any:
    hidden = [keras.layers.Dense(width, "selu", name=f"h{width}") for width in (9, 7, 5)]
    return keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(1, "sigmoid", name="out")], name="a")


def outputs(model: Any) -> Any:
    return np.asarray(model(ROWS))


def test_all_layers_but_the_output_give_what_layer_minus_two_gave() -> None:
    import keras

    a = model_a(keras)
    expected = outputs(keras.Model(a.inputs[0], a.layers[-2].output))
    features = reuse(a)
    assert (outputs(features) == expected).all()
    features.layers[1].kernel.assign(features.layers[1].kernel * 0)
    assert (outputs(keras.Model(a.inputs[0], a.layers[-2].output)) == expected).all()


def test_a_cut_by_name_and_several_side_by_side() -> None:
    import keras

    a = model_a(keras)
    assert reuse(a, "h9").output_shape == (None, 9)
    joined = outputs(reuse(a, ["h9", "h5"]))
    assert (joined[:, :9] == outputs(reuse(a, "h9"))).all()
    assert joined.shape == (6, 14)
    with pytest.raises(BadRecipe, match="did you mean h9"):
        reuse(a, "h99")


def test_new_layers_have_seeds_of_their_own_and_leave_the_rest_alone() -> None:
    import keras

    features = reuse(model_a(keras))
    first, second = (
        with_output(with_hidden(features, [4, 4], seed, activation="tanh", dropout=0.1), 3, seed) for seed in (1, 1)
    )
    other = with_output(with_hidden(features, [4, 4], 2), 3, 2)
    assert [layer.name for layer in first.layers[-5:]] == [
        "hidden_1",
        "hidden_1_dropout",
        "hidden_2",
        "hidden_2_dropout",
        "logits",
    ]
    assert (outputs(first) == outputs(second)).all()
    assert (outputs(first) != outputs(other)).any()
    kernels = [np.asarray(first.get_layer(name).kernel) for name in ("hidden_1", "hidden_2")]
    assert kernels[0].shape == (5, 4)
    assert np.unique(np.concatenate([kernel.ravel() for kernel in kernels])).size == 36
