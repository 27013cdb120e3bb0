"""Another input in front of a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.domain.artifact import InputKind, InputSpec
from training.bases.surgery.inputs import adapt_images, adapt_vectors
from training.errors import BadRecipe

SPEC = InputSpec(InputKind.VECTOR, (3,), columns=("a", "b", "c"))
MEAN, SPREAD = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 2.0])


@pytest.fixture(scope="module")
def network() -> Any:
    import keras

    return keras.Sequential(
        [
            keras.Input((3,), name="inputs"),
            keras.layers.Normalization(mean=MEAN, variance=SPREAD**2, name="standardise"),
            keras.layers.Dense(4, "tanh", name="first"),
            keras.layers.Dense(2, name="second"),
        ]
    )


def rows(width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(40, width)).astype(np.float32)


def test_select_takes_columns_by_name(network: Any) -> None:
    numbers = rows(5)
    adapted = adapt_vectors(network, SPEC, ("x", "c", "a", "y", "b"), numbers, "auto", 0)
    assert (adapted.how, adapted.spec.shape, adapted.trainable) == ("select", (5,), ())
    expected = np.asarray(network(numbers[:, [2, 4, 1]]))
    assert np.asarray(adapted.model(numbers)) == pytest.approx(expected, abs=1e-6)


def test_pad_gives_what_is_missing_its_mean(network: Any) -> None:
    numbers = rows(2)
    adapted = adapt_vectors(network, SPEC, ("c", "a"), numbers, "auto", 0)
    assert adapted.how == "pad"
    whole = np.stack([numbers[:, 1], np.full(40, 2.0, np.float32), numbers[:, 0]], axis=1)
    assert np.asarray(adapted.model(numbers)) == pytest.approx(np.asarray(network(whole)), abs=1e-6)


def test_project_meets_the_moments_that_the_network_knows(network: Any) -> None:
    numbers = rows(6) @ np.random.default_rng(5).normal(size=(6, 6)).astype(np.float32) + 10
    adapted = adapt_vectors(network, SPEC, (), numbers, "auto", 0)
    assert (adapted.how, adapted.trainable) == ("project", ("adapter",))
    kernel, bias = adapted.model.get_layer("adapter").get_weights()
    reached = numbers @ kernel + bias
    assert reached.mean(axis=0) == pytest.approx(MEAN, abs=1e-3)
    assert reached.std(axis=0, ddof=1) == pytest.approx(SPREAD, rel=1e-3)
    fewer = adapt_vectors(network, SPEC, (), rows(2), "project", 0)
    assert np.isfinite(np.asarray(fewer.model(rows(2)))).all()


def test_replace_first_starts_one_layer_anew_and_keeps_the_rest(network: Any) -> None:
    adapted = adapt_vectors(network, SPEC, (), rows(7), "replace_first", 0)
    assert adapted.trainable == ("first",)
    assert adapted.model.get_layer("first").kernel.shape == (7, 4)
    old, new = network.get_layer("second").get_weights(), adapted.model.get_layer("second").get_weights()
    assert all((one == two).all() for one, two in zip(old, new, strict=True))


def test_the_source_is_not_touched(network: Any) -> None:
    before = [np.asarray(weight) for weight in network.weights]
    for how, width in (("project", 6), ("replace_first", 6)):
        model = adapt_vectors(network, SPEC, (), rows(width), how, 0).model
        for weight in model.weights:
            weight.assign(weight * 0)
    assert all((np.asarray(now) == old).all() for now, old in zip(network.weights, before, strict=True))


@pytest.mark.parametrize(
    ("how", "columns", "words"),
    [
        ("select", ("a", "b", "x"), "no column c"),
        ("select", (), "goes by names, and the data has none"),
        ("pad", ("x", "y", "z"), "project needs none"),
    ],
)
def test_what_does_not_suit_is_said(network: Any, how: str, columns: tuple[str, ...], words: str) -> None:
    with pytest.raises(BadRecipe, match=words):
        adapt_vectors(network, SPEC, columns, rows(3), how, 0)


def test_grey_images_of_another_size() -> None:
    import keras

    model = keras.Sequential([keras.Input((8, 8, 3), name="inputs"), keras.layers.Conv2D(2, 3), keras.layers.Flatten()])
    spec = InputSpec(InputKind.IMAGE, (8, 8, 3))
    adapted = adapt_images(model, spec, (4, 4, 1), "stretch")
    assert adapted.spec.shape == (4, 4, 1)
    grey = np.full((2, 4, 4, 1), 9.0, np.float32)
    expected = np.asarray(model(np.full((2, 8, 8, 3), 9.0, np.float32)))
    assert np.asarray(adapted.model(grey)) == pytest.approx(expected, abs=1e-4)
    with pytest.raises(BadRecipe, match="2 channels"):
        adapt_images(model, spec, (8, 8, 2))
    one = keras.Sequential([keras.Input((4, 4, 1), name="inputs"), keras.layers.Flatten()])
    colours = np.zeros((1, 4, 4, 3), np.float32)
    colours[..., 1] = 100
    luminance = np.asarray(adapt_images(one, InputSpec(InputKind.IMAGE, (4, 4, 1)), (4, 4, 3)).model(colours))
    assert luminance == pytest.approx(58.7, abs=1e-3)
