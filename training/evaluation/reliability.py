"""Whether probabilities mean what they say: the expected calibration error beside the value it has by chance alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.seeds import generator

Doubles = NDArray[np.float64]
BINS = 15
NULL_DRAWS, LEAST_DRAWS = 200, 20
MOST_DRAWN = 1_000_000
"""Answers simulated in all: many items need few draws."""


def places(confidence: Doubles) -> NDArray[np.int64]:
    """Which of the bins of equal width each confidence [n] falls into."""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def calibration_error(confidence: Doubles, right: NDArray[np.bool_]) -> float:
    """ECE: the mean gap between confidence and share of right answers over the bins, weighted by items."""
    return float(np.abs(_gaps(confidence, right[None].astype(np.float64))).sum() / len(confidence))


def null_calibration_error(confidence: Doubles, seed: int) -> dict[str, float]:
    """What ECE a perfectly calibrated model with these confidences shows: ``mean`` and 95 % quantile ``high``.

    On few items ECE is far from 0 for everyone; a value below ``high`` proves nothing.
    """
    draws = max(LEAST_DRAWS, min(NULL_DRAWS, MOST_DRAWN // len(confidence)))
    drawn = generator(seed, "calibration").random((draws, len(confidence))) < confidence
    errors = np.abs(_gaps(confidence, drawn.astype(np.float64))).sum(axis=1) / len(confidence)
    return {"mean": float(errors.mean()), "high": float(np.quantile(errors, 0.95))}


def reliability(confidence: Doubles, right: NDArray[np.bool_]) -> list[dict[str, float]]:
    """The bins that hold items: their mean ``confidence``, ``share`` right, and ``items``."""
    bins = places(confidence)
    return [
        {
            "confidence": float(confidence[bins == place].mean()),
            "share": float(right[bins == place].mean()),
            "items": int((bins == place).sum()),
        }
        for place in np.unique(bins)
    ]


def _gaps(confidence: Doubles, right: Doubles) -> Doubles:
    """Sums over each bin of right minus confidence: [draws, n] to [draws, bins]."""
    member = (places(confidence)[:, None] == np.arange(BINS)).astype(np.float64)
    result: Doubles = (right - confidence) @ member
    return result
