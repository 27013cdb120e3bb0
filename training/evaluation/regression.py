"""The figures of numbers that were answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.measures import headline, measured
from training.objectives.objective import Objective

Doubles = NDArray[np.float64]
MOST_PAIRS = 5_000
"""Items of each value that are kept with what was answered, evenly chosen where there are more."""


def value_figures_of(
    objective: Objective,
    spread: Sequence[float],
    logits: Doubles,
    encoded: Doubles,
    *,
    seed: int,
    draws: int,
    confidence: float,
) -> dict[str, Any]:
    """Everything known about some answers: scaled answers and targets [n, M]; ``spread`` is that of each value.

    The keys of every task; ``measures`` of MAE and RMSE (in units for one value, in spreads and averaged for several),
    R2 (averaged) and, where intervals are known, their coverage; ``values``: the same for each value in its units, and
    ``pairs`` of true and answered numbers.
    """
    answered, wanted = objective.in_units(logits), objective.in_units(encoded)
    unit = spread[0] if objective.outputs == 1 else 1.0
    contributions = {
        "mae": -objective.score(logits, encoded),
        "rmse": unit * np.stack([_root_mean_square(gap) for gap in (logits - encoded).T]).mean(axis=0),
        "r2": np.stack([_explained(a, w) for a, w in zip(logits.T, encoded.T, strict=True)]).mean(axis=0),
    }
    covered = None
    if objective.half_widths:
        covered = np.abs(answered - wanted) <= np.asarray(objective.half_widths)
        contributions["coverage"] = covered.mean(axis=1)
    measures = measured(contributions, seed, draws, confidence)
    values = {
        "name": list(objective.labels),
        "mae": np.abs(answered - wanted).mean(axis=0).tolist(),
        "rmse": np.sqrt(((answered - wanted) ** 2).mean(axis=0)).tolist(),
        "r2": [float(_explained(a, w).mean()) for a, w in zip(logits.T, encoded.T, strict=True)],
        "spread": list(spread),
        "pairs": _pairs(wanted, answered),
    }
    if covered is not None:
        values["coverage"] = covered.mean(axis=0).tolist()
        values["half_width"] = list(objective.half_widths)
    return {**headline(objective.metric, measures, objective.losses(logits, encoded)), "values": values}


def _pairs(wanted: Doubles, answered: Doubles) -> list[list[list[float]]]:
    """True and answered number of each item, by value, to five digits: what a chart needs."""
    chosen = np.linspace(0, len(wanted) - 1, min(len(wanted), MOST_PAIRS)).round().astype(np.int64)
    both = np.stack([wanted[chosen], answered[chosen]], axis=-1)
    return [[[float(f"{number:.5g}") for number in pair] for pair in both[:, m]] for m in range(both.shape[1])]


def _root_mean_square(gaps: Doubles) -> Doubles:
    """Contributions [n] to the root of the mean square."""
    square = gaps**2
    root = float(np.sqrt(square.mean()))
    result: Doubles = root + (square - square.mean()) / (2 * root) if root else np.zeros(len(gaps))
    return result


def _explained(answered: Doubles, wanted: Doubles) -> Doubles:
    """Contributions [n] to R2: 1 less the squared error in units of the variance; 0 where nothing varies."""
    square, around = (answered - wanted) ** 2, (wanted - wanted.mean()) ** 2
    variance = float(around.mean())
    if not variance:
        return np.zeros(len(wanted))
    ratio = float(square.mean()) / variance
    result: Doubles = 1 - ratio - (square - ratio * around) / variance
    return result
