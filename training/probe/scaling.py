"""Standardisation by the training items' statistics, and folding it, with a temperature, into a head's weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.heads import Head

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Mean and spread of each of D features; a constant feature has spread 1 and so becomes 0."""

    mean: Doubles
    spread: Doubles

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Scaling:
        """The statistics of training features [n, D]."""
        mean = features.mean(axis=0, dtype=np.float64)
        spread = features.std(axis=0, dtype=np.float64)
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

    def folded(self, labels: tuple[str, ...], temperature: float) -> Head:
        """The same classifier as a head on raw features, its logits divided by the temperature."""
        weights = self.weights / self.scaling.spread
        bias = self.bias - weights @ self.scaling.mean
        return Head(
            weights=np.ascontiguousarray(weights / temperature, dtype=np.float32),
            bias=(bias / temperature).astype(np.float32),
            labels=labels,
        )
