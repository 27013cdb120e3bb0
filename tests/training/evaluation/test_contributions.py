"""The mean of the contributions is the metric, and each contribution is what a little more weight does to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from training.evaluation.contributions import (
    auc,
    average_precision,
    balanced_accuracy,
    label_f1,
    macro_f1,
    mean_average_precision,
)

Doubles = NDArray[np.float64]
RANDOM = np.random.default_rng(0)
TARGETS = RANDOM.integers(0, 4, 150)
DECIDED = np.where(RANDOM.random(150) < 0.6, TARGETS, RANDOM.integers(0, 4, 150))
MARKS = RANDOM.random(150) < 0.3
SCORES = np.round(RANDOM.normal(size=150) + MARKS, 1)
"""Rounded, so that there are ties."""

CASES: dict[str, tuple[Doubles, Callable[..., float]]] = {
    "balanced accuracy": (
        balanced_accuracy(TARGETS, DECIDED, 4),
        lambda w: metrics.balanced_accuracy_score(TARGETS, DECIDED, sample_weight=w),
    ),
    "macro-F1": (
        macro_f1(TARGETS, DECIDED, 4),
        lambda w: metrics.f1_score(TARGETS, DECIDED, average="macro", sample_weight=w),
    ),
    "F1": (
        label_f1(MARKS[:, None], (SCORES > 0.8)[:, None])[:, 0],
        lambda w: metrics.f1_score(MARKS, SCORES > 0.8, sample_weight=w),
    ),
    "average precision": (
        average_precision(MARKS, SCORES),
        lambda w: metrics.average_precision_score(MARKS, SCORES, sample_weight=w),
    ),
    "AUC": (auc(MARKS, SCORES), lambda w: metrics.roc_auc_score(MARKS, SCORES, sample_weight=w)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_mean_is_scikit_learns_metric(name: str) -> None:
    contributions, theirs = CASES[name]
    assert contributions.mean() == pytest.approx(theirs(np.ones(150)), abs=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_contribution_is_the_effect_of_an_items_weight(name: str) -> None:
    contributions, theirs = CASES[name]
    value, step = theirs(np.ones(150)), 1e-5
    for item in (0, 1, 7, int(np.flatnonzero(MARKS)[3])):
        weights = np.ones(150)
        weights[item] += step
        assert contributions[item] - value == pytest.approx((theirs(weights) - value) / step * 150, abs=1e-3)


def test_classes_and_labels_that_do_not_occur_do_not_count() -> None:
    targets = np.array([0, 0, 1, 1])
    assert macro_f1(targets, targets, 3).mean() == 1.0
    assert balanced_accuracy(targets, targets, 3).mean() == 1.0
    marks = np.array([[True, False], [False, False]])
    assert mean_average_precision(marks, np.array([[1.0, 0.0], [0.0, 5.0]])).mean() == 1.0
    assert not mean_average_precision(np.zeros((3, 2), bool), np.zeros((3, 2))).any()
    assert auc(np.ones(3, bool), np.arange(3.0)).tolist() == [0.5] * 3


def test_mean_average_precision_is_the_labels_mean() -> None:
    marks = RANDOM.random((80, 5)) < 0.3
    scores = RANDOM.normal(size=(80, 5)) + marks
    theirs = metrics.average_precision_score(marks, scores, average="macro")
    assert mean_average_precision(marks, scores).mean() == pytest.approx(theirs)
