"""Items whose label may be wrong, by the answers of heads that had not seen them. Nothing is left out for it.

Confident learning: an item is suspected when it looks more like another class than that class's own items do on
average. For sets of labels each label is looked at by itself; for values an error far beyond the others' is suspected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.objectives.objective import Encoded, Objective

Doubles = NDArray[np.float64]
MOST_LISTED = 50
FAR = 6.0
"""Times the median absolute error: about four standard deviations."""


def suspects(objective: Objective, logits: Doubles, encoded: Encoded, items: NDArray[np.int64]) -> list[dict[str, Any]]:
    """The most suspected first, at most 50: ``item``, ``label`` (its own), ``answer``, ``probability`` (of its own).

    Of a value, ``probability`` is the share of items with an error at least as large.

    Args:
        logits: [repeats, n, outputs], of heads that had not seen the items.
        items: what to call them [n].
    """
    if not len(logits):
        return []
    if objective.loss == "squared":
        found = _far_values(objective, logits, encoded)
    elif objective.loss == "softmax":
        found = _other_classes(objective, logits, encoded)
    else:
        found = _other_labels(objective, logits, encoded)
    found.sort(key=lambda entry: (entry["probability"], entry["item"]))
    return [{**entry, "item": int(items[entry["item"]])} for entry in found[:MOST_LISTED]]


def _mean_probabilities(objective: Objective, logits: Doubles) -> Doubles:
    return np.mean([objective.answers(each)["probabilities"] for each in logits], axis=0)


def _other_classes(objective: Objective, logits: Doubles, encoded: Encoded) -> list[dict[str, Any]]:
    probabilities = _mean_probabilities(objective, logits)
    own = np.take_along_axis(probabilities, encoded[:, None], axis=1)[:, 0]
    present = np.bincount(encoded, minlength=objective.outputs)
    usual = np.bincount(encoded, weights=own, minlength=objective.outputs) / np.maximum(present, 1)
    usual[present == 0] = np.inf
    likeliest = probabilities.argmax(axis=1)
    top = probabilities.max(axis=1)
    chosen = np.flatnonzero((likeliest != encoded) & (top >= usual[likeliest]))
    return [_entry(at, objective.labels[encoded[at]], objective.labels[likeliest[at]], own[at]) for at in chosen]


def _other_labels(objective: Objective, logits: Doubles, encoded: Encoded) -> list[dict[str, Any]]:
    probabilities, marks = _mean_probabilities(objective, logits), encoded > 0
    own = np.where(marks, probabilities, 1.0 - probabilities)
    with_label, without = (np.maximum(side.sum(axis=0), 1) for side in (marks, ~marks))
    usual = np.where(marks, (own * ~marks).sum(axis=0) / without, (own * marks).sum(axis=0) / with_label)
    suspected = (own < 0.5) & (1.0 - own >= usual)
    worst = np.where(suspected, own, np.inf).argmin(axis=1)
    found = []
    for at in np.flatnonzero(suspected.any(axis=1)):
        label, has = objective.labels[worst[at]], marks[at, worst[at]]
        given, seen = (label, f"not {label}") if has else (f"not {label}", label)
        found.append(_entry(at, given, seen, own[at, worst[at]]))
    return found


def _far_values(objective: Objective, logits: Doubles, encoded: Encoded) -> list[dict[str, Any]]:
    answered = logits.mean(axis=0)
    errors = np.abs(answered - encoded).max(axis=1)
    usual = float(np.median(errors))
    shown, wanted = objective.in_units(answered), objective.in_units(np.asarray(encoded, dtype=np.float64))
    ranks = len(errors) - np.searchsorted(np.sort(errors), errors, side="left")
    return [
        _entry(at, _numbers(wanted[at]), _numbers(shown[at]), ranks[at] / len(errors))
        for at in np.flatnonzero(errors > FAR * max(usual, 1e-12))
    ]


def _entry(item: np.int64, label: str, answer: str, probability: float) -> dict[str, Any]:
    return {"item": int(item), "label": label, "answer": answer, "probability": float(probability)}


def _numbers(values: Sequence[float] | Doubles) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
