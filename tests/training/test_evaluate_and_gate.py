"""Figures against known values, the split's promises, and the gate as a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from training.errors import BadData
from training.evaluate import (
    arm,
    class_figures,
    confusion,
    expected_calibration_error,
    macro_f1,
    paired_difference,
    probability_figures,
    wilson,
)
from training.gate import (
    Check,
    Verdict,
    better_than_majority,
    decide,
    enough_test_items,
    not_worse_than_current,
    same_in_fresh_process,
)
from training.report import comparison
from training.seeds import child_seed
from training.split import SealBroken, SealedTest, divide


@pytest.mark.parametrize(
    ("right", "items", "low", "high"),
    [
        (18, 20, 0.699, 0.972),
        (90, 100, 0.826, 0.945),
        (360, 400, 0.867, 0.926),
        (0, 10, 0.0, 0.278),
        (10, 10, 0.722, 1),
    ],
)
def test_wilson(right: int, items: int, low: float, high: float) -> None:
    interval = wilson(right, items)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-3)


def test_figures_are_scikit_learns() -> None:
    random = np.random.default_rng(0)
    targets, predicted = random.integers(4, size=200), random.integers(4, size=200)
    assert macro_f1(targets, predicted, 4) == pytest.approx(f1_score(targets, predicted, average="macro"))
    counts = confusion(targets, predicted, 4)
    assert counts.sum() == 200
    assert class_figures(counts)["support"].tolist() == np.bincount(targets).tolist()


def test_a_class_that_is_not_in_the_test_does_not_count() -> None:
    targets, predicted = np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1])
    assert macro_f1(targets, predicted, 3) == 1.0


def test_paired_difference_of_a_known_case() -> None:
    right = np.array([True] * 90 + [False] * 10)
    other = np.array([True] * 80 + [False] * 20)
    gap = paired_difference(right, other, 0)
    assert gap.value == pytest.approx(0.10)
    assert gap.interval.low == pytest.approx(0.05, abs=0.02)
    assert gap.interval.high == pytest.approx(0.16, abs=0.02)
    assert gap.interval.low <= gap.lower_bound <= gap.value
    assert gap == paired_difference(right, other, 0)
    same = paired_difference(right, right, 0)
    assert (same.value, same.interval.low, same.interval.high) == (0, 0, 0)


def test_probability_figures() -> None:
    probabilities = np.array([[0.8, 0.2], [0.3, 0.7]])
    found = probability_figures(probabilities, np.array([0, 1]))
    assert found["log_loss"] == pytest.approx(-(np.log(0.8) + np.log(0.7)) / 2)
    assert found["brier"] == pytest.approx((0.08 + 0.18) / 2)
    assert expected_calibration_error(np.array([[1.0, 0.0]] * 4), np.array([0, 0, 0, 1])) == pytest.approx(0.25)


def difference(value: float, bound: float) -> dict[str, Any]:
    return {"value": value, "lower_bound": bound}


@pytest.mark.parametrize(
    ("value", "bound", "passed"),
    [
        (0.05, 0.01, True),
        (0.0, -0.05, True),
        (-0.02, -0.06, True),
        (-0.03, -0.06, False),
        (-0.03, -0.019, True),
        (-0.5, -0.6, False),
    ],
)
def test_worse_than_the_current_version(value: float, bound: float, passed: bool) -> None:
    assert not_worse_than_current(difference(value, bound), 0.02).passed is passed


@pytest.mark.parametrize(("right", "passed"), [(20, False), (21, True), (10, False), (90, True)])
def test_better_than_majority(right: int, passed: bool) -> None:
    targets = np.arange(100) % 5
    predicted = np.where(np.arange(100) < right, targets, (targets + 1) % 5)
    assert better_than_majority(arm(targets, predicted, 5), {"accuracy": 0.2}).passed is passed


@pytest.mark.parametrize(
    ("checks", "mode", "verdict", "publish"),
    [
        ([], "enforce", Verdict.PASSED, True),
        ([Check("a", True, 0, 0, "")], "enforce", Verdict.PASSED, True),
        ([Check("a", False, 0, 0, "")], "enforce", Verdict.REJECTED, False),
        ([Check("a", False, 0, 0, "")], "record", Verdict.REJECTED, True),
        ([same_in_fresh_process(1e-3)], "record", Verdict.REJECTED, False),
        ([same_in_fresh_process(1e-6)], "enforce", Verdict.PASSED, True),
        (enough_test_items(99, 20), "enforce", Verdict.INSUFFICIENT, True),
        (enough_test_items(100, 4), "enforce", Verdict.INSUFFICIENT, True),
        (enough_test_items(100, 5), "enforce", Verdict.PASSED, True),
        ([Check("a", False, 0, 0, ""), *enough_test_items(9, 1)], "enforce", Verdict.REJECTED, False),
    ],
)
def test_the_verdict(checks: list[Check], mode: str, verdict: Verdict, publish: bool) -> None:
    decision = decide(checks, mode)
    assert (decision.verdict, decision.publish) == (verdict, publish)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.01, 0.1, "transfer helps"), (-0.1, -0.01, "better"), (-0.1, 0.1, "no reliable difference")],
)
def test_what_a_difference_proves(low: float, high: float, words: str) -> None:
    assert words in comparison({"interval": {"low": low, "high": high}})


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


def test_seeds_differ_by_purpose() -> None:
    seeds = {child_seed(0, "split"), child_seed(0, "probe"), child_seed(1, "split"), child_seed(0, "split", 1)}
    assert len(seeds) == 4
    assert child_seed(0, "split") == child_seed(0, "split")
