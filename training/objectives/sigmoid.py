"""Any number of K labels: one sigmoid and one binary cross-entropy a label, independent of each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.learning import LearningTask
from training.data.targets import LabelSets, Targets
from training.errors import BadRecipe
from training.evaluation.contributions import mean_average_precision
from training.objectives.objective import Doubles, Encoded, Loss

HEAVIEST = 100.0
"""A positive never counts more than so many negatives."""


@dataclass(frozen=True, slots=True)
class SigmoidObjective:
    """``training.objectives.Objective`` for multilabel tasks."""

    labels: tuple[str, ...]
    class_weight: str = "none"
    label_smoothing: float = 0.0
    thresholds: tuple[float, ...] = ()
    """One a label; empty means 0.5 for all."""
    task: LearningTask = LearningTask.MULTILABEL
    greater_is_better: bool = True

    @property
    def outputs(self) -> int:
        """K."""
        return len(self.labels)

    @property
    def loss(self) -> Loss:
        """Binary cross-entropies."""
        return "sigmoid"

    @property
    def metric(self) -> str:
        """The mean over the labels of the average precision."""
        return "map"

    def settled(self, *, thresholds: tuple[float, ...] = (), half_widths: tuple[float, ...] = ()) -> SigmoidObjective:
        """The same objective with other thresholds, where some are given."""
        return replace(self, thresholds=thresholds or self.thresholds)

    @property
    def half_widths(self) -> tuple[float, ...]:
        """None: classes have no intervals."""
        return ()

    def targets(self, targets: Targets) -> NDArray[np.float32]:
        """0 or 1 for every item and label, [n, K]. Raises: BadRecipe."""
        if not isinstance(targets, LabelSets):
            raise BadRecipe("head.task multilabel needs a set of labels an item, and the data has none")
        places = {label: place for place, label in enumerate(self.labels)}
        encoded = np.zeros((len(targets), len(places)), dtype=np.float32)
        for item, labels in enumerate(targets.sets):
            for label in labels:
                if label not in places:
                    raise BadRecipe(f"the data has the label {label!r}, which is not among dataset.labels")
                encoded[item, places[label]] = 1.0
        return encoded

    def strata(self, encoded: Encoded) -> NDArray[np.int64]:
        """The rarest label of each item; K for items without any."""
        counts = np.where(encoded > 0, encoded.sum(axis=0), np.inf)
        rarest = counts.argmin(axis=1)
        return np.where((encoded > 0).any(axis=1), rarest, encoded.shape[1]).astype(np.int64)

    def wanted(self, encoded: Encoded) -> Doubles:
        """0 and 1 [n, K], smoothed."""
        result: Doubles = encoded.astype(np.float64) * (1.0 - self.label_smoothing) + self.label_smoothing / 2.0
        return result

    def losses(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """The mean over the labels of the binary cross-entropy [n]."""
        result: Doubles = (np.logaddexp(0.0, logits) - logits * encoded).mean(axis=1)
        return result

    def keras_loss(self, logits: Any, encoded: Any) -> Any:
        """Binary cross-entropy of every item and label [n, K] with label smoothing."""
        from keras import ops

        wanted = ops.cast(encoded, logits.dtype) * (1.0 - self.label_smoothing) + self.label_smoothing / 2.0
        return ops.softplus(logits) - logits * wanted

    def weights(self, encoded: Encoded) -> NDArray[np.float32] | None:
        """With ``balanced``, positives of each label as much in all as its negatives, [n, K], at most 100 times.

        ``auto`` weighs nothing: most labels are rare in most sets, ranking does not need it, and a probability that was
        fitted without weights means what it says.
        """
        if self.class_weight != "balanced":
            return None
        positives = encoded.sum(axis=0)
        heavier = np.clip((len(encoded) - positives) / np.maximum(positives, 1), 1.0 / HEAVIEST, HEAVIEST)
        weights = np.where(encoded > 0, heavier, 1.0)
        return (weights / weights.mean(axis=0)).astype(np.float32)

    def constant(self, encoded: Encoded) -> Doubles:
        """The log odds of each label's share, half an item short of never and always."""
        n = len(encoded)
        share = np.clip(encoded.mean(axis=0, dtype=np.float64), 0.5 / n, 1 - 0.5 / n)
        result: Doubles = np.log(share / (1 - share))
        return result

    def in_units(self, logits: Any) -> Any:
        """Logits as they are."""
        return logits

    def answers(self, logits: Doubles) -> dict[str, Doubles]:
        """``probabilities`` [n, K], each for itself."""
        # tanh does not overflow where exp would.
        return {"probabilities": 0.5 * (1.0 + np.tanh(0.5 * logits))}

    def decide(self, logits: Doubles) -> NDArray[np.bool_]:
        """The labels whose probability reaches their threshold, [n, K]."""
        thresholds = np.asarray(self.thresholds or (0.5,) * self.outputs)
        result: NDArray[np.bool_] = self.answers(logits)["probabilities"] >= thresholds
        return result

    def score(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """Contributions [n] to the mean average precision."""
        return mean_average_precision(encoded > 0, logits)

    def choice_score(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """As ``score``."""
        return self.score(logits, encoded)

    def figures(
        self, logits: Doubles, encoded: Encoded, *, seed: int, draws: int = 2_000, confidence: float = 0.95
    ) -> dict[str, Any]:
        """The keys of ``training.evaluation.labelling``."""
        from training.evaluation.labelling import label_figures_of

        return label_figures_of(self, logits, encoded, seed=seed, draws=draws, confidence=confidence)
