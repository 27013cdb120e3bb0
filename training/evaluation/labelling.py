"""The figures of multilabel answers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.contributions import average_precision, label_f1, mean_average_precision
from training.evaluation.measures import headline, measured
from training.evaluation.reliability import calibration_error, null_calibration_error, reliability
from training.objectives.objective import Objective

Doubles = NDArray[np.float64]


def label_figures_of(
    objective: Objective,
    logits: Doubles,
    encoded: NDArray[np.float32],
    *,
    seed: int,
    draws: int,
    confidence: float,
) -> dict[str, Any]:
    """Everything known about some answers: logits [n, K] and targets [n, K].

    The keys of every task; ``measures`` of mAP and macro-F1 (over the labels that occur), micro-F1, subset accuracy,
    log loss and Brier score; ``classes`` (per label, with its average precision and threshold), ``probabilities`` and
    ``reliability``, both over all items and labels.
    """
    wanted, decided = encoded > 0, objective.decide(logits)
    probabilities = objective.answers(logits)["probabilities"]
    losses = objective.losses(logits, encoded)
    occurring = wanted.any(axis=0)
    f1 = label_f1(wanted, decided)
    measures = measured(
        {
            "map": mean_average_precision(wanted, logits),
            "macro_f1": f1[:, occurring].mean(axis=1) if occurring.any() else np.zeros(len(logits)),
            "micro_f1": _micro_f1(wanted, decided),
            "subset_accuracy": (wanted == decided).all(axis=1).astype(np.float64),
            "log_loss": losses,
            "brier": ((probabilities - encoded) ** 2).mean(axis=1),
        },
        seed,
        draws,
        confidence,
    )
    hits, answered, support = (wanted & decided).sum(axis=0), decided.sum(axis=0), wanted.sum(axis=0)
    precisions = [float(average_precision(wanted[:, k], logits[:, k]).mean()) for k in range(objective.outputs)]
    flat, marked = probabilities.ravel(), wanted.ravel()
    return {
        **headline(objective.metric, measures, losses),
        "macro_f1": measures["macro_f1"]["value"],
        "classes": {
            "precision": (hits / np.maximum(answered, 1)).tolist(),
            "recall": (hits / np.maximum(support, 1)).tolist(),
            "f1": f1.mean(axis=0).tolist(),
            "average_precision": precisions,
            "support": support.tolist(),
            "threshold": list(objective.thresholds or (0.5,) * objective.outputs),
        },
        "probabilities": {
            "log_loss": measures["log_loss"]["value"],
            "brier": measures["brier"]["value"],
            "calibration_error": calibration_error(flat, marked),
            "calibration_error_null": null_calibration_error(flat, seed),
        },
        "reliability": reliability(flat, marked),
    }


def _micro_f1(wanted: NDArray[np.bool_], decided: NDArray[np.bool_]) -> Doubles:
    """Contributions [n] to the F1 of all items and labels thrown together."""
    either = (wanted.sum(axis=1) + decided.sum(axis=1)).astype(np.float64)
    hits = (wanted & decided).sum(axis=1).astype(np.float64)
    f1 = 2 * hits.mean() / max(either.mean(), 1e-300)
    result: Doubles = f1 + (2 * hits - f1 * either) / max(either.mean(), 1e-300)
    return result
