"""Old classes and new ones in one head: columns are copied, new ones appended, and their norms brought into line.

A new class that is fitted beside old ones gets larger weights and then wins too often; scaling the new classes' weights
to the old ones' mean norm takes that away (weight aligning; Zhao et al. 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def extended_labels(old: Sequence[str], found: Sequence[str]) -> tuple[str, ...]:
    """The old labels in their order, then those of the data that are new, in theirs."""
    return (*old, *(label for label in found if label not in set(old)))


def extended(weights: Floats, bias: Floats, new: int) -> tuple[Floats, Floats]:
    """Weights [K, D] and bias [K] with ``new`` more classes, which start at zero weights and the smallest old bias, so
    that the old answers are as good as unchanged until something is learned.
    """
    more = np.zeros((new, weights.shape[1]), dtype=weights.dtype)
    low = np.full(new, bias.min(initial=0.0), dtype=bias.dtype)
    return np.concatenate([weights, more]), np.concatenate([bias, low])


def aligned(weights: Floats, old: int) -> tuple[Floats, float]:
    """Weights [K, D] whose rows from ``old`` on are scaled to the mean norm of the rows before, and the factor.

    The bias is not scaled, since it does not grow with the features. The factor is 1 where one side has no norm.
    """
    norms = np.linalg.norm(weights, axis=1)
    before, after = norms[:old].mean() if old else 0.0, norms[old:].mean() if old < len(norms) else 0.0
    factor = float(before / after) if before > 0 and after > 0 else 1.0
    return np.concatenate([weights[:old], weights[old:] * factor]), factor
