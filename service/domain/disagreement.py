"""On which rows two heads decide differently. Their probabilities may differ everywhere and their decisions nowhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.domain.heads import Floats, Head
from service.domain.learning import LearningTask
from service.domain.replies import sigmoid, softmax


def incomparable(stable: Head, other: Head) -> str | None:
    """Why the decisions of two heads cannot be held against one another; None when they can."""
    of_classes = {LearningTask.BINARY, LearningTask.MULTICLASS}
    if stable.task is not other.task and not {stable.task, other.task} <= of_classes:
        return f"one is for {stable.task}, the other for {other.task}"
    if stable.task is LearningTask.REGRESSION:
        if stable.labels != other.labels:
            return "they give different values"
        if not stable.half_widths:
            return "the stable version knows no interval, by which values could be told apart"
    return None


def differing(stable: Head, logits: Floats, other: Head, other_logits: Floats) -> NDArray[np.bool_]:
    """By row [n] whether they decide differently, from the logits [n, K] and [n, L] of two heads that are comparable.

    Classes are compared by name, the second of two from its threshold on; sets of labels as sets; values differ when
    they are further apart than the stable version's interval reaches.
    """
    if stable.task is LearningTask.REGRESSION:
        apart = np.abs(logits - other_logits) > np.array(stable.half_widths, np.float32)
        return np.asarray(apart.any(axis=1))
    if stable.task is LearningTask.MULTILABEL:
        names = sorted({*stable.labels, *other.labels})
        mine, others = _reached(stable, logits, names), _reached(other, other_logits, names)
        return np.asarray((mine != others).any(axis=1))
    return np.asarray(_classes(stable, logits) != _classes(other, other_logits))


def _classes(head: Head, logits: Floats) -> NDArray[np.str_]:
    names = np.array(head.labels)
    if head.task is LearningTask.BINARY:
        (threshold,) = head.thresholds or (0.5,)
        chosen = (softmax(logits)[:, 1] >= np.float32(threshold)).astype(np.int64)
    else:
        chosen = logits.argmax(axis=1)
    return np.asarray(names[chosen])


def _reached(head: Head, logits: Floats, names: list[str]) -> NDArray[np.bool_]:
    """[n, names]: a label that a head does not know is never reached."""
    thresholds = np.array(head.thresholds or (0.5,) * len(head.labels), np.float32)
    found = np.zeros((len(logits), len(names)), bool)
    found[:, [names.index(label) for label in head.labels]] = sigmoid(logits) >= thresholds
    return found
