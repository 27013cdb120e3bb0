"""A base from a finished ``.keras`` file: loaded from a copy, in safe mode, and wrapped to fit the contract.

The file itself is never opened for writing, and its digest is compared before and after.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from training.bases.surgery import replay
from training.errors import BadBase
from training.recipe import KerasFileParams


def file_digest(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_keras_file(source: Path, params: KerasFileParams, scratch: Path) -> Any:
    """The model in the file, with one input of known shape and one output of class probabilities [n, K].

    Raises:
        BadBase: it cannot be read without running code of its own, or is not such a model; the text says why.
    """
    import keras

    if not source.is_file():
        raise BadBase(f"there is no file {source}")
    before = file_digest(source)
    copy = scratch / "source.keras"
    shutil.copyfile(source, copy)
    try:
        model = keras.saving.load_model(copy, compile=False, safe_mode=True)
    except Exception as error:
        raise BadBase(f"Keras cannot load {source.name}: {error}") from error
    finally:
        copy.unlink()
    if file_digest(source) != before:
        raise BadBase(f"{source.name} changed while it was read")
    return _as_classifier(_with_known_input(model, params, source.name), source.name)


def _with_known_input(model: Any, params: KerasFileParams, name: str) -> Any:
    """The model behind an input of known size, with channels, on the scale the contract has."""
    import keras

    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not inputs or not outputs:
        raise BadBase(f"{name} is not a functional or sequential model with a known input")
    if len(inputs) != 1 or len(outputs) != 1:
        raise BadBase(f"{name} has {len(inputs)} inputs and {len(outputs)} outputs; a base has one of each")
    own = tuple(inputs[0].shape[1:])
    shape = tuple(params.shape) if params.shape else own
    if None in shape:
        raise BadBase(f"{name} leaves its input size open; give base.params.shape")
    if len(shape) not in {1, 2, 3}:
        raise BadBase(f"{name} takes inputs of shape {list(shape)}; a base takes vectors or images")
    outside = (*shape, 1) if len(shape) == 2 else shape
    if outside == own and params.rescale is None and str(inputs[0].dtype) == "float32":
        return model
    tensor = entry = keras.Input(outside, name="inputs")
    if outside != shape:
        tensor = keras.layers.Reshape(shape, name="without_channel")(tensor)
    if params.rescale is not None:
        tensor = keras.layers.Rescaling(params.rescale, name="rescale_input")(tensor)
    return keras.Model(entry, replay(model, tensor))


def _as_classifier(model: Any, name: str) -> Any:
    """The model with an output that is a probability for each class."""
    import keras

    output = model.outputs[0]
    if len(output.shape) != 2 or output.shape[1] is None:
        raise BadBase(f"{name} answers with shape {list(output.shape)}; a base is a classifier, [n, classes]")
    activation = _last_activation(model)
    if activation == "softmax":
        return model
    if activation == "sigmoid" and output.shape[1] == 1:
        both = keras.layers.Concatenate(name="both")([_complement(output), output])
        return keras.Model(model.inputs[0], both)
    if activation in {"linear", None} and output.shape[1] > 1:
        return keras.Model(model.inputs[0], keras.layers.Softmax(name="probabilities")(output))
    raise BadBase(
        f"{name} ends in {activation} of {output.shape[1]}; only classifiers with one label an item are taken"
    )


def _complement(probability: Any) -> Any:
    import keras

    return keras.layers.Rescaling(-1.0, offset=1.0, name="complement")(probability)


def _last_activation(model: Any) -> str | None:
    last = model.layers[-1]
    while hasattr(last, "layers"):
        last = last.layers[-1]
    if type(last).__name__ == "Softmax":
        return "softmax"
    activation = getattr(last, "activation", None)
    return getattr(activation, "__name__", None)
