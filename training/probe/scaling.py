"""Standardisation by the training items' statistics, and folding it, with a temperature, into a head's weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.heads import Head
from training.errors import Diverged
from training.objectives.objective import Objective

Doubles = NDArray[np.float64]
BLOCK = 4_000_000
"""Numbers that are held in float64 at once."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Mean and spread of each of D features; a constant feature has spread 1 and so becomes 0."""

    mean: Doubles
    spread: Doubles

    @classmethod
    def of(cls, features: NDArray[np.float32], weights: Doubles | None = None) -> Scaling:
        """The statistics of training features [n, D], each item counting by its weight [n].

        Raises:
            Diverged: a feature is not finite.
        """
        if weights is None:
            weights = np.ones(len(features))
        share = weights / weights.sum()
        # Blocks of items, so that the features are never all there in float64.
        step = max(1, BLOCK // features.shape[1])
        blocks = [slice(first, first + step) for first in range(0, len(features), step)]
        mean = np.sum([share[block] @ features[block].astype(np.float64) for block in blocks], axis=0)
        square = np.sum([share[block] @ (features[block].astype(np.float64) - mean) ** 2 for block in blocks], axis=0)
        if not np.isfinite(square).all():
            raise Diverged("the features are not finite")
        spread = np.sqrt(square)
        # Rounding leaves a constant column a spread of about 1e-8 of its size; that is not a spread.
        constant = spread <= 1e-7 * np.maximum(np.abs(mean), 1e-30)
        return cls(mean, np.where(constant, 1.0, spread))

    def apply(self, features: NDArray[np.float32]) -> Doubles:
        """[n, D] standardised, in float64."""
        result: Doubles = (features.astype(np.float64) - self.mean) / self.spread
        return result


@dataclass(frozen=True, slots=True)
class Linear:
    """A fitted linear classifier on standardised features: weights [K, D], bias [K]."""

    weights: Doubles
    bias: Doubles
    scaling: Scaling

    def logits(self, features: NDArray[np.float32]) -> Doubles:
        """Raw features [n, D] to logits [n, K]."""
        result: Doubles = self.scaling.apply(features) @ self.weights.T + self.bias
        return result

    def folded(self, objective: Objective, temperature: float) -> Head:
        """The same model as a head on raw features: logits divided by the temperature, values in units of the data.

        Thresholds and intervals are the objective's.
        """
        weights = self.weights / self.scaling.spread
        bias = self.bias - weights @ self.scaling.mean
        if objective.loss == "squared":
            zero = objective.in_units(np.zeros(len(bias)))
            unit = objective.in_units(np.ones(len(bias))) - zero
            weights, bias = weights * unit[:, None], bias * unit + zero
        return Head(
            weights=np.ascontiguousarray(weights / temperature, dtype=np.float32),
            bias=(bias / temperature).astype(np.float32),
            labels=objective.labels,
            task=objective.task,
            thresholds=objective.thresholds,
            half_widths=objective.half_widths,
        )
