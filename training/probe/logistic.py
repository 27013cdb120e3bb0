"""Multinomial logistic regression with an L2 penalty on the weights, not on the bias, in float64.

The objective is scikit-learn's: ``C * sum of cross-entropies + |W|^2 / 2``. One fit is L-BFGS to convergence. Many fits
that differ in which items they see and in C are solved together, by accelerated majorise-minimise steps in the space
the items span: there the curvature has a diagonal bound that holds for every subset of the items, so no step can
diverge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import Diverged
from training.probe.scaling import Doubles, Linear, Scaling

Integers = NDArray[np.int64]
TOLERANCE = 1e-6
MOST_ITERATIONS = 2_000


@dataclass(frozen=True, slots=True)
class Span:
    """Standardised items [n, D] in coordinates of the space they span, [n, r] with r <= min(n, D)."""

    items: Doubles
    directions: Doubles
    """[r, D]: ``items @ directions`` gives the standardised items back."""
    curvature: Doubles
    """[r]: the squared singular values."""


def span(standardised: Doubles) -> Span:
    """The thin decomposition of the items. The best weights lie in this space, since the penalty is on their length."""
    left, singular, directions = np.linalg.svd(standardised, full_matrices=False)
    kept = singular > (singular[0] if len(singular) else 0.0) * max(standardised.shape) * np.finfo(np.float64).eps
    kept[:1] = True
    return Span(left[:, kept] * singular[kept], directions[kept], singular[kept] ** 2)


def fit(features: NDArray[np.float32], targets: Integers, classes: int, C: float) -> Linear:
    """One classifier, fitted to convergence on features [n, D] standardised by their own statistics.

    Raises:
        Diverged: the features or the result are not finite.
    """
    from scipy.optimize import minimize

    scaling = Scaling.of(features)
    standardised = scaling.apply(features)
    if not np.isfinite(standardised).all():
        raise Diverged("the features are not finite")
    spanned = span(standardised)
    items, rank = spanned.items, spanned.items.shape[1]
    wanted = np.eye(classes)[targets]
    # Scaled by C*n so that the tolerance means the same for any number of items and any penalty.
    scale = 1.0 / (C * len(items))

    def objective(flat: Doubles) -> tuple[float, Doubles]:
        weights, bias = flat[: rank * classes].reshape(rank, classes), flat[rank * classes :]
        logits = items @ weights + bias
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        totals = exponentials.sum(axis=1, keepdims=True)
        loss = (np.log(totals[:, 0]) - (logits * wanted).sum(axis=1)).sum()
        error = exponentials / totals - wanted
        gradient = np.concatenate([(C * (items.T @ error) + weights).ravel(), C * error.sum(axis=0)])
        return scale * float(C * loss + 0.5 * (weights**2).sum()), scale * gradient

    start = np.zeros(rank * classes + classes)
    options = {"maxiter": MOST_ITERATIONS, "maxfun": 2 * MOST_ITERATIONS, "gtol": TOLERANCE, "ftol": 1e-12}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    if not np.isfinite(found).all():
        raise Diverged("the head's weights are not finite")
    weights = found[: rank * classes].reshape(rank, classes).T @ spanned.directions
    return Linear(weights, found[rank * classes :], scaling)


def fit_many(
    spanned: Span,
    targets: Integers,
    classes: int,
    members: NDArray[np.bool_],
    C: float,
    iterations: int,
    start: Doubles | None = None,
) -> Doubles:
    """Weights [r + 1, F, K] of F classifiers, the bias last.

    Args:
        members: [F, n], which items each classifier learns from.
        iterations: fixed, so that the cost is known. 100 are within a percent of the best objective unless the penalty
            is weak; then ``start`` decides how good the result is.
        start: weights to begin with, best those of a somewhat stronger penalty.
    """
    fits, n = members.shape
    items = _with_ones(spanned)
    rank = items.shape[1]
    penalty = np.concatenate([np.full(rank - 1, 1.0 / C), [0.0]])[:, None, None]
    # Böhning's bound: the Hessian of the cross-entropy is at most half of items' @ items, whatever the weights.
    bound = 0.5 * np.concatenate([spanned.curvature, [float(n)]])[:, None, None] + penalty
    wanted = np.eye(classes)[targets][:, None, :]
    mask = members.T[:, :, None].astype(np.float64)
    weights = np.zeros((rank, fits, classes)) if start is None else start
    ahead, momentum = weights, np.ones((1, fits, 1))
    for _ in range(iterations):
        error = (_softmax(_times(items, ahead)) - wanted) * mask
        gradient = _times(items.T, error) + penalty * ahead
        following = ahead - gradient / bound
        # Where the momentum points uphill it is dropped, for each classifier by itself.
        uphill = (gradient * (following - weights)).sum(axis=(0, 2), keepdims=True) > 0
        grown = np.where(uphill, 1.0, (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0)
        push = np.where(uphill, 0.0, (momentum - 1.0) / grown)
        ahead = following + push * (following - weights)
        weights, momentum = following, grown
    return weights


def logits_of_many(spanned: Span, weights: Doubles) -> Doubles:
    """Logits [F, n, K] of all items, those left out too, under the classifiers of ``fit_many``."""
    return np.moveaxis(_times(_with_ones(spanned), weights), 1, 0)


def _with_ones(spanned: Span) -> Doubles:
    return np.concatenate([spanned.items, np.ones((len(spanned.items), 1))], axis=1)


def _times(matrix: Doubles, stacked: Doubles) -> Doubles:
    """[a, b] times [b, F, K] as one product."""
    rows, fits, classes = stacked.shape
    return (matrix @ stacked.reshape(rows, fits * classes)).reshape(len(matrix), fits, classes)


def _softmax(logits: Doubles) -> Doubles:
    shifted = np.exp(logits - logits.max(axis=2, keepdims=True))
    result: Doubles = shifted / shifted.sum(axis=2, keepdims=True)
    return result


def log_losses(logits: Doubles, targets: Integers) -> Doubles:
    """Cross-entropy of each item, [..., n, K] to [..., n]."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    own = np.take_along_axis(shifted, np.broadcast_to(targets[..., None], (*shifted.shape[:-1], 1)), axis=-1)[..., 0]
    result: Doubles = np.log(np.exp(shifted).sum(axis=-1)) - own
    return result
