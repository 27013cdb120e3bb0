"""What every part of the trainer may ask of a task.

Logits are float arrays [n, outputs] of a model's last layer, before any softmax or sigmoid. Encoded targets are what
losses understand: classes as int64 [n], sets of labels as float32 [n, K] of 0 and 1, values as float64 [n, M] with mean
0 and spread 1 over the items the objective was made from.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.learning import LearningTask
from training.data.targets import Targets

Loss = Literal["softmax", "sigmoid", "squared"]
Encoded = NDArray[Any]
Doubles = NDArray[np.float64]


class Objective(Protocol):
    """One task: its labels, its loss, its figures."""

    @property
    def task(self) -> LearningTask:
        """Which task."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes or labels in order; the names of the values for regression."""

    @property
    def outputs(self) -> int:
        """Logits a row: 2 for binary, K for multiclass and multilabel, M for regression."""

    @property
    def loss(self) -> Loss:
        """The family of the loss, which decides how a linear head is solved."""

    @property
    def metric(self) -> str:
        """The headline metric: ``balanced_accuracy``, ``macro_f1``, ``map`` or ``mae``."""

    @property
    def greater_is_better(self) -> bool:
        """Of the headline metric."""

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Probabilities from which on the positive class, or each label, is answered; empty for the other tasks."""

    @property
    def half_widths(self) -> tuple[float, ...]:
        """How far either side of a value its interval reaches, in units of the data; empty where it is not known."""

    def settled(self, *, thresholds: tuple[float, ...] = (), half_widths: tuple[float, ...] = ()) -> Objective:
        """The same objective with what calibration has found; an empty tuple leaves what there was."""

    def targets(self, targets: Targets) -> Encoded:
        """Encoded targets of some items.

        Raises:
            BadRecipe: they are of another kind, or hold a label that is not among ``labels``.
        """

    def strata(self, encoded: Encoded) -> NDArray[np.int64]:
        """Which kind each item is of [n], so that splits and folds can hold some of every kind."""

    def wanted(self, encoded: Encoded) -> Doubles:
        """What the loss pulls answers towards, [n, outputs]: 0 and 1 after label smoothing, or the scaled values."""

    def losses(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """The loss of each item [n], without label smoothing or class weights."""

    def keras_loss(self, logits: Any, encoded: Any) -> Any:
        """The loss of each item as tensors of ``keras.ops``, [n], or [n, K] for multilabel so that ``weights`` fit;
        with label smoothing. Losses of rows and of labels are averaged by whoever calls.
        """

    def weights(self, encoded: Encoded) -> NDArray[np.float32] | None:
        """Class weights of items, [n], or [n, K] for multilabel, 1 on average; None where all count the same.

        They are arrays because ``class_weight=`` of Keras takes the first label of several for the class.
        """

    def constant(self, encoded: Encoded) -> Doubles:
        """The logits [outputs] of the best answer that does not look at the item."""

    def in_units(self, logits: Any) -> Any:
        """Logits, as array or tensor, in the units of the data: the same for classes, undone scaling for values."""

    def answers(self, logits: Doubles) -> dict[str, Doubles]:
        """``probabilities`` [n, K], or ``values`` [n, M] in units of the data."""

    def decide(self, logits: Doubles) -> Encoded:
        """The answer: classes int64 [n], labels bool [n, K], or values float64 [n, M] in units of the data."""

    def score(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """Each item's contribution [n] to the headline metric; the mean is the metric, greater always better.

        Metrics that are no means (macro-F1, mAP) are taken to first order around these items, so that differences of
        two models can be resampled as means. MAE comes negated.
        """

    def choice_score(self, logits: Doubles, encoded: Encoded) -> Doubles:
        """What cuts and penalties are chosen by, [n], greater better: accuracy for several classes, else ``score``."""

    def figures(
        self, logits: Doubles, encoded: Encoded, *, seed: int, draws: int = 2_000, confidence: float = 0.95
    ) -> dict[str, Any]:
        """Every figure of the task with its interval; plain values, fit for JSON. Keys: ``training.evaluation``."""
