"""What every fit of an experiment keeps to: nothing of one fit reaches the next, and frozen is frozen to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from training.bases.builders import LOGITS, build_cnn, build_mlp
from training.builtin import blobs, digits
from training.errors import BadRecipe
from training.experiment.arms import Stage
from training.experiment.fitting import Items, padded_batches, train
from training.experiment.network import OUTPUT, Network, assemble
from training.recipe import CnnParams, MlpParams, Unfreeze


@pytest.fixture(scope="module")
def mlp() -> Network:
    numbers = np.zeros((1, 2), dtype=np.float32)
    body = build_mlp(MlpParams(hidden=[5, 5], standardise=False), 2, numbers, 0)
    return assemble(body, body.get_layer(LOGITS).input, 3, (), 0.0)


@pytest.fixture(scope="module")
def cnn() -> Network:
    body = build_cnn(CnnParams(filters=[4], dense=8, dropout=0.5), 2, (8, 8, 1), 0)
    return assemble(body, body.get_layer(LOGITS).input, 5, (), 0.0)


@pytest.fixture(scope="module")
def points() -> tuple[Items, Items]:
    x, y = blobs(2)
    return Items(x[:500], y[:500]), Items(x[500:], y[500:])


def bits(network: Network) -> bytes:
    return b"".join(one.tobytes() for values in network.weights().values() for one in values)


def test_the_tutorials_network_has_63_parameters(mlp: Network) -> None:
    assert mlp.parameters((*mlp.body, *mlp.new)) == 63
    assert (mlp.body, mlp.new) == (("dense_1", "dense_2"), (OUTPUT,))


def test_fresh_weights_come_from_the_seed_and_differ_between_layers(mlp: Network) -> None:
    one, same, other = mlp.fresh(1), mlp.fresh(1), mlp.fresh(2)
    for name in one:
        assert np.array_equal(one[name][0], same[name][0])
        assert not np.array_equal(one[name][0], other[name][0])
    # He's uniform: within sqrt(6 / fan in), and zeros for the bias.
    assert np.abs(one["dense_2"][0]).max() <= np.sqrt(6 / 5)
    assert not one["dense_2"][1].any()


def test_drawing_weights_leaves_the_network_as_it_is(mlp: Network) -> None:
    before = bits(mlp)
    mlp.fresh(99)
    assert bits(mlp) == before


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_nothing_of_one_fit_reaches_the_next(mlp: Network, points: tuple[Items, Items], optimizer: Any) -> None:
    stage = Stage(epochs=2, optimizer=optimizer, momentum=0.9 if optimizer == "sgd" else 0.0)
    found = []
    for seed in (7, 8, 7):
        history = train(mlp, mlp.fresh(seed), [stage], *points, seed)
        found.append((bits(mlp), history.curve[-1][3]))
    assert found[0] == found[2]
    assert found[0][0] != found[1][0]


def test_dropout_draws_from_the_seed_too(cnn: Network) -> None:
    x, y = digits(5, 9)
    items = Items(x[:60].astype(np.float32), y[:60] - 5)
    start = cnn.fresh(0)
    found = []
    for seed in (1, 1, 2):
        train(cnn, start, [Stage(steps=6, optimizer="adam", learning_rate=1e-2)], items, items, seed)
        found.append(bits(cnn))
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize(
    ("which", "moved"),
    [
        ("all", ["dense_1", "dense_2", OUTPUT]),
        ("head", [OUTPUT]),
        (Unfreeze(first_n_frozen=1), ["dense_2", OUTPUT]),
        (Unfreeze(last_n=1), ["dense_2", OUTPUT]),
        (Unfreeze(names=["dense_1"]), ["dense_1", OUTPUT]),
    ],
)
def test_exactly_the_layers_of_the_stage_move(
    mlp: Network, points: tuple[Items, Items], which: Any, moved: Sequence[str]
) -> None:
    start = mlp.fresh(3)
    history = train(mlp, start, [Stage(train=which, epochs=1)], *points, 0)
    after = mlp.weights()
    assert [name for name in start if start[name][0].tobytes() != after[name][0].tobytes()] == moved
    assert list(history.trained) == moved
    assert [name for name, way in history.displacement.items() if way > 0] == moved


def test_an_unfreeze_that_trains_nothing_is_refused(mlp: Network, points: tuple[Items, Items]) -> None:
    with pytest.raises(BadRecipe, match="leaves nothing of the base to train"):
        train(mlp, mlp.fresh(0), [Stage(train=Unfreeze(first_n_frozen=100), epochs=1)], *points, 0)


def test_stages_follow_each_other_and_epochs_are_what_keras_calls_epochs(
    mlp: Network, points: tuple[Items, Items]
) -> None:
    stages = [Stage(train="head", epochs=4), Stage(epochs=16, learning_rate=1e-4)]
    history = train(mlp, mlp.fresh(0), stages, *points, 0)
    # 500 items in batches of 32 are 16 steps, the last with 20 items; and one look before the first.
    assert history.steps == 20 * 16
    assert [point[0] for point in history.curve] == [16 * epoch for epoch in range(21)]
    assert history.curve[0][2] is None
    assert all(point[2] is not None for point in history.curve[1:])
    reach = history.reach()
    assert reach["90"]["step"] <= reach["95"]["step"] <= reach["99"]["step"] <= history.steps


def test_a_pass_of_batches_has_every_item_once_and_the_last_batch_weighs_as_much() -> None:
    items = Items(np.arange(10, dtype=np.float32)[:, None], np.arange(10))
    batches = padded_batches(items, 4, seed=0)
    seen: list[int] = []
    for _ in range(3):
        _, y, weights = next(batches)
        seen += y[weights > 0].tolist()
        assert weights.sum() == pytest.approx(4)
    assert sorted(seen) == list(range(10))


def test_features_end_with_the_penultimate_layer(cnn: Network) -> None:
    x, _ = digits(5, 9)
    found = cnn.features(x[:3].astype(np.float32))
    assert list(found)[-1] == "dense"
    assert {name: values.shape for name, values in found.items()}["dense"] == (3, 8)
    assert OUTPUT not in found
