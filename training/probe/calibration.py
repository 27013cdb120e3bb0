"""One temperature for all logits, so that a probability means what it says.

Fitted on logits of items the classifier had not seen, and kept only when there are enough of them and it helps on items
the temperature itself has not seen: on fewer it does harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.probe.logistic import Integers, log_losses
from training.probe.scaling import Doubles

LEAST_ITEMS = 100
PARTS = 5
COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The temperature in force (1 means none), and why."""

    temperature: float
    reason: str
    items: int
    log_loss_before: float | None = None
    log_loss_after: float | None = None
    """Out of part: each part's items under a temperature fitted on the other parts."""


def calibrate(logits: Doubles, targets: Integers) -> Calibration:
    """Decide on a temperature from out-of-fold logits [repeats, n, K] and targets [n]."""
    repeats, n, _ = logits.shape
    if repeats == 0 or n < LEAST_ITEMS:
        items = n if repeats else 0
        return Calibration(1.0, f"{items} items to calibrate on, fewer than {LEAST_ITEMS}", items)
    before = float(log_losses(logits, np.broadcast_to(targets, (repeats, n))).mean())
    parts = np.arange(n) % PARTS
    total = 0.0
    for part in range(PARTS):
        held = parts == part
        temperature = _best(logits[:, ~held], targets[~held])
        total += float(_losses(logits[:, held], targets[held], temperature).sum())
    after = total / (repeats * n)
    if after >= before:
        return Calibration(1.0, "a temperature does not improve the log loss", n, before, after)
    return Calibration(_best(logits, targets), "improves the log loss on items it was not fitted on", n, before, after)


def _best(logits: Doubles, targets: Integers) -> float:
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_t: float(_losses(logits, targets, float(np.exp(log_t))).mean()),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
    )
    return float(np.exp(found.x))


def _losses(logits: Doubles, targets: Integers, temperature: float) -> NDArray[np.float64]:
    return log_losses(logits / temperature, np.broadcast_to(targets, logits.shape[:2]))
