"""M numbers: squared error on values with mean 0 and spread 1; the scaling is undone wherever people look."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.learning import LearningTask
from training.data.targets import Targets, Values
from training.errors import BadRecipe
from training.objectives.objective import Doubles, Encoded, Loss

STRATA = 10
"""Bands of equal size of the first value."""


@dataclass(frozen=True, slots=True)
class SquaredObjective:
    """``training.objectives.Objective`` for regression."""

    labels: tuple[str, ...]
    """The names of the values."""
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    """Of the values the objective was made from; a constant value has spread 1."""
    task: LearningTask = LearningTask.REGRESSION
    greater_is_better: bool = False
    thresholds: tuple[float, ...] = ()
    half_widths: tuple[float, ...] = ()
    """How far either side of a value its interval reaches, in units; empty where it is not known."""

    @classmethod
    def of(cls, values: Values) -> SquaredObjective:
        """Scaled by these values' statistics."""
        spread = values.values.std(axis=0)
        constant = spread <= 1e-12 * np.maximum(np.abs(values.values).max(axis=0), 1e-300)
        return cls(
            values.names, tuple(values.values.mean(axis=0).tolist()), tuple(np.where(constant, 1.0, spread).tolist())
        )

    @property
    def outputs(self) -> int:
        """M."""
        return len(self.labels)

    @property
    def loss(self) -> Loss:
        """Squared error."""
        return "squared"

    @property
    def metric(self) -> str:
        """Mean absolute error: in units of the value; of several values the mean, each in its own spread."""
        return "mae"

    def settled(self, *, thresholds: tuple[float, ...] = (), half_widths: tuple[float, ...] = ()) -> SquaredObjective:
        """The same objective with other intervals, where some are given."""
        return replace(self, half_widths=half_widths or self.half_widths)

    def targets(self, targets: Targets) -> Doubles:
        """Scaled values [n, M]. Raises: BadRecipe."""
        if not isinstance(targets, Values):
            raise BadRecipe("head.task regression needs numbers to learn, and the data has none")
        if targets.names != self.labels:
            raise BadRecipe(f"the values are named {', '.join(targets.names)}, not {', '.join(self.labels)}")
        result: Doubles = (targets.values - np.asarray(self.mean)) / np.asarray(self.spread)
        return result

    def strata(self, encoded: Encoded) -> NDArray[np.int64]:
        """Bands of equal size of the first value, at least five items each."""
        bands = max(1, min(STRATA, len(encoded) // 5))
        edges = np.quantile(encoded[:, 0], np.linspace(0, 1, bands + 1)[1:-1])
        return np.searchsorted(edges, encoded[:, 0], side="right").astype(np.int64)

    def wanted(self, encoded: Encoded) -> Doubles:
        """The scaled values."""
        return encoded.astype(np.float64)

    def losses(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """The mean over the values of the squared error [n], in spreads squared."""
        result: Doubles = ((logits - encoded) ** 2).mean(axis=1)
        return result

    def keras_loss(self, logits: Any, encoded: Any) -> Any:
        """Squared error [n]."""
        from keras import ops

        return ops.mean(ops.square(logits - ops.cast(encoded, logits.dtype)), axis=-1)

    def weights(self, encoded: Encoded) -> None:
        """None: there are no classes."""

    def constant(self, encoded: Encoded) -> Doubles:
        """The median of each value: no other constant has a smaller absolute error."""
        return np.median(encoded, axis=0)

    def in_units(self, logits: Any) -> Any:
        """Logits [n, M], as array or tensor, in units of the data."""
        return logits * np.asarray(self.spread, logits.dtype) + np.asarray(self.mean, logits.dtype)

    def answers(self, logits: Doubles) -> dict[str, Doubles]:
        """``values`` [n, M] in units of the data."""
        return {"values": self.in_units(logits)}

    def decide(self, logits: Doubles) -> Doubles:
        """The values [n, M] in units of the data."""
        values: Doubles = self.in_units(logits)
        return values

    def score(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """Minus the absolute error [n]: in units for one value, in spreads and averaged for several."""
        unit = self.spread[0] if self.outputs == 1 else 1.0
        result: Doubles = -unit * np.abs(logits - encoded).mean(axis=1)
        return result

    def choice_score(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """As ``score``."""
        return self.score(logits, encoded)

    def figures(
        self, logits: Doubles, encoded: Encoded, *, seed: int, draws: int = 2_000, confidence: float = 0.95
    ) -> dict[str, Any]:
        """The keys of ``training.evaluation.regression``."""
        from training.evaluation.regression import value_figures_of

        return value_figures_of(self, self.spread, logits, encoded, seed=seed, draws=draws, confidence=confidence)
