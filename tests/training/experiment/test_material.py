"""The data of an experiment is what it says, and its sides never share an item."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from training.errors import BadData, BadRecipe
from training.experiment.made import make
from training.experiment.material import Material, divide, load
from training.experiment.schema import Division
from training.experiment.schema import Material as Choice


@pytest.fixture(scope="module")
def digits() -> Material:
    return load(Choice(uri="builtin:digits:5-9"))


def test_blobs_are_the_tutorials() -> None:
    first, second = load(Choice(uri="builtin:blobs:1")), load(Choice(uri="builtin:blobs:2"))
    assert first.x.shape == second.x.shape == (1000, 2)
    assert hashlib.sha256(np.round(first.x, 3).tobytes()).hexdigest()[:12] == "2a95158f083e"
    assert hashlib.sha256(np.round(second.x, 3).tobytes()).hexdigest()[:12] == "d1c5de173aa1"


def test_given_order_takes_the_first_items() -> None:
    sides = divide(load(Choice(uri="builtin:blobs:1")), Division(order="given", train=500), None, seed=3)
    assert sides.train.tolist() == list(range(500))
    assert sides.test.tolist() == list(range(500, 1000))


@pytest.mark.parametrize("size", [2, 50])
def test_so_many_items_of_each_class(digits: Material, size: int) -> None:
    sides = divide(digits, Division(per_class=[size], test=400), size, seed=0)
    assert np.bincount(digits.y[sides.train]).tolist() == [size] * 5
    assert len(sides.test) == 400
    assert not np.intersect1d(sides.train, sides.test).size
    # The test has every class in nearly the share of the whole.
    assert np.abs(np.bincount(digits.y[sides.test]) - 80).max() <= 8


def test_three_sides_are_apart_and_another_seed_draws_others(digits: Material) -> None:
    choice = Division(train=100, valid=60)
    one, same, other = (divide(digits, choice, None, seed) for seed in (0, 0, 1))
    every = np.concatenate([one.train, one.valid, one.test])
    assert len(np.unique(every)) == len(every) == len(digits.y)
    assert np.array_equal(one.train, same.train)
    assert not np.array_equal(one.train, other.train)


def test_parts_of_one_collection_share_no_item() -> None:
    whole = load(Choice(uri="builtin:digits:0-9"))
    low, high = (load(Choice(uri="builtin:digits:0-9", part=part)) for part in ([0.0, 0.4], [0.4, 1.0]))
    assert len(low.y) + len(high.y) == len(whole.y)
    rows = {one.tobytes() for one in whole.x}
    shared = {one.tobytes() for one in low.x} & {one.tobytes() for one in high.x}
    # Only items of which the collection itself holds copies may be in both.
    assert len(shared) <= len(whole.y) - len(rows)


def test_classes_can_be_chosen_and_left_out() -> None:
    chosen = load(Choice(uri="builtin:digits:0-9", labels=["7", "5"]))
    assert chosen.labels == ("7", "5")
    rest = load(Choice(uri="builtin:digits:0-9"), without=("7", "5"))
    assert len(rest.labels) == 8
    assert len(rest.y) + len(chosen.y) == 1797


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(BadData, match="no items of class '12'"):
        load(Choice(uri="builtin:digits:0-9", labels=["1", "12"]))
    with pytest.raises(BadRecipe, match="no file"):
        load(Choice(uri="nowhere.npz"))
    with pytest.raises(BadRecipe, match="no data 'sounds'"):
        make("made:sounds:10:5:2")


def test_too_few_items_are_refused(digits: Material) -> None:
    with pytest.raises(BadData, match="fewer than the 500 items a class"):
        divide(digits, Division(per_class=[500], test=10), 500, seed=0)


def test_made_pictures_hold_something_to_learn_and_noise_does_not() -> None:
    x, y = make("made:images:40:24:4")
    assert (x.shape, x.dtype, np.bincount(y).tolist()) == ((40, 24, 24, 3), np.uint8, [10] * 4)
    again, _ = make("made:images:40:24:4")
    assert np.array_equal(x, again)
    rows, labels = make("made:noise:100:784:10")
    assert rows.shape == (100, 784)
    assert set(labels.tolist()) <= set(range(10))
