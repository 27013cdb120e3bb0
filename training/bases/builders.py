"""Networks built from a recipe: a multilayer perceptron and a small convolutional network.

Every initial weight and every dropout mask comes from a seed of its own, so that the same recipe builds the same
network in any process.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.recipe import CnnParams, MlpParams
from training.seeds import child_seed

LOGITS, PROBABILITIES = "logits", "probabilities"
"""Names of the last two layers of every network built here."""


def build_mlp(params: MlpParams, classes: int, numbers: NDArray[np.float32], seed: int) -> Any:
    """A Keras model from [n, width] to [n, classes] probabilities; ``numbers`` gives width and, if wanted, scale."""
    import keras

    inputs = keras.Input(numbers.shape[1:], name="inputs")
    features = inputs
    if params.standardise:
        mean, variance = numbers.mean(axis=0, dtype=np.float64), numbers.var(axis=0, dtype=np.float64)
        features = keras.layers.Normalization(mean=mean, variance=variance, name="standardise")(features)
    for place, units in enumerate(params.hidden, start=1):
        name = f"dense_{place}"
        features = keras.layers.Dense(units, "relu", kernel_initializer=_he(seed, name), name=name)(features)
    return keras.Model(inputs, _classifier(features, classes, seed))


def build_cnn(params: CnnParams, classes: int, shape: tuple[int, ...], seed: int) -> Any:
    """A Keras model from [n, height, width, channels] on 0..255 to [n, classes] probabilities.

    Raises:
        ValueError: the image is too small for so many convolutions.
    """
    import keras

    inputs = keras.Input(shape, name="inputs")
    features = keras.layers.Rescaling(1 / 255, name="rescale")(inputs)
    for place, filters in enumerate(params.filters, start=1):
        name = f"conv_{place}"
        features = keras.layers.Conv2D(filters, 3, activation="relu", kernel_initializer=_he(seed, name), name=name)(
            features
        )
    features = keras.layers.MaxPooling2D(name="pool")(features)
    features = _dropout(params.dropout, seed, "dropout_1")(features)
    features = keras.layers.Flatten(name="flatten")(features)
    features = keras.layers.Dense(params.dense, "relu", kernel_initializer=_he(seed, "dense"), name="dense")(features)
    features = _dropout(params.dropout, seed, "dropout_2")(features)
    return keras.Model(inputs, _classifier(features, classes, seed))


def _classifier(features: Any, classes: int, seed: int) -> Any:
    """Logits and softmax as two layers: training works on the logits, which is exact where probabilities saturate."""
    import keras

    start = keras.initializers.GlorotUniform(seed=child_seed(seed, "initial", LOGITS))
    logits = keras.layers.Dense(classes, kernel_initializer=start, name=LOGITS)(features)
    return keras.layers.Softmax(name=PROBABILITIES)(logits)


def _he(seed: int, layer: str) -> Any:
    import keras

    return keras.initializers.HeUniform(seed=child_seed(seed, "initial", layer))


def _dropout(rate: float, seed: int, name: str) -> Any:
    import keras

    return keras.layers.Dropout(rate, seed=child_seed(seed, "dropout", name), name=name)
