"""The split's promises, and the seal on the test."""

from __future__ import annotations

import numpy as np
import pytest

from training.errors import BadData
from training.split import SealBroken, SealedTest, divide


def test_the_split_is_stratified_and_depends_on_content_only() -> None:
    digests = [f"d{k}" for k in range(100)]
    labels = ["x"] * 70 + ["y"] * 30
    train, test = divide(digests, labels, 0.2, 7)
    assert sorted(train + test) == list(range(100))
    assert [sum(labels[k] == label for k in test) for label in ("x", "y")] == [14, 6]
    order = np.random.default_rng(0).permutation(100)
    turned_train, turned_test = divide([digests[k] for k in order], [labels[k] for k in order], 0.2, 7)
    assert [digests[order[k]] for k in turned_test] == [digests[k] for k in test]
    assert [digests[order[k]] for k in turned_train] == [digests[k] for k in train]
    assert divide(digests, labels, 0.2, 8) != (train, test)


def test_copies_stay_on_one_side() -> None:
    digests = [f"d{k % 20}" for k in range(100)]
    labels = ["x" if k % 20 < 10 else "y" for k in range(100)]
    train, test = divide(digests, labels, 0.3, 0)
    assert {digests[k] for k in train} & {digests[k] for k in test} == set()


def test_two_items_of_a_class_go_one_to_each_side() -> None:
    train, test = divide(["a", "b", "c", "d"], ["x", "x", "y", "y"], 0.1, 0)
    assert (len(train), len(test)) == (2, 2)


@pytest.mark.parametrize(
    ("digests", "labels"),
    [
        (["a"] * 4, ["x", "x", "y", "y"]),
        (["a", "a", "b", "b"], ["x", "x", "y", "y"]),
        (["a", "b", "a"], ["x", "x", "x"]),
    ],
)
def test_copies_that_leave_a_side_without_use_are_bad_data(digests: list[str], labels: list[str]) -> None:
    with pytest.raises(BadData, match="exact copies"):
        divide(digests, labels, 0.2, 0)


def test_the_test_is_opened_once() -> None:
    sealed = SealedTest([3, 1])
    assert sealed.size == 2
    assert sealed.open().tolist() == [3, 1]
    with pytest.raises(SealBroken):
        sealed.open()
