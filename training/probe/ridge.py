"""Linear heads by squared error: closed forms for one fit and for every fold of every division at once.

``C * sum of weighted squared errors / 2 + |W|^2 / 2``, the bias free. In the space the items span the solution is one
division; what a fold's items would be answered without them follows from the answers with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.probe.scaling import Doubles
from training.probe.span import Span

LEAST_WEIGHT = 1e-9
"""Items of no weight are left out all the same; this only keeps divisions finite."""


def solve(spanned: Span, wanted: Doubles, C: float) -> tuple[Doubles, Doubles]:
    """Weights [r, M] and bias [M] on scaled values [n, M]."""
    weights = spanned.item_weights[:, None]
    bias = (weights * wanted).sum(axis=0) / weights.sum()
    # The items have weighted mean 0, so the bias is the values' mean whatever the weights are.
    pulled = spanned.items.T @ (weights * (wanted - bias))
    return pulled / (spanned.curvature + 1.0 / C)[:, None], bias


def held_out(spanned: Span, wanted: Doubles, assigned: NDArray[np.int64], C: float) -> Doubles:
    """Answers [repeats, n, M] of each item from the fit that did not see its fold; ``assigned`` [repeats, n].

    With H the matrix from values to answers, items left out together are off by ``(I - H)^-1`` times what they are off
    by when they are not.
    """
    found, bias = solve(spanned, wanted, C)
    roots = np.sqrt(np.maximum(spanned.item_weights, LEAST_WEIGHT))[:, None]
    errors = roots * (wanted - spanned.items @ found - bias)
    total = float((roots**2).sum())
    shrunk = 1.0 / (spanned.curvature + 1.0 / C)
    answers = np.empty((len(assigned), *wanted.shape))
    for repeat, folds in enumerate(assigned):
        for fold in np.unique(folds):
            left = np.flatnonzero(folds == fold)
            items = roots[left] * spanned.items[left]
            own = (items * shrunk) @ items.T + roots[left] @ roots[left].T / total
            off = np.linalg.solve(np.eye(len(left)) - own, errors[left])
            answers[repeat, left] = wanted[left] - off / roots[left]
    return answers
