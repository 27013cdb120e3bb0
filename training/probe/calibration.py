"""What turns logits into an answer that means what it says: temperature, thresholds, intervals.

All of it is found on logits of items the head had not seen. A temperature is kept only when there are enough of them
and it helps on items the temperature itself has not seen: on fewer it does harm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.objectives.objective import Encoded, Objective
from training.probe.scaling import Doubles

LEAST_ITEMS = 100
PARTS = 5
COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found, and why; plain values, fit for JSON."""

    temperature: float
    """In force; 1 means none."""
    reason: str
    items: int
    log_loss_before: float | None = None
    log_loss_after: float | None = None
    """Out of part: each part's items under a temperature fitted on the other parts."""
    thresholds: tuple[float, ...] = ()
    """Of a binary task's second class, or of each label."""
    half_widths: tuple[float, ...] = ()
    """Of the interval around each value, in units of the data; empty where there are too few items to know them."""


def calibrate(
    objective: Objective,
    logits: Doubles,
    encoded: Encoded,
    *,
    method: Literal["auto", "none", "temperature"] = "auto",
    threshold: float | Literal["auto"] = 0.5,
    confidence: float = 0.95,
) -> Calibration:
    """All that is to be found from logits [repeats, n, outputs] of unseen items and their targets.

    Args:
        method: ``none`` leaves the temperature at 1, ``temperature`` takes it however few items there are.
        threshold: of classes, or ``auto`` for the one of best F1.
        confidence: of the intervals of values.
    """
    found = Calibration(1.0, "numbers have no temperature", logits.shape[1] if len(logits) else 0)
    if objective.loss == "squared":
        return replace(found, half_widths=half_widths(objective, logits, encoded, confidence))
    found = _temperature(objective, logits, encoded, method)
    if not objective.thresholds:
        return found
    if threshold != "auto":
        return replace(found, thresholds=(float(threshold),) * len(objective.thresholds))
    return replace(found, thresholds=best_thresholds(objective, logits / found.temperature, encoded))


def _temperature(objective: Objective, logits: Doubles, encoded: Encoded, method: str) -> Calibration:
    repeats, n, _ = logits.shape
    items = n if repeats else 0
    if method == "none":
        return Calibration(1.0, "the recipe wants no temperature", items)
    if not items or (method == "auto" and n < LEAST_ITEMS):
        return Calibration(1.0, f"{items} items to calibrate on, fewer than {LEAST_ITEMS}", items)
    before = _loss(objective, logits, encoded, 1.0)
    parts, total = np.arange(n) % PARTS, 0.0
    for part in np.unique(parts):
        held = parts == part
        rest = ~held if n > 1 else held
        temperature = _best(objective, logits[:, rest], encoded[rest])
        total += _loss(objective, logits[:, held], encoded[held], temperature) * int(held.sum())
    after = total / n
    if after >= before and method == "auto":
        return Calibration(1.0, "a temperature does not improve the log loss", n, before, after)
    reason = "improves the log loss on items it was not fitted on" if after < before else "the recipe wants it"
    return Calibration(_best(objective, logits, encoded), reason, n, before, after)


def best_thresholds(objective: Objective, logits: Doubles, encoded: Encoded) -> tuple[float, ...]:
    """The probability of the second class, or of each label, from which on answering it gives the best F1.

    Halfway to the next probability below, so that it does not hang on one item; 0.5 for a label that does not occur.
    """
    probabilities = np.stack([objective.answers(each)["probabilities"] for each in logits])
    if objective.loss == "softmax":
        probabilities, marks = probabilities[:, :, 1:], (encoded == 1)[:, None]
    else:
        marks = encoded > 0
    found = []
    for place in range(marks.shape[1]):
        each = probabilities[:, :, place].ravel()
        found.append(_best_threshold(each, np.tile(marks[:, place], len(probabilities))))
    return tuple(found)


def half_widths(objective: Objective, logits: Doubles, encoded: Encoded, confidence: float) -> tuple[float, ...]:
    """Split-conformal: the quantile of the absolute errors on unseen items, of each value, in units of the data.

    With n items it is the ceil((n + 1) * confidence)-th smallest; empty when there are too few for that to exist. Each
    repeat gives its own; their mean is taken.
    """
    if not len(logits):
        return ()
    n = logits.shape[1]
    rank = int(np.ceil((n + 1) * confidence))
    if rank > n:
        return ()
    wanted = objective.in_units(np.asarray(encoded, dtype=np.float64))
    errors = np.sort(np.abs(objective.in_units(logits) - wanted), axis=1)
    return tuple(errors[:, rank - 1].mean(axis=0).tolist())


def _best_threshold(probabilities: Doubles, marks: NDArray[np.bool_]) -> float:
    if not marks.any() or marks.all():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    each, hits = probabilities[order], np.cumsum(marks[order])
    f1 = 2 * hits / (np.arange(1, len(each) + 1) + int(marks.sum()))
    # Only where the next probability is lower can the line be drawn.
    f1[np.append(each[1:] == each[:-1], False)] = -1.0
    best = int(f1.argmax())
    below = each[best + 1] if best + 1 < len(each) else 0.0
    return float(np.clip((each[best] + below) / 2, 1e-6, 1 - 1e-6))


def _best(objective: Objective, logits: Doubles, encoded: Encoded) -> float:
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_t: _loss(objective, logits, encoded, float(np.exp(log_t))),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
    )
    return float(np.exp(found.x))


def _loss(objective: Objective, logits: Doubles, encoded: Encoded, temperature: float) -> float:
    return float(np.mean([objective.losses(each / temperature, encoded).mean() for each in logits]))
