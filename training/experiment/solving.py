"""A linear head solved to the end, its cut and penalty chosen by cross-validation on the training items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.learning import LearningTask
from training.objectives.softmax import SoftmaxObjective
from training.probe.scaling import Doubles, Linear
from training.probe.selection import grid_of, select
from training.probe.solve import fit

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Solved:
    """The head, and what was chosen for it out of how many configurations."""

    linear: Linear
    cut: str
    C: float
    configurations: int

    def facts(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {"cut": self.cut, "C": self.C, "configurations": self.configurations}

    def as_layer(self) -> list[NDArray[np.float32]]:
        """The weights of a dense layer that does the same on features that are not standardised: kernel and bias."""
        weights: Doubles = self.linear.weights / self.linear.scaling.spread
        bias = self.linear.bias - weights @ self.linear.scaling.mean
        return [weights.T.astype(np.float32), bias.astype(np.float32)]


def solve(features: Mapping[str, NDArray[np.float32]], y: Integers, classes: int, seed: int) -> Solved:
    """The head on the best of some features [n, D] by cut, for classes y [n].

    Raises:
        Diverged: the features are not finite.
    """
    # Several classes are chosen by accuracy, which is what an experiment compares arms by; two are treated alike.
    objective = SoftmaxObjective(LearningTask.MULTICLASS, tuple(str(place) for place in range(classes)))
    chosen = select(objective, features, y, grid_of(objective), seed, lambda done, total: None)
    linear = fit(objective, features[chosen.cut], y, chosen.C)
    return Solved(linear, chosen.cut, chosen.C, max(1, len(chosen.trials)))
