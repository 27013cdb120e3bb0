"""Linear heads by cross-entropy with an L2 penalty on the weights, not on the bias, in float64.

The objective is scikit-learn's: ``C * sum of weighted losses + |W|^2 / 2``. One fit is L-BFGS to convergence. Many fits
that differ in which items they see and in C are solved together, by accelerated majorise-minimise steps in the space
the items span: there the curvature has a diagonal bound that holds for every subset of the items, so no step can
diverge. Softmax and independent sigmoids differ in their probabilities and in the bound, and in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import Diverged
from training.objectives.objective import Loss
from training.probe.scaling import Doubles
from training.probe.span import Span

TOLERANCE = 1e-6
MOST_ITERATIONS = 2_000
BOUND = {"softmax": 0.5, "sigmoid": 0.25}
"""Böhning's: no Hessian of the loss of one item's logits is larger, whatever they are."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is to be learned: ``wanted`` [n, K], each row's or entry's ``weights`` [n, 1] or [n, K], by which loss."""

    loss: Loss
    wanted: Doubles
    weights: Doubles

    @classmethod
    def of(cls, loss: Loss, wanted: Doubles, weights: NDArray[np.float32] | Doubles | None = None) -> Lesson:
        """Weights [n] or [n, K]; None are all 1."""
        given = np.ones(len(wanted)) if weights is None else np.asarray(weights, dtype=np.float64)
        return cls(loss, wanted, given[:, None] if given.ndim == 1 else given)

    @property
    def item_weights(self) -> Doubles:
        """The largest weight of each item [n]: what bounds the curvature."""
        result: Doubles = self.weights.max(axis=1)
        return result


def converge(spanned: Span, lesson: Lesson, C: float) -> tuple[Doubles, Doubles]:
    """Weights [r, K] and bias [K] of one head, fitted to convergence.

    Raises:
        Diverged: the result is not finite.
    """
    from scipy.optimize import minimize

    items, rank = spanned.items, spanned.items.shape[1]
    outputs = lesson.wanted.shape[1]
    # Scaled by C and the weights so that the tolerance means the same for any number of items and any penalty.
    scale = 1.0 / (C * float(lesson.item_weights.sum()))

    def objective(flat: Doubles) -> tuple[float, Doubles]:
        weights, bias = flat[: rank * outputs].reshape(rank, outputs), flat[rank * outputs :]
        logits = items @ weights + bias
        loss = float((_losses(lesson, logits) * lesson.weights).sum())
        error = (_probabilities(lesson.loss, logits) - lesson.wanted) * lesson.weights
        gradient = np.concatenate([(C * (items.T @ error) + weights).ravel(), C * error.sum(axis=0)])
        return scale * (C * loss + 0.5 * float((weights**2).sum())), scale * gradient

    start = np.zeros(rank * outputs + outputs)
    options = {"maxiter": MOST_ITERATIONS, "maxfun": 2 * MOST_ITERATIONS, "gtol": TOLERANCE, "ftol": 1e-12}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    if not np.isfinite(found).all():
        raise Diverged("the head's weights are not finite")
    return found[: rank * outputs].reshape(rank, outputs), found[rank * outputs :]


def fit_many(
    spanned: Span,
    lesson: Lesson,
    members: NDArray[np.bool_],
    C: float,
    iterations: int,
    start: Doubles | None = None,
) -> Doubles:
    """Weights [r + 1, F, K] of F heads, the bias last.

    Args:
        members: [F, n], which items each head learns from.
        iterations: fixed, so that the cost is known. 100 are within a percent of the best objective unless the penalty
            is weak; then ``start`` decides how good the result is.
        start: weights to begin with, best those of a somewhat stronger penalty.
    """
    fits, outputs = len(members), lesson.wanted.shape[1]
    items = _with_ones(spanned)
    rank = items.shape[1]
    penalty = np.concatenate([np.full(rank - 1, 1.0 / C), [0.0]])[:, None, None]
    total = float(spanned.item_weights.sum())
    bound = BOUND[lesson.loss] * np.concatenate([spanned.curvature, [total]])[:, None, None] + penalty
    wanted = lesson.wanted[:, None, :]
    mask = members.T[:, :, None] * lesson.weights[:, None, :]
    weights = np.zeros((rank, fits, outputs)) if start is None else start
    ahead, momentum = weights, np.ones((1, fits, 1))
    for _ in range(iterations):
        error = (_probabilities(lesson.loss, _times(items, ahead)) - wanted) * mask
        gradient = _times(items.T, error) + penalty * ahead
        following = ahead - gradient / bound
        # Where the momentum points uphill it is dropped, for each head by itself.
        uphill = (gradient * (following - weights)).sum(axis=(0, 2), keepdims=True) > 0
        grown = np.where(uphill, 1.0, (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0)
        push = np.where(uphill, 0.0, (momentum - 1.0) / grown)
        ahead = following + push * (following - weights)
        weights, momentum = following, grown
    return weights


def logits_of_many(spanned: Span, weights: Doubles) -> Doubles:
    """Logits [F, n, K] of all items, those left out too, under the heads of ``fit_many``."""
    return np.moveaxis(_times(_with_ones(spanned), weights), 1, 0)


def _with_ones(spanned: Span) -> Doubles:
    return np.concatenate([spanned.items, np.ones((len(spanned.items), 1))], axis=1)


def _times(matrix: Doubles, stacked: Doubles) -> Doubles:
    """[a, b] times [b, F, K] as one product."""
    rows, fits, outputs = stacked.shape
    return (matrix @ stacked.reshape(rows, fits * outputs)).reshape(len(matrix), fits, outputs)


def _probabilities(loss: Loss, logits: Doubles) -> Doubles:
    if loss == "sigmoid":
        return 0.5 * (1.0 + np.tanh(0.5 * logits))
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Doubles = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def _losses(lesson: Lesson, logits: Doubles) -> Doubles:
    """[n, 1] for softmax, [n, K] for sigmoids."""
    if lesson.loss == "sigmoid":
        return np.logaddexp(0.0, logits) - logits * lesson.wanted
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Doubles = np.log(np.exp(shifted).sum(axis=1, keepdims=True)) - (shifted * lesson.wanted).sum(
        axis=1, keepdims=True
    )
    return result
