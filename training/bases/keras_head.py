"""A head as a Keras model, for the next transfer: the base's layers up to the cut, and a dense softmax on top."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.heads import Head
from training.bases.cuts import cut_tensors
from training.errors import BadArtifact

TOLERANCE = 1e-4
"""On probabilities; Keras and the exported graph may order their sums differently."""


def write_keras_head(
    base: Path, cut: str, head: Head, target: Path, inputs: NDArray[np.float32], expected: NDArray[np.float32]
) -> float:
    """Write the model in float32; its largest difference from the expected probabilities.

    Raises:
        BadArtifact: the base's Keras model has no such cut, or the result answers otherwise than the head.
    """
    import keras

    model = keras.saving.load_model(base, compile=False, safe_mode=True)
    tensors = cut_tensors(model, [cut])
    if cut not in tensors:
        raise BadArtifact(f"the base's Keras model has no layer {cut!r}")
    answer = keras.layers.Dense(len(head.labels), "softmax", dtype="float32", name="head")
    whole = keras.Model(model.inputs[0], answer(tensors[cut]))
    answer.set_weights([head.weights.T, head.bias])
    gap = float(np.abs(np.asarray(whole(inputs, training=False)) - expected).max())
    if gap > TOLERANCE:
        raise BadArtifact(f"as a Keras model the head answers differently, by {gap:.2g}")
    whole.save(target)
    return gap
