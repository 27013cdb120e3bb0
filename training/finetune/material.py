"""What a training is given: inputs and encoded targets to learn from, and others to be watched on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.finetune.inputs import Predictor
from training.finetune.loop import Score
from training.objectives import Objective


@dataclass(frozen=True, slots=True)
class Material:
    """Inputs are arrays, or are indexed like arrays; ``weights`` [n] or [n, K], None when all items count the same.

    There may be no items to watch.
    """

    objective: Objective
    inputs: Any
    wanted: NDArray[Any]
    weights: NDArray[np.float32] | None
    held_inputs: Any
    held_wanted: NDArray[Any]

    def scores(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each validation item's score [n], greater is better."""
        return self.objective.choice_score(logits, self.held_wanted)

    def watch(self, predictor: Predictor) -> Callable[[], Score] | None:
        """For ``loop.run``: the score of a model as it is; None where there is nothing to watch."""
        return None if len(self.held_wanted) == 0 else lambda: self.watched(predictor)

    def watched(self, predictor: Predictor) -> Score:
        """The mean score on the validation items, and minus the loss to decide between equals."""
        logits = predictor(self.held_inputs)
        return float(self.scores(logits).mean()), -float(self.objective.losses(logits, self.held_wanted).mean())


def perfect_scores(objective: Objective, wanted: NDArray[Any]) -> NDArray[np.float64]:
    """What each item [n] would score if every answer were right and sure."""
    match objective.loss:
        case "softmax":
            logits = 50.0 * np.eye(objective.outputs)[wanted]
        case "sigmoid":
            logits = 50.0 * (2.0 * wanted.astype(np.float64) - 1.0)
        case "squared":
            logits = wanted.astype(np.float64)
    return objective.choice_score(logits, wanted)
