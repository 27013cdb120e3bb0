"""The head of a fine-tuned model: a linear layer on a base's features, small enough that thousands fit beside one base.

A head is applied row by row as ``W @ f``. That costs about 2 us a row at any number of heads, where one product with
all heads' weights stacked is bound by reading memory; and since every row is its own product, a row's answer does not
depend, to the last bit, on which rows it was batched with. Standardisation, temperature and the scaling of values are
folded into the weights by the trainer, so nothing else happens between features and logits.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InvalidInput
from service.domain.learning import LearningTask
from service.domain.replies import TOP_CLASSES, AnswerForm, Reply, classifier_outputs, softmax
from service.domain.tensors import Array

__all__ = [
    "JOINED",
    "TOP_CLASSES",
    "AnswerForm",
    "Head",
    "classifier_outputs",
    "cut_parts",
    "features_at",
    "head_arrays",
    "read_head",
    "softmax",
]

Floats = NDArray[np.float32]
JOINED = "+"
"""Between the names of cuts whose features stand side by side."""


@dataclass(frozen=True, slots=True)
class Head:
    """Weights [K, D] and bias [K] over D features, and what the K numbers stand for; see ``Reply``."""

    weights: Floats
    bias: Floats
    labels: tuple[str, ...]
    task: LearningTask = LearningTask.MULTICLASS
    thresholds: tuple[float, ...] = ()
    half_widths: tuple[float, ...] = ()
    reply: Reply = field(init=False, repr=False, compare=False)
    """How it answers; heads that answer alike share it."""

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.bias.shape != self.weights.shape[:1]:
            raise InvalidInput(f"a head's weights {self.weights.shape} and bias {self.bias.shape} do not match")
        if len(self.labels) != self.bias.shape[0]:
            raise InvalidInput(f"a head with {self.bias.shape[0]} outputs has {len(self.labels)} labels")
        object.__setattr__(self, "reply", _reply(self.labels, self.task, self.thresholds, self.half_widths))

    @property
    def nbytes(self) -> int:
        """Memory held by the numbers, in bytes."""
        return self.weights.nbytes + self.bias.nbytes

    def logits(self, features: Floats) -> Floats:
        """Features [n, D] to logits [n, K], one product a row."""
        product: Floats = np.matmul(self.weights, features[:, :, np.newaxis])[:, :, 0]
        return product + self.bias

    def answer(self, features: Floats, form: AnswerForm) -> dict[str, Array]:
        """Features [n, D] to the named outputs of ``form``."""
        return self.reply.outputs(self.logits(features), form)


@lru_cache(1024)
def _reply(
    labels: tuple[str, ...], task: LearningTask, thresholds: tuple[float, ...], half_widths: tuple[float, ...]
) -> Reply:
    """Raises: InvalidInput: the parts do not go together."""
    return Reply(labels, task, thresholds, half_widths)


def head_arrays(head: Head) -> dict[str, Array]:
    """What ``head.npz`` holds of a head; labels and task are the manifest's."""
    arrays: dict[str, Array] = {"weights": head.weights, "bias": head.bias}
    if head.thresholds:
        arrays["thresholds"] = np.array(head.thresholds, dtype=np.float64)
    if head.half_widths:
        arrays["half_widths"] = np.array(head.half_widths, dtype=np.float64)
    return arrays


def read_head(arrays: Mapping[str, Array], labels: tuple[str, ...], task: str) -> Head:
    """The inverse of ``head_arrays``.

    Raises:
        InvalidInput: the parts do not go together.
        KeyError, ValueError: an array is missing or is not of numbers, or the task is not known.
    """
    deciding = {
        name: tuple(np.asarray(arrays[name], np.float64).ravel().tolist()) if name in arrays else ()
        for name in ("thresholds", "half_widths")
    }
    weights = np.ascontiguousarray(arrays["weights"], np.float32)
    return Head(weights, np.ascontiguousarray(arrays["bias"], np.float32), labels, LearningTask(task), **deciding)


def cut_parts(cut: str, offered: Container[str]) -> tuple[str, ...]:
    """The base's features that a head's cut names: one, or several joined by ``+``."""
    return (cut,) if cut in offered else tuple(cut.split(JOINED))


def features_at(outputs: Mapping[str, Array], cut: str) -> Floats:
    """A base's features at a cut, several side by side: [n, D]. Raises: KeyError: one of them is not there."""
    parts = [outputs[part] for part in cut_parts(cut, outputs)]
    found: Floats = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    return found
