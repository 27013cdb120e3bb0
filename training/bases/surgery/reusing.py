"""Reusing the lower part of a network, and putting new layers on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.bases.cuts import cut_tensors, penultimate
from training.bases.surgery.cloning import clone
from training.seeds import child_seed

PENULTIMATE = "penultimate"
LOGITS = "logits"


def reuse(model: Any, cut: str | Sequence[str] = PENULTIMATE, pooling: str = "auto") -> Any:
    """A copy of all layers up to a cut, from the model's input to features [n, width]; the source is not touched.

    Args:
        cut: a layer's name or address, several, whose features then stand side by side, or ``penultimate``: what the
            last layer with weights reads.
        pooling: how maps and sequences become vectors, as ``cuts.pooled`` says.

    Raises:
        BadRecipe: there is no such layer; near ones are suggested.
    """
    import keras

    copy = clone(model)
    names = [penultimate(copy)] if cut == PENULTIMATE else [cut] if isinstance(cut, str) else list(cut)
    tensors = list(cut_tensors(copy, names, pooling).values())
    features = tensors[0] if len(tensors) == 1 else keras.layers.Concatenate(name="cuts")(tensors)
    return keras.Model(copy.inputs[0], features, name=model.name)


def with_hidden(model: Any, hidden: Sequence[int], seed: int, *, activation: str = "relu", dropout: float = 0.0) -> Any:
    """The model with new dense layers behind its output [n, width], each followed by dropout where there is any.

    The layers below are shared, not copied.
    """
    import keras

    tensor = model.outputs[0]
    for place, units in enumerate(hidden, start=1):
        name = f"hidden_{place}"
        start = keras.initializers.HeUniform(seed=child_seed(seed, "initial", name))
        tensor = keras.layers.Dense(units, activation, kernel_initializer=start, name=name)(tensor)
        if dropout:
            drop = child_seed(seed, "dropout", name)
            tensor = keras.layers.Dropout(dropout, seed=drop, name=f"{name}_dropout")(tensor)
    return keras.Model(model.inputs[0], tensor, name=model.name)


def with_output(model: Any, outputs: int, seed: int) -> Any:
    """The model with a new dense layer ``logits`` behind its output [n, width]: [n, outputs], no activation.

    The layers below are shared, not copied.
    """
    import keras

    start = keras.initializers.GlorotUniform(seed=child_seed(seed, "initial", LOGITS))
    layer = keras.layers.Dense(outputs, kernel_initializer=start, dtype="float32", name=LOGITS)
    return keras.Model(model.inputs[0], layer(model.outputs[0]), name=model.name)
