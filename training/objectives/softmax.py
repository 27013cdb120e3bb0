"""One of K classes: softmax and cross-entropy. Binary is K = 2, with a threshold on the second class."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.learning import LearningTask
from training.data.targets import Classes, Targets
from training.errors import BadRecipe
from training.evaluation.contributions import balanced_accuracy, macro_f1
from training.objectives.objective import Doubles, Encoded, Loss

UNEVEN = 3.0
"""``class_weight: auto`` balances when the largest class has more than so many times the items of the smallest."""


@dataclass(frozen=True, slots=True)
class SoftmaxObjective:
    """``training.objectives.Objective`` for binary and multiclass tasks."""

    task: LearningTask
    labels: tuple[str, ...]
    class_weight: str = "none"
    label_smoothing: float = 0.0
    thresholds: tuple[float, ...] = ()
    """Of a binary task: that of the second class."""
    greater_is_better: bool = True

    @property
    def outputs(self) -> int:
        """K."""
        return len(self.labels)

    @property
    def loss(self) -> Loss:
        """Cross-entropy."""
        return "softmax"

    @property
    def metric(self) -> str:
        """Balanced accuracy of two classes, macro-F1 of several."""
        return "balanced_accuracy" if self.task is LearningTask.BINARY else "macro_f1"

    def settled(self, *, thresholds: tuple[float, ...] = (), half_widths: tuple[float, ...] = ()) -> SoftmaxObjective:
        """The same objective with other thresholds, where some are given."""
        return replace(self, thresholds=thresholds or self.thresholds)

    @property
    def half_widths(self) -> tuple[float, ...]:
        """None: classes have no intervals."""
        return ()

    def targets(self, targets: Targets) -> NDArray[np.int64]:
        """The place of each item's class in ``labels``, [n]. Raises: BadRecipe."""
        if not isinstance(targets, Classes):
            raise BadRecipe(f"head.task {self.task} needs one class an item, and the data has none")
        places = {label: place for place, label in enumerate(self.labels)}
        unknown = sorted(set(targets.labels) - set(places))
        if unknown:
            raise BadRecipe(f"the data has the class {unknown[0]!r}, which is not among dataset.labels")
        return np.array([places[label] for label in targets.labels], dtype=np.int64)

    def strata(self, encoded: Encoded) -> NDArray[np.int64]:
        """The classes themselves."""
        return encoded.astype(np.int64)

    def wanted(self, encoded: Encoded) -> Doubles:
        """One row of the unit matrix an item [n, K], smoothed."""
        wanted = np.eye(self.outputs)[encoded]
        result: Doubles = wanted * (1.0 - self.label_smoothing) + self.label_smoothing / self.outputs
        return result

    def losses(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """Cross-entropy of each item [n]."""
        shifted = logits - logits.max(axis=1, keepdims=True)
        own = np.take_along_axis(shifted, encoded[:, None], axis=1)[:, 0]
        result: Doubles = np.log(np.exp(shifted).sum(axis=1)) - own
        return result

    def keras_loss(self, logits: Any, encoded: Any) -> Any:
        """Cross-entropy [n] with label smoothing."""
        from keras import ops

        wanted = ops.one_hot(encoded, self.outputs, dtype=logits.dtype)
        wanted = wanted * (1.0 - self.label_smoothing) + self.label_smoothing / self.outputs
        return ops.categorical_crossentropy(wanted, logits, from_logits=True)

    def weights(self, encoded: Encoded) -> NDArray[np.float32] | None:
        """Each class as much in all as every other, [n]; None where all items count the same."""
        counts = np.bincount(encoded, minlength=self.outputs)
        present = counts[counts > 0]
        uneven = present.max() > UNEVEN * present.min()
        if self.class_weight == "none" or (self.class_weight == "auto" and not uneven):
            return None
        each = len(encoded) / (len(present) * np.maximum(counts, 1))
        return each[encoded].astype(np.float32)

    def constant(self, encoded: Encoded) -> Doubles:
        """The logarithms of the classes' shares; a class that does not occur counts half an item."""
        counts = np.bincount(encoded, minlength=self.outputs).astype(np.float64)
        return np.log(np.maximum(counts, 0.5) / np.maximum(counts, 0.5).sum())

    def in_units(self, logits: Any) -> Any:
        """Logits as they are."""
        return logits

    def answers(self, logits: Doubles) -> dict[str, Doubles]:
        """``probabilities`` [n, K]."""
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return {"probabilities": shifted / shifted.sum(axis=1, keepdims=True)}

    def decide(self, logits: Doubles) -> NDArray[np.int64]:
        """The likeliest class [n]; of two classes the second from its threshold on."""
        if self.thresholds:
            (threshold,) = self.thresholds
            return (self.answers(logits)["probabilities"][:, 1] >= threshold).astype(np.int64)
        return logits.argmax(axis=1)

    def score(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """Contributions [n] to balanced accuracy or macro-F1."""
        contributions = balanced_accuracy if self.task is LearningTask.BINARY else macro_f1
        return contributions(encoded, self.decide(logits), self.outputs)

    def choice_score(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """Of several classes, whether each item is right [n]: less noisy than macro-F1 on few items."""
        if self.task is LearningTask.BINARY:
            return self.score(logits, encoded)
        return (self.decide(logits) == encoded).astype(np.float64)

    def figures(
        self, logits: Doubles, encoded: Encoded, *, seed: int, draws: int = 2_000, confidence: float = 0.95
    ) -> dict[str, Any]:
        """The keys of ``training.evaluation.classification``."""
        from training.evaluation.classification import class_figures_of

        return class_figures_of(self, logits, encoded, seed=seed, draws=draws, confidence=confidence)
