"""The figures of binary and multiclass answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.learning import LearningTask
from training.evaluation.contributions import auc, average_precision, balanced_accuracy, label_f1, macro_f1
from training.evaluation.measures import headline, measured
from training.evaluation.reliability import calibration_error, null_calibration_error, reliability
from training.objectives.objective import Objective

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
TOP = 5


def confusion(targets: Integers, decided: Integers, classes: int) -> Integers:
    """[K, K] counts: row is the true class, column the answered one."""
    counts = np.bincount(targets * classes + decided, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def class_figures(counts: Integers) -> dict[str, Doubles]:
    """Precision, recall, F1 and support of each class from a confusion matrix; 0 where nothing was answered."""
    right = np.diag(counts).astype(np.float64)
    answered, support = counts.sum(axis=0), counts.sum(axis=1)
    precision = right / np.maximum(answered, 1)
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(answered + support, 1)
    return {"precision": precision, "recall": recall, "f1": f1, "support": support.astype(np.float64)}


def class_figures_of(
    objective: Objective, logits: Doubles, targets: Integers, *, seed: int, draws: int, confidence: float
) -> dict[str, Any]:
    """Everything known about some answers: logits [n, K] and targets [n].

    ``metric``, ``value``, ``low``, ``high``, ``loss``, ``items`` and ``measures`` as in every task; flat ``accuracy``,
    ``accuracy_low``, ``accuracy_high``, ``macro_f1``, ``right``; ``classes`` (per class), ``confusion``,
    ``probabilities`` (log loss, Brier, calibration error and its null value) and ``reliability`` (bins).
    """
    classes, decided = objective.outputs, objective.decide(logits)
    probabilities = objective.answers(logits)["probabilities"]
    losses, right = objective.losses(logits, targets), decided == targets
    wanted = np.eye(classes)[targets]
    brier = ((probabilities - wanted) ** 2).sum(axis=1)
    contributions = {
        "accuracy": right.astype(np.float64),
        "balanced_accuracy": balanced_accuracy(targets, decided, classes),
        "macro_f1": macro_f1(targets, decided, classes),
        "log_loss": losses,
        "brier": brier,
    }
    if objective.task is LearningTask.BINARY:
        # The usual Brier score of two classes is that of the second one alone: half the sum over both.
        positive, margin = targets == 1, logits[:, 1] - logits[:, 0]
        contributions["brier"] = brier / 2
        contributions["auc"] = auc(positive, margin)
        contributions["average_precision"] = average_precision(positive, margin)
        contributions["f1"] = label_f1(positive[:, None], (decided == 1)[:, None])[:, 0]
    else:
        top = min(TOP, classes - 1)
        better = (logits > np.take_along_axis(logits, targets[:, None], axis=1)).sum(axis=1)
        contributions[f"top_{top}_accuracy"] = (better < top).astype(np.float64)
    measures = measured(contributions, seed, draws, confidence)
    sure, likeliest = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    counts = confusion(targets, decided, classes)
    return {
        **headline(objective.metric, measures, losses),
        "accuracy": measures["accuracy"]["value"],
        "accuracy_low": measures["accuracy"]["low"],
        "accuracy_high": measures["accuracy"]["high"],
        "macro_f1": measures["macro_f1"]["value"],
        "right": int(right.sum()),
        "classes": {name: figures.tolist() for name, figures in class_figures(counts).items()},
        "confusion": counts.tolist(),
        "probabilities": {
            "log_loss": measures["log_loss"]["value"],
            "brier": measures["brier"]["value"],
            "calibration_error": calibration_error(sure, likeliest),
            "calibration_error_null": null_calibration_error(sure, seed),
        },
        "reliability": reliability(sure, likeliest),
    }
