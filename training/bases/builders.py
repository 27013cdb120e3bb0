"""Networks built from a recipe: a multilayer perceptron, a small convolutional network, a recurrent one for texts.

Every initial weight and every dropout mask comes from a seed of its own, so that the same recipe builds the same
network in any process. Each network ends in logits and, behind them, in the answer that its objective makes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind, InputSpec
from training.recipe import BilstmParams, CnnParams, MlpParams
from training.seeds import child_seed

LOGITS, PROBABILITIES, VALUES = "logits", "probabilities", "values"
"""Names of the last two layers of every network built here."""
FIRST_WORD = 2
"""Token 0 fills up, token 1 is any word outside the vocabulary."""


def build_mlp(params: MlpParams, outputs: int, numbers: NDArray[np.float32], seed: int) -> Any:
    """A Keras model from [n, width] to [n, outputs] logits; ``numbers`` gives width and, if wanted, scale."""
    import keras

    inputs = keras.Input(numbers.shape[1:], name="inputs")
    features = inputs
    if params.standardise:
        mean, variance = numbers.mean(axis=0, dtype=np.float64), numbers.var(axis=0, dtype=np.float64)
        features = keras.layers.Normalization(mean=mean, variance=variance, name="standardise")(features)
    for place, units in enumerate(params.hidden, start=1):
        name = f"dense_{place}"
        features = keras.layers.Dense(units, "relu", kernel_initializer=_he(seed, name), name=name)(features)
    return keras.Model(inputs, _logits(features, outputs, seed))


def build_cnn(params: CnnParams, outputs: int, shape: tuple[int, ...], seed: int) -> Any:
    """A Keras model from [n, height, width, channels] on 0..255 to [n, outputs] logits.

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
    return keras.Model(inputs, _logits(features, outputs, seed))


def build_bilstm(params: BilstmParams, outputs: int, spec: InputSpec, train: Sequence[Any], seed: int) -> Any:
    """A Keras model from texts [n], or token numbers [n, length], to [n, outputs] logits.

    Args:
        train: the training items: texts as bytes, whose words become the vocabulary, which is part of the model; or
            rows of token numbers, which only have to be counted.
    """
    import keras

    inputs = keras.Input(spec.shape, name="inputs", dtype=spec.dtype)
    if spec.kind is InputKind.TEXT:
        words = vocabulary(train, params.vocabulary - FIRST_WORD)
        size = len(words) + FIRST_WORD
        layer = keras.layers.TextVectorization(output_sequence_length=params.length, vocabulary=words, name="vectorise")
        tokens = layer(inputs)
    else:
        size = min(params.vocabulary, int(np.max(np.asarray(train), initial=0)) + 1)
        # Numbers that were never seen in training count as the unknown word.
        tokens = keras.ops.where(keras.ops.less(inputs, size), inputs, min(1, size - 1))
    start = keras.initializers.RandomUniform(-0.05, 0.05, seed=child_seed(seed, "initial", "embedding"))
    embedded = keras.layers.Embedding(
        size, params.embedding, embeddings_initializer=start, mask_zero=True, name="embedding"
    )(tokens)
    both = keras.layers.Bidirectional(
        _lstm(params, seed, "forward"), backward_layer=_lstm(params, seed, "backward"), name="bilstm"
    )(embedded)
    return keras.Model(inputs, _logits(_dropout(params.dropout, seed, "dropout")(both), outputs, seed))


def vocabulary(texts: Sequence[Any], most: int) -> list[str]:
    """The most frequent words of texts as ``TextVectorization`` splits them; of equals the first in the alphabet."""
    import keras

    learner = keras.layers.TextVectorization(max_tokens=most + FIRST_WORD)
    learner.adapt(list(texts))
    return [str(word) for word in learner.get_vocabulary(include_special_tokens=False)]


def answering(model: Any, loss: str, scale: Sequence[float] = (), offset: Sequence[float] = ()) -> Any:
    """The model with the answer behind its logits.

    Args:
        loss: ``softmax`` and ``sigmoid`` make probabilities; ``squared`` makes values, ``logits * scale + offset``.
    """
    import keras

    match loss:
        case "softmax":
            layer = keras.layers.Softmax(name=PROBABILITIES)
        case "sigmoid":
            layer = keras.layers.Activation("sigmoid", name=PROBABILITIES)
        case _:
            layer = keras.layers.Rescaling(list(scale), offset=list(offset), name=VALUES)
    return keras.Model(model.inputs[0], layer(model.outputs[0]))


def _lstm(params: BilstmParams, seed: int, direction: str) -> Any:
    import keras

    return keras.layers.LSTM(
        params.units,
        kernel_initializer=keras.initializers.GlorotUniform(seed=child_seed(seed, "initial", direction)),
        recurrent_initializer=keras.initializers.Orthogonal(seed=child_seed(seed, "recurrent", direction)),
        go_backwards=direction == "backward",
        name=direction,
    )


def _logits(features: Any, outputs: int, seed: int) -> Any:
    """Logits without activation: training works on them, which is exact where probabilities saturate."""
    import keras

    start = keras.initializers.GlorotUniform(seed=child_seed(seed, "initial", LOGITS))
    return keras.layers.Dense(outputs, kernel_initializer=start, name=LOGITS)(features)


def _he(seed: int, layer: str) -> Any:
    import keras

    return keras.initializers.HeUniform(seed=child_seed(seed, "initial", layer))


def _dropout(rate: float, seed: int, name: str) -> Any:
    import keras

    return keras.layers.Dropout(rate, seed=child_seed(seed, "dropout", name), name=name)
