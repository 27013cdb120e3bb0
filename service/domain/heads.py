"""The head of a fine-tuned model: a linear layer on a base's features, small enough that thousands fit beside one base.

A head is applied row by row as ``W @ f``. That costs about 2 us a row at any number of heads, where one product with
all heads' weights stacked is bound by reading memory; and since every row is its own product, a row's answer does not
depend, to the last bit, on which rows it was batched with. Standardisation and temperature are folded into the weights
by the trainer, so nothing else happens between features and logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InvalidInput
from service.domain.tensors import Array

Floats = NDArray[np.float32]
TOP_CLASSES = 5


class AnswerForm(StrEnum):
    """Which named outputs a signature of a classifier gives."""

    PREDICT = "predict"
    """``probabilities`` [n, K] in label order; ``classes`` and ``scores`` [n, min(5, K)], best first."""
    CLASSIFY = "classify"
    """TF Serving's classification contract: ``classes`` and ``scores`` [n, K] in label order."""


@dataclass(frozen=True, slots=True)
class Head:
    """Weights [K, D] and bias [K] over D features, and the K labels they stand for."""

    weights: Floats
    bias: Floats
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.bias.shape != self.weights.shape[:1]:
            raise InvalidInput(f"a head's weights {self.weights.shape} and bias {self.bias.shape} do not match")
        if len(self.labels) != self.bias.shape[0]:
            raise InvalidInput(f"a head with {self.bias.shape[0]} outputs has {len(self.labels)} labels")

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
        return classifier_outputs(softmax(self.logits(features)), self.labels, form)


def softmax(logits: Floats) -> Floats:
    """Row-wise softmax of [n, K]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def classifier_outputs(probabilities: Floats, labels: Sequence[str], form: AnswerForm) -> dict[str, Array]:
    """Probabilities [n, K] as the named outputs of ``form``; equal scores stay in label order, as top-k does."""
    names = np.array([label.encode() for label in labels], dtype=object)
    if form is AnswerForm.CLASSIFY:
        return {"classes": np.broadcast_to(names, probabilities.shape), "scores": probabilities}
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP_CLASSES]
    return {
        "probabilities": probabilities,
        "classes": names[order],
        "scores": np.take_along_axis(probabilities, order, axis=1),
    }
