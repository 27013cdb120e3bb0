"""What each item contributes to a metric, so that the mean of the contributions [n] is the metric.

Accuracy is a mean already. Balanced accuracy, F1, average precision and AUC are functions of several means; to them an
item contributes the metric plus its influence, the first-order effect of giving the item a little more weight
(Hampel's influence function; for AUC, DeLong's components). Resampling these means is resampling the metric to first
order, at the price of a mean, and two models' contributions on the same items can be subtracted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Marks = NDArray[np.bool_]


def balanced_accuracy(targets: Integers, decided: Integers, classes: int) -> Doubles:
    """To the mean recall of the classes that occur: targets and answers [n] to [n]."""
    right = (targets == decided).astype(np.float64)
    support = np.bincount(targets, minlength=classes).astype(np.float64)
    recall = np.bincount(targets, weights=right, minlength=classes) / np.maximum(support, 1)
    present = support > 0
    influence = (right - recall[targets]) * len(targets) / (support[targets] * present.sum())
    return float(recall[present].mean()) + influence


def macro_f1(targets: Integers, decided: Integers, classes: int) -> Doubles:
    """To the mean F1 of the classes that occur."""
    support = np.bincount(targets, minlength=classes).astype(np.float64)
    answered = np.bincount(decided, minlength=classes).astype(np.float64)
    hits = np.bincount(targets[targets == decided], minlength=classes).astype(np.float64)
    either = np.maximum(support + answered, 1)
    f1, present = 2 * hits / either, support > 0
    # F1 is 2 hits / (support + answered); only an item's own class and its answer feel its weight.
    pull = np.where(present, f1 / either, 0.0)
    gain = np.where(targets == decided, 2.0 / either[targets], 0.0)
    influence = len(targets) * (gain - pull[targets] - pull[decided]) / present.sum()
    return float(f1[present].mean()) + influence


def label_f1(targets: Marks, decided: Marks) -> Doubles:
    """To the F1 of each of K labels: marks [n, K] to [n, K]. A label that neither occurs nor is answered has F1 0."""
    either = np.maximum(targets.sum(axis=0) + decided.sum(axis=0), 1).astype(np.float64)
    hits = targets & decided
    f1 = 2 * hits.sum(axis=0) / either
    influence = len(targets) * (2 * hits - f1 * (targets.astype(np.int64) + decided)) / either
    result: Doubles = f1 + influence
    return result


def average_precision(targets: Marks, scores: Doubles) -> Doubles:
    """To the average precision of one ranking, equal scores counted together: marks and scores [n] to [n].

    All are 0 where nothing is marked.
    """
    n, positives = len(targets), int(targets.sum())
    if not positives:
        return np.zeros(n)
    values, place = np.unique(-scores, return_inverse=True)
    marked = targets.astype(np.float64)
    # Shares at or above each distinct score, best first.
    hits = np.cumsum(np.bincount(place, weights=marked, minlength=len(values))) / n
    taken = np.cumsum(np.bincount(place, minlength=len(values))) / n
    precision, share = hits / taken, positives / n
    result = float((marked * precision[place]).sum() / positives)
    weight = np.bincount(place, weights=marked, minlength=len(values)) / n
    below_once = np.cumsum((weight / taken)[::-1])[::-1][place]
    below_twice = np.cumsum((weight * precision / taken)[::-1])[::-1][place]
    influence = (marked * (precision[place] - result + below_once) - below_twice) / share
    return result + influence


def mean_average_precision(targets: Marks, scores: Doubles) -> Doubles:
    """To the mean average precision of the labels that occur: [n, K] to [n]. All 0 where none occurs."""
    occurring = np.flatnonzero(targets.any(axis=0))
    total = np.zeros(len(targets))
    for label in occurring:
        total += average_precision(targets[:, label], scores[:, label])
    return total / max(len(occurring), 1)


def auc(targets: Marks, scores: Doubles) -> Doubles:
    """To the area under the ROC curve, the share of pairs in the right order: [n] to [n].

    All are 0.5 where one side is empty.
    """
    from scipy.stats import rankdata

    positives = int(targets.sum())
    negatives = len(targets) - positives
    if not positives or not negatives:
        return np.full(len(targets), 0.5)
    # Of each item: the share of the other side that it stands on the right side of; ties count half.
    ranks, own = rankdata(scores), np.empty(len(targets))
    own[targets], own[~targets] = rankdata(scores[targets]), rankdata(scores[~targets])
    beaten = ranks - own
    components = np.where(targets, beaten / negatives, 1.0 - beaten / positives)
    area = float(components[targets].mean())
    influence = (components - area) * np.where(targets, len(targets) / positives, len(targets) / negatives)
    return area + influence
