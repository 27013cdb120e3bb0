"""A head as a Keras model, for the next transfer: the base's layers up to the cut, and a dense layer on top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.heads import JOINED, Head
from service.domain.learning import LearningTask
from service.domain.tensors import farthest
from training.bases.cuts import cut_tensors
from training.errors import BadArtifact

TOLERANCE = 1e-4
"""On probabilities, or on values in units of their spread; Keras and the graph may order their sums differently."""
ACTIVATIONS = {LearningTask.MULTILABEL: "sigmoid", LearningTask.REGRESSION: "linear"}
"""Of the last layer; softmax for the other tasks."""


def write_keras_head(
    model: Any,
    cut: str,
    head: Head,
    target: Path,
    inputs: NDArray[np.float32],
    expected: NDArray[np.float32],
    pooling: str = "auto",
) -> float:
    """Write the model in float32; its largest difference from the expected probabilities or values.

    Args:
        model: the base's Keras model, which stays as it is.

    Raises:
        BadArtifact: the base's Keras model has no such cut, or the result answers otherwise than the head.
    """
    import keras

    layers = [cut] if cut in {layer.name for layer in model.layers} else cut.split(JOINED)
    tensors = cut_tensors(model, layers, pooling)
    if not all(layer in tensors for layer in layers):
        raise BadArtifact(f"the base's Keras model has no layer {cut!r}")
    features = [tensors[layer] for layer in layers]
    activation = ACTIVATIONS.get(head.task, "softmax")
    answer = keras.layers.Dense(len(head.labels), activation, dtype="float32", name="head")
    together = features[0] if len(features) == 1 else keras.layers.Concatenate(name="cuts")(features)
    whole = keras.Model(model.inputs[0], answer(together))
    answer.set_weights([head.weights.T, head.bias])
    answered = np.asarray(whole(inputs, training=False))
    gap = float(np.abs(answered - expected).max())
    if head.task is LearningTask.REGRESSION:
        gap = farthest(expected, answered)
    if gap > TOLERANCE:
        raise BadArtifact(f"as a Keras model the head answers differently, by {gap:.2g}")
    whole.save(target)
    return gap
