"""A set of metrics of one answerer, each with its interval, as the report shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.intervals import mean_intervals, wilson

Doubles = NDArray[np.float64]
NO_SHARES = frozenset({"log_loss", "mae", "rmse", "r2", "loss"})
"""Metrics that are not shares: their intervals are not cut off at 0 and 1."""


def measured(
    contributions: Mapping[str, Doubles], seed: int, draws: int, confidence: float
) -> dict[str, dict[str, float]]:
    """``{metric: {value, low, high}}`` from contributions [n] whose mean is each metric.

    Contributions that are all 0 or 1 are a share of items right, and get Wilson's interval, which does not shrink to
    nothing when all are right; the others are resampled.
    """
    resampled = mean_intervals(contributions, seed, draws, confidence)
    found = {}
    for name, each in contributions.items():
        interval, value = resampled[name], float(each.mean())
        low, high = interval.low, interval.high
        if name not in NO_SHARES:
            low, high = max(0.0, min(low, value)), min(1.0, max(high, value))
        if np.isin(each, (0.0, 1.0)).all():
            share = wilson(int(each.sum()), len(each), confidence)
            low, high = share.low, share.high
        found[name] = {"value": value, "low": low, "high": high}
    return found


def headline(metric: str, measures: Mapping[str, Mapping[str, float]], losses: Doubles) -> dict[str, Any]:
    """What every arm says of itself, whatever its task."""
    return {
        "metric": metric,
        **measures[metric],
        "loss": float(losses.mean()),
        "items": len(losses),
        "measures": {name: dict(figures) for name, figures in measures.items()},
    }
