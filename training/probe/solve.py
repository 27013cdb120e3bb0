"""One linear head for any objective, fitted to the end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import Diverged
from training.objectives.objective import Objective
from training.probe.logistic import Lesson, converge
from training.probe.ridge import solve
from training.probe.scaling import Linear
from training.probe.span import Span


def fit(
    objective: Objective,
    features: NDArray[np.float32],
    encoded: NDArray[Any],
    C: float,
    item_weights: NDArray[np.float32] | None = None,
) -> Linear:
    """The head that is best on features [n, D], standardised by their own statistics, under penalty 1/C.

    Args:
        item_weights: of the data [n]; the objective's class weights are multiplied in.

    Raises:
        Diverged: the features or the result are not finite.
    """
    lesson = lesson_for(objective, encoded, item_weights)
    spanned = Span.of(features, lesson.item_weights)
    if lesson.loss == "squared":
        weights, bias = solve(spanned, lesson.wanted, C)
    else:
        weights, bias = converge(spanned, lesson, C)
    if not np.isfinite(weights).all():
        raise Diverged("the head's weights are not finite")
    return Linear(weights.T @ spanned.directions, bias, spanned.scaling)


def lesson_for(objective: Objective, encoded: NDArray[Any], item_weights: NDArray[np.float32] | None = None) -> Lesson:
    """What the objective wants of items, weighed by their classes and by the data's own weights [n]."""
    weights = objective.weights(encoded)
    if item_weights is not None:
        given = np.asarray(item_weights, dtype=np.float64) / float(np.mean(item_weights, dtype=np.float64))
        own = np.ones(len(encoded)) if weights is None else weights
        return Lesson.of(objective.loss, objective.wanted(encoded), own * (given if own.ndim == 1 else given[:, None]))
    return Lesson.of(objective.loss, objective.wanted(encoded), weights)
