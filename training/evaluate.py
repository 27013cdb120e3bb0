"""Figures on a test, each with its uncertainty: accuracy, macro-F1, log loss, calibration, and paired differences.

Pure functions on arrays; nothing here knows where predictions come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.seeds import generator

Integers = NDArray[np.int64]
Z_95 = 1.959963984540054
BOOTSTRAPS = 2_000
CALIBRATION_BINS = 15


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided 95 % interval."""

    low: float
    high: float


def wilson(right: int, items: int) -> Interval:
    """Wilson's score interval of a share: right of all items."""
    if items == 0:
        return Interval(0.0, 1.0)
    share, square = right / items, Z_95**2
    middle = (share + square / (2 * items)) / (1 + square / items)
    reach = Z_95 * np.sqrt(share * (1 - share) / items + square / (4 * items**2)) / (1 + square / items)
    return Interval(max(0.0, float(middle - reach)), min(1.0, float(middle + reach)))


def confusion(targets: Integers, predicted: Integers, classes: int) -> Integers:
    """[K, K] counts: row is the true class, column the predicted one."""
    counts = np.bincount(targets * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def class_figures(counts: Integers) -> dict[str, NDArray[np.float64]]:
    """Precision, recall, F1 and support of each class from a confusion matrix; 0 where nothing was predicted."""
    right = np.diag(counts).astype(np.float64)
    predicted, support = counts.sum(axis=0), counts.sum(axis=1)
    precision = right / np.maximum(predicted, 1)
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(predicted + support, 1)
    return {"precision": precision, "recall": recall, "f1": f1, "support": support.astype(np.float64)}


def macro_f1(targets: Integers, predicted: Integers, classes: int) -> float:
    """The mean F1 over the classes that occur in the test."""
    figures = class_figures(confusion(targets, predicted, classes))
    return float(figures["f1"][figures["support"] > 0].mean())


@dataclass(frozen=True, slots=True)
class Difference:
    """Accuracy of one answerer minus another's on the same items."""

    value: float
    interval: Interval
    lower_bound: float
    """One-sided, 95 %: the true difference is above it."""


def paired_difference(right: NDArray[np.bool_], other: NDArray[np.bool_], seed: int) -> Difference:
    """Bootstrap over items, both answerers always on the same ones."""
    gaps = right.astype(np.float64) - other.astype(np.float64)
    n = len(gaps)
    # The gaps are -1, 0 or 1, so a resample is a multinomial draw of their counts.
    shares = np.array([(gaps < 0).mean(), (gaps == 0).mean(), (gaps > 0).mean()])
    drawn = generator(seed, "bootstrap").multinomial(n, shares, size=BOOTSTRAPS)
    means = (drawn[:, 2] - drawn[:, 0]) / n
    low, one_sided, high = np.quantile(means, [0.025, 0.05, 0.975])
    return Difference(float(gaps.mean()), Interval(float(low), float(high)), float(one_sided))


def expected_calibration_error(probabilities: NDArray[np.float64], targets: Integers) -> float:
    """ECE of the best class over 15 bins of equal width. On few items it is biased upwards."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    error = 0.0
    for place in range(CALIBRATION_BINS):
        chosen = bins == place
        if chosen.any():
            error += chosen.mean() * abs(right[chosen].mean() - confidence[chosen].mean())
    return float(error)


def arm(targets: Integers, predicted: Integers, classes: int) -> dict[str, Any]:
    """The figures every answerer gets: accuracy with its interval, macro-F1, items."""
    right = int((targets == predicted).sum())
    interval = wilson(right, len(targets))
    return {
        "accuracy": right / len(targets),
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "macro_f1": macro_f1(targets, predicted, classes),
        "right": right,
        "items": len(targets),
    }


def probability_figures(probabilities: NDArray[np.float64], targets: Integers) -> dict[str, float]:
    """Log loss, Brier score and calibration error of [n, K]."""
    own = probabilities[np.arange(len(targets)), targets]
    wanted = np.eye(probabilities.shape[1])[targets]
    return {
        "log_loss": float(-np.log(np.maximum(own, 1e-12)).mean()),
        "brier": float(((probabilities - wanted) ** 2).sum(axis=1).mean()),
        "calibration_error": expected_calibration_error(probabilities, targets),
    }
