"""A linear head on one cut of the base: what the probe phase fits, and what every other candidate is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from service.domain.artifact import ModelKind
from training.candidates.candidate import Cost, Doubles, Items
from training.probe.scaling import Linear

if TYPE_CHECKING:
    from training.head_state import HeadState


class LinearArm:
    """A fitted linear model on cached features, a cut's or the raw input's."""

    def __init__(self, run: HeadState, name: str, features: str) -> None:
        """``name``: of its arrays in the work area; ``features``: of the cache's array it reads."""
        self._run, self._features = run, features
        self.linear: Linear = run.linear(name)
        self.seconds = float(run.found["probe"].get("seconds", {}).get(name, 0.0))

    @property
    def cost(self) -> Cost:
        """Seconds of choosing and fitting; no steps, the solver converges."""
        return Cost(self.seconds, 0, self.linear.weights.size + self.linear.bias.size)

    def logits(self, items: Items) -> Doubles:
        """[n, outputs]."""
        return self.linear.logits(self._run.cache.rows(self._features, items))


class LinearCandidate(LinearArm):
    """The probe: the best cut, the best penalty."""

    def __init__(self, run: HeadState) -> None:
        super().__init__(run, "candidate", run.found["probe"]["cut"])

    @property
    def kind(self) -> ModelKind:
        """It shares its base."""
        return ModelKind.HEAD

    def logits(self, items: Items) -> Doubles:
        """[n, outputs], from the features of one cut or of several joined."""
        return self.linear.logits(self._run.features(items))

    def unseen(self) -> tuple[Doubles, Items]:
        """The out-of-fold logits of cross-validation."""
        return np.asarray(self._run.area.arrays("out_of_fold")["logits"]), self._run.split.train
