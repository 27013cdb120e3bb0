"""A base from a finished Keras model, taken as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.domain.artifact import InputKind, InputSpec
from service.domain.learning import LearningTask
from training.bases.base_model import BaseModel, drawn_sample
from training.bases.cuts import cut_tensors
from training.bases.keras_file import file_digest, load_keras_file
from training.bases.surgery.cloning import check_graph, in_float32
from training.bases.surgery.replaying import replay
from training.errors import BadBase, BadRecipe
from training.export.base_model import keras_network
from training.recipe import KerasFileBase, KerasFileParams


def from_keras_file(choice: KerasFileBase, task: str, seed: int, scratch: Path) -> BaseModel:
    """The base; there is no data, so its golden inputs are drawn.

    Args:
        task: what a model that does not say it is for: one that ends linearly may be a classifier or a regressor.

    Raises:
        BadBase: the file holds no such model; the text says why.
        BadRecipe: the recipe says something of it that is not so.
    """
    source = Path(choice.ref)
    loaded = load_keras_file(source, scratch)
    check_graph(loaded)
    _check_output(loaded, source.name)
    model = _with_known_input(in_float32(loaded), choice.params, source.name)
    model, answers = _as_answerer(model, task, source.name)
    spec = _input_of(model, choice.params)
    outputs = int(model.outputs[0].shape[1])
    cuts = cut_tensors(model, choice.cuts, choice.pooling)
    if not cuts:
        raise BadBase(f"{source.name} has no layer before its output to cut after")
    return BaseModel(
        network=keras_network(model, cuts),
        spec=spec,
        task=answers,
        labels=_labels(choice.params, outputs, answers),
        sample=drawn_sample(spec, seed),
        model=model,
        pooling=choice.pooling,
        notes=["taken from a Keras file as it is; there was no data to judge it by"],
        facts={"source": source.name, "source_digest": file_digest(source)},
    )


def _check_output(model: Any, name: str) -> None:
    output = model.outputs[0]
    if len(output.shape) != 2 or output.shape[1] is None:
        raise BadBase(f"{name} answers with shape {list(output.shape)}; a base is a classifier, [n, classes]")


def _with_known_input(model: Any, params: KerasFileParams, name: str) -> Any:
    """The model behind an input of known size, with channels, on the scale the contract has."""
    import keras

    first = model.inputs[0]
    own = tuple(first.shape[1:])
    shape = tuple(params.shape) if params.shape else own
    if str(first.dtype) == "string":
        return _text_input(model, own, name)
    if None in shape:
        raise BadBase(f"{name} leaves its input size open; give base.params.shape")
    if len(shape) not in {1, 2, 3}:
        raise BadBase(f"{name} takes inputs of shape {list(shape)}; a base takes vectors or images")
    outside = (*shape, 1) if len(shape) == 2 else shape
    tokens = len(shape) == 1 and _reads_tokens(model)
    wanted = "int32" if tokens else "float32"
    if outside == own and params.rescale is None and str(first.dtype) == wanted:
        return model
    tensor = entry = keras.Input(outside, name="inputs", dtype=wanted)
    if outside != shape:
        tensor = keras.layers.Reshape(shape, name="without_channel")(tensor)
    if params.rescale is not None:
        tensor = keras.layers.Rescaling(params.rescale, name="rescale_input")(tensor)
    return keras.Model(entry, replay(model, tensor))


def _text_input(model: Any, shape: tuple[int | None, ...], name: str) -> Any:
    import keras

    if shape not in {(), (1,)}:
        raise BadBase(f"{name} takes texts of shape {list(shape)}; a base takes one text an item")
    if shape == ():
        return model
    entry = keras.Input((), name="inputs", dtype="string")
    return keras.Model(entry, replay(model, keras.ops.expand_dims(entry, -1)))


def _reads_tokens(model: Any) -> bool:
    """Whether the first layer looks its input up."""
    import keras

    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    return bool(layers) and isinstance(layers[0], keras.layers.Embedding)


def _input_of(model: Any, params: KerasFileParams) -> InputSpec:
    first = model.inputs[0]
    shape = tuple(int(size) for size in first.shape[1:])
    kinds = {"string": InputKind.TEXT, "int32": InputKind.TOKENS}
    kind = kinds.get(str(first.dtype), InputKind.VECTOR if len(shape) == 1 else InputKind.IMAGE)
    columns = tuple(params.columns or ())
    if columns and (kind is not InputKind.VECTOR or len(columns) != shape[0]):
        raise BadRecipe(f"base.params.columns names {len(columns)} columns, the model takes {list(shape)}")
    return InputSpec(kind, shape, columns=columns)


def _as_answerer(model: Any, task: str, name: str) -> tuple[Any, str]:
    """The model with probabilities [n, K] or values [n, M] as output, and the task that this is."""
    import keras

    output = model.outputs[0]
    activation, outputs = _last_activation(model), int(output.shape[1])
    if activation == "softmax":
        return model, LearningTask.BINARY if outputs == 2 and task == LearningTask.BINARY else LearningTask.MULTICLASS
    if activation == "sigmoid" and outputs == 1:
        complement = keras.layers.Rescaling(-1.0, offset=1.0, name="complement")(output)
        both = keras.layers.Concatenate(name="both")([complement, output])
        return keras.Model(model.inputs[0], both), LearningTask.BINARY
    if activation == "sigmoid" and task == LearningTask.MULTILABEL:
        return model, LearningTask.MULTILABEL
    if activation in {"linear", None} and task == LearningTask.REGRESSION:
        return model, LearningTask.REGRESSION
    if activation in {"linear", None} and outputs > 1 and task in {LearningTask.MULTICLASS, LearningTask.BINARY}:
        return keras.Model(model.inputs[0], keras.layers.Softmax(name="probabilities")(output)), task
    raise BadBase(
        f"{name} ends in {activation} of {outputs}, and for head.task {task} only classifiers with one label an item "
        "are taken; say head.task multilabel for independent labels, regression for values"
    )


def _labels(params: KerasFileParams, outputs: int, task: str) -> tuple[str, ...]:
    labels = tuple(params.labels or map(str, range(outputs)))
    if len(labels) != outputs:
        what = "values" if task == LearningTask.REGRESSION else "classes"
        raise BadRecipe(f"base.params.labels names {len(labels)} classes, the model has {outputs} {what}")
    return labels


def _last_activation(model: Any) -> str | None:
    last = model.layers[-1]
    if type(last).__name__ == "Softmax":
        return "softmax"
    activation = getattr(last, "activation", None)
    return getattr(activation, "__name__", None)
