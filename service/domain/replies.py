"""From the last layer's numbers to the named outputs of an answer, for every task; the same in numpy as in a graph.

task         ``predict``                                                    by examples
multiclass   probabilities [n, K], classes and scores [n, min(5, K)]        ``classify``: classes, scores [n, K]
binary       the same, and label [n]: the second from its threshold on      ``classify``
multilabel   probabilities [n, K], labels [n, K], empty below a threshold   ``classify``
regression   values [n, M], interval_low, interval_high where known         ``regress``, M = 1: outputs [n]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InvalidInput
from service.domain.learning import LearningTask
from service.domain.tensors import Array, TensorSpec

Floats = NDArray[np.float32]
TOP_CLASSES = 5


class AnswerForm(StrEnum):
    """Which named outputs a signature gives."""

    PREDICT = "predict"
    """Everything known, as the table above says; classes best first, the rest in label order."""
    CLASSIFY = "classify"
    """TF Serving's classification contract: ``classes`` and ``scores`` [n, K] in label order."""
    REGRESS = "regress"
    """TF Serving's regression contract: ``outputs`` [n]."""


@dataclass(frozen=True, slots=True)
class Reply:
    """How a model answers: its task, its labels (or the names of its values), and what decides between them."""

    labels: tuple[str, ...]
    task: LearningTask = LearningTask.MULTICLASS
    thresholds: tuple[float, ...] = ()
    """Of the second class of two, or of each of K labels; none means 0.5."""
    half_widths: tuple[float, ...] = ()
    """How far to either side of each value its interval reaches; none means that no interval is known."""
    _texts: Array = field(init=False, repr=False, compare=False)
    """The labels as an answer holds them, made once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_texts", _names(self.labels))
        count = len(self.labels)
        deciding = {LearningTask.BINARY: 1, LearningTask.MULTILABEL: count}.get(self.task, 0)
        if self.task is LearningTask.BINARY and count != 2:
            raise InvalidInput(f"a binary answer has two labels, not {count}")
        if len(self.thresholds) not in {0, deciding}:
            raise InvalidInput(f"{len(self.thresholds)} thresholds do not go with {count} labels of task {self.task}")
        if len(self.half_widths) not in ({0, count} if self.task is LearningTask.REGRESSION else {0}):
            raise InvalidInput(f"{len(self.half_widths)} intervals do not go with {count} values of task {self.task}")

    @property
    def by_examples(self) -> AnswerForm | None:
        """The contract of the signature that takes serialized examples; None: several values have none."""
        if self.task is not LearningTask.REGRESSION:
            return AnswerForm.CLASSIFY
        return AnswerForm.REGRESS if len(self.labels) == 1 else None

    def gives(self, form: AnswerForm) -> bool:
        """Whether there is an answer in this form."""
        return form in {AnswerForm.PREDICT, self.by_examples}

    def outputs(self, logits: Floats, form: AnswerForm) -> dict[str, Array]:
        """Logits [n, K], or values [n, M] in their units, as the named outputs of ``form``, which it ``gives``."""
        if self.task is LearningTask.REGRESSION:
            return {"outputs": logits[:, 0]} if form is AnswerForm.REGRESS else self._values(logits)
        probabilities = sigmoid(logits) if self.task is LearningTask.MULTILABEL else softmax(logits)
        if form is AnswerForm.CLASSIFY or self.task is not LearningTask.MULTILABEL:
            found = _classified(probabilities, self._texts, form)
            if form is AnswerForm.PREDICT and self.task is LearningTask.BINARY:
                (threshold,) = self.thresholds or (0.5,)
                chosen = (probabilities[:, 1] >= np.float32(threshold)).astype(np.int64)
                found["label"] = self._texts[chosen]
            return found
        reached = probabilities >= np.array(self.thresholds or (0.5,) * len(self.labels), dtype=np.float32)
        return {"probabilities": probabilities, "labels": np.where(reached, self._texts, _names([""])[0])}

    def specs(self, form: AnswerForm) -> dict[str, TensorSpec]:
        """What ``outputs`` gives in this form, as a signature names it."""
        count = len(self.labels)
        scores, texts = ("DT_FLOAT", (None, count)), ("DT_STRING", (None, count))
        best = (None, min(TOP_CLASSES, count))
        found: dict[str, tuple[str, tuple[int | None, ...]]]
        match form, self.task:
            case AnswerForm.REGRESS, _:
                found = {"outputs": ("DT_FLOAT", (None,))}
            case AnswerForm.CLASSIFY, _:
                found = {"classes": texts, "scores": scores}
            case _, LearningTask.REGRESSION:
                ends = ("interval_low", "interval_high") if self.half_widths else ()
                found = dict.fromkeys((*ends, "values"), scores)
            case _, LearningTask.MULTILABEL:
                found = {"labels": texts, "probabilities": scores}
            case _:
                label = {"label": ("DT_STRING", (None,))} if self.task is LearningTask.BINARY else {}
                found = {"classes": ("DT_STRING", best), "probabilities": scores, "scores": ("DT_FLOAT", best), **label}
        return {alias: TensorSpec(alias, dtype, shape) for alias, (dtype, shape) in sorted(found.items())}

    def _values(self, values: Floats) -> dict[str, Array]:
        if not self.half_widths:
            return {"values": values}
        reach = np.array(self.half_widths, dtype=np.float32)
        return {"values": values, "interval_low": values - reach, "interval_high": values + reach}


def softmax(logits: Floats) -> Floats:
    """Row-wise softmax of [n, K]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def sigmoid(logits: Floats) -> Floats:
    """Each number's own; tanh does not overflow where exp would."""
    result: Floats = np.float32(0.5) * (np.float32(1.0) + np.tanh(np.float32(0.5) * logits))
    return result


def classifier_outputs(probabilities: Floats, labels: Sequence[str], form: AnswerForm) -> dict[str, Array]:
    """Probabilities [n, K] as the named outputs of ``form``; equal scores stay in label order, as top-k does."""
    return _classified(probabilities, _names(labels), form)


def _classified(probabilities: Floats, names: Array, form: AnswerForm) -> dict[str, Array]:
    if form is AnswerForm.CLASSIFY:
        return {"classes": np.broadcast_to(names, probabilities.shape), "scores": probabilities}
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP_CLASSES]
    rows = np.arange(len(order))[:, np.newaxis]
    return {"probabilities": probabilities, "classes": names[order], "scores": probabilities[rows, order]}


def _names(labels: Sequence[str]) -> Array:
    return np.array([label.encode() for label in labels], dtype=object)
