"""Classical classifiers on plain numbers: the majority, Gaussian models, least squares, logistic regression.

Each is fitted in closed form or to convergence, so none has a learning rate that somebody may have set too low.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.experiment.solving import Integers, solve
from training.probe.scaling import Doubles, Scaling

ModelName = Literal["majority", "logistic", "ridge", "lda", "qda"]
SHRINKAGE = 1e-3
"""Share of the mean variance on the diagonal of every covariance: few items span fewer directions than there are."""


def scores(
    model: ModelName, x: NDArray[np.float32], y: Integers, asked: NDArray[np.float32], classes: int, seed: int
) -> Doubles:
    """What the model, fitted on x [n, D] and y [n], answers to ``asked`` [m, D]: [m, K], the largest wins."""
    match model:
        case "majority":
            return np.tile(np.bincount(y, minlength=classes).astype(np.float64), (len(asked), 1))
        case "logistic":
            return solve({"input": x}, y, classes, seed).linear.logits(asked)
        case "ridge":
            return _ridge(x, y, asked, classes)
        case "lda" | "qda":
            return _gaussian(x, y, asked, classes, pooled=model == "lda")


def _ridge(x: NDArray[np.float32], y: Integers, asked: NDArray[np.float32], classes: int) -> Doubles:
    scaling = Scaling.of(x)
    known, wanted = scaling.apply(x), np.eye(classes)[y]
    middle = wanted.mean(axis=0)
    inner = known @ known.T + np.eye(len(known))
    result: Doubles = scaling.apply(asked) @ (known.T @ np.linalg.solve(inner, wanted - middle)) + middle
    return result


def _gaussian(
    x: NDArray[np.float32], y: Integers, asked: NDArray[np.float32], classes: int, *, pooled: bool
) -> Doubles:
    """Log posterior up to a constant, of one Gaussian a class; ``pooled``: all have one covariance."""
    scaling = Scaling.of(x)
    known, new = scaling.apply(x), scaling.apply(asked)
    present = np.unique(y)
    means = {label: known[y == label].mean(axis=0) for label in present}
    spreads = {label: (known[y == label] - means[label]) for label in present}
    if pooled:
        every = np.concatenate(list(spreads.values()))
        shared = _covariance(every)
    answers = np.full((len(asked), classes), -np.inf)
    for label in present:
        covariance = shared if pooled else _covariance(spreads[label])
        gap = new - means[label]
        distance = (gap * np.linalg.solve(covariance, gap.T).T).sum(axis=1)
        _, log_volume = np.linalg.slogdet(covariance)
        answers[:, label] = np.log((y == label).mean()) - 0.5 * (distance + log_volume)
    return answers


def _covariance(centred: Doubles) -> Doubles:
    raw = centred.T @ centred / max(len(centred) - 1, 1)
    ridge = SHRINKAGE * max(float(np.trace(raw)) / len(raw), 1e-12)
    result: Doubles = raw + ridge * np.eye(len(raw))
    return result
