"""What the later phases ask of whatever was fitted, whichever way it was."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import ModelKind

Doubles = NDArray[np.float64]
Items = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cost:
    """What fitting took. A solver that converges counts its iterations as steps where it knows them, else 0."""

    seconds: float
    steps: int
    trainable_parameters: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)


class Arm(Protocol):
    """Something fitted that answers for items of the data, by their index in it."""

    @property
    def cost(self) -> Cost:
        """What fitting it took."""

    def logits(self, items: Items) -> Doubles:
        """[n, outputs], before any temperature. What was seen in training is answered too; whoever asks knows that."""


class Candidate(Arm, Protocol):
    """An arm that can be published."""

    @property
    def kind(self) -> ModelKind:
        """``HEAD`` when it shares its base as served, ``FULL`` when it is a model of its own."""

    def unseen(self) -> tuple[Doubles, Items]:
        """Logits [repeats, n, outputs] of items it was not fitted on, and those items [n]: for calibration and
        thresholds. A single repeat, unless each item was left out several times.
        """
