"""The inputs of some items for training on: held in memory where they are few, else read again batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputSpec
from training.data.contents import Contents
from training.features import inputs_of

MOST_HELD = 256 * 2**20
"""Bytes of decoded inputs."""
BATCH = 64
Decode = Callable[[Sequence[bytes]], NDArray[np.float32]]


class ReadAgain:
    """Inputs that are decoded when they are asked for; indexed by an array of places."""

    def __init__(self, contents: Contents, items: NDArray[np.int64], spec: InputSpec, decode: Decode) -> None:
        self._contents, self._items, self._spec, self._decode = contents, items, spec, decode

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        return inputs_of(self._contents, self._items[rows].tolist(), self._spec, self._decode)


def training_inputs(contents: Contents, items: NDArray[np.int64], spec: InputSpec, decode: Decode) -> Any:
    """Inputs [n, ...] of these items: an array, or ``ReadAgain`` where images would need more than ``MOST_HELD``.

    Raises:
        BadData: an image cannot be decoded.
    """
    waiting = ReadAgain(contents, items, spec, decode)
    if contents.numbers is None and len(items) * spec.width * 4 > MOST_HELD:
        return waiting
    parts = [waiting[np.arange(at, min(at + BATCH, len(items)))] for at in range(0, len(items), BATCH)]
    return np.concatenate(parts) if parts else waiting[np.arange(0)]


def outputs_of(model: Any, inputs: Any, batch: int = BATCH) -> NDArray[np.float64]:
    """The model's outputs [n, K] as at inference, batch by batch."""
    return Predictor(model)(inputs, batch)


class Predictor:
    """A model's inference, compiled once; it sees the weights as they are at each call."""

    def __init__(self, model: Any) -> None:
        import tensorflow as tf

        entry = model.inputs[0]
        spec = tf.TensorSpec(entry.shape, entry.dtype)
        self._answer = tf.function(lambda inputs: model(inputs, training=False), input_signature=[spec])

    def __call__(self, inputs: Any, batch: int = BATCH) -> NDArray[np.float64]:
        import tensorflow as tf

        rows = [np.arange(at, min(at + batch, len(inputs))) for at in range(0, len(inputs), batch)]
        answers = [self._answer(tf.constant(inputs[one])).numpy() for one in rows]
        return np.concatenate(answers).astype(np.float64)
