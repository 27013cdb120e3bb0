"""A base from a finished SavedModel, made by whatever wrote it: a float output of a signature is the feature.

Its graph is called, not read: there are no layers, so it can be probed but not fine-tuned. Its weights are written once
more and no more often.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.artifact import SAVED_MODEL, InputKind, InputSpec, checksums
from service.domain.learning import LearningTask
from training.bases.base_model import BaseModel, drawn_sample
from training.bases.cuts import WIDEST_FLAT
from training.errors import BadBase
from training.export.base_model import BaseNetwork
from training.recipe import SavedModelBase
from training.verify import digests

REACHING_OUT = frozenset({"ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "EagerPyFunc", "PyFuncStateless"})
"""Operations by which a graph reaches files or Python; no network needs them to answer."""


def from_saved_model(choice: SavedModelBase, seed: int) -> BaseModel:
    """The base; it has features only.

    Raises:
        BadBase: there is no such signature or output, or it is not one batch in and one batch of numbers out.
    """
    import tensorflow as tf

    directory = Path(choice.ref)
    _look_through(directory)
    try:
        loaded = tf.saved_model.load(str(directory))
    except Exception as error:
        raise BadBase(f"TensorFlow cannot load {directory.name}: {_gist(error)}") from error
    signature = _signature(loaded.signatures, choice.signature, directory.name)
    alias, taken = _input(signature, choice.shape, directory.name)
    spec = _input_spec(taken)
    output, shape = _output(signature, choice.output, directory.name)
    cut = "".join(letter if letter.isalnum() or letter in "_.-" else "_" for letter in output)

    def features(inputs: Any) -> dict[str, Any]:
        answered = signature(**{alias: tf.cast(inputs, taken.dtype) if inputs.dtype != taken.dtype else inputs})
        return {cut: _pooled(answered[output], choice.pooling, output)}

    sample = drawn_sample(spec, seed)
    try:
        tried = features(tf.constant(sample))[cut]
        alone = features(tf.constant(sample[:1]))[cut]
    except (tf.errors.OpError, ValueError) as error:
        raise BadBase(
            f"{directory.name} does not answer a drawn batch of {list(spec.shape)}: {_gist(error)}"
        ) from error
    if len(tried) != len(sample) or len(alone) != 1 or not np.allclose(tried[:1], alone, rtol=1e-3, atol=1e-4):
        raise BadBase(f"{directory.name}: what {output!r} says of an item depends on the items beside it")
    return BaseModel(
        network=BaseNetwork(
            features, {cut: int(tried.shape[1])}, None, list(signature.variables), _others(loaded, signature)
        ),
        spec=spec,
        task=LearningTask.MULTICLASS,
        labels=(),
        sample=sample,
        pooling=choice.pooling,
        notes=["taken from a SavedModel as it is; it has no layers that could be fine-tuned"],
        facts={
            "source": directory.name,
            "source_digest": hashlib.sha256(checksums(digests(directory)).encode()).hexdigest(),
            "signature": choice.signature,
            "output": output,
            "shape": [None if size is None else int(size) for size in shape],
        },
    )


def _look_through(directory: Path) -> None:
    """Refuse graphs that reach out, before anything of them runs. Raises: BadBase."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    file = directory / SAVED_MODEL
    if not file.is_file():
        raise BadBase(f"there is no SavedModel in {directory}: {SAVED_MODEL} is missing")
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise BadBase(f"{file} is not the graph of a SavedModel") from error
    for graph in (meta.graph_def for meta in saved.meta_graphs):
        bodies = [graph.node, *(function.node_def for function in graph.library.function)]
        for node in (node for body in bodies for node in body):
            if node.op in REACHING_OUT:
                raise BadBase(
                    f"{directory.name}: node {node.name!r} is a {node.op}; a base reads no files and runs no Python"
                )


def _signature(signatures: Mapping[str, Any], wanted: str, name: str) -> Any:
    if wanted not in signatures:
        raise BadBase(f"{name} has no signature {wanted!r}; it has {', '.join(sorted(signatures)) or 'none'}")
    return signatures[wanted]


def _input(signature: Any, said: Sequence[int] | None, name: str) -> tuple[str, Any]:
    import tensorflow as tf

    inputs = dict(signature.structured_input_signature[1])
    if len(inputs) != 1:
        raise BadBase(f"{name} takes {len(inputs)} inputs ({', '.join(sorted(inputs))}); a base takes one")
    ((alias, found),) = inputs.items()
    if found.shape.rank is None or found.shape.rank < 1 or found.shape[0] is not None:
        raise BadBase(f"{name} takes {alias!r} of shape {found.shape}; a base takes batches of any size")
    shape = tuple(said) if said else tuple(found.shape[1:])
    if None in shape:
        raise BadBase(f"{name} leaves the size of {alias!r} open, {found.shape}; give base.shape")
    if not found.shape[1:].is_compatible_with(shape):
        raise BadBase(f"{name} takes {alias!r} of shape {found.shape}, not {list(shape)} an item")
    return alias, tf.TensorSpec([None, *shape], found.dtype)


def _input_spec(taken: Any) -> InputSpec:
    shape = tuple(int(size) for size in taken.shape[1:])
    if taken.dtype.name == "string" and shape == ():
        return InputSpec(InputKind.TEXT, shape)
    if taken.dtype.is_integer and len(shape) == 1:
        return InputSpec(InputKind.TOKENS, shape)
    if (taken.dtype.is_floating or taken.dtype.is_integer) and len(shape) in {1, 3}:
        return InputSpec(InputKind.VECTOR if len(shape) == 1 else InputKind.IMAGE, shape)
    raise BadBase(f"items of {taken.dtype.name} {list(shape)} are no vectors, images, texts or tokens")


def _output(signature: Any, wanted: str | None, name: str) -> tuple[str, Any]:
    outputs = signature.structured_outputs
    # TensorFlow gives them in an order that differs from load to load.
    floats = sorted(alias for alias, spec in outputs.items() if spec.dtype.is_floating)
    if not floats:
        kinds = ", ".join(f"{alias} ({spec.dtype.name})" for alias, spec in sorted(outputs.items())) or "none"
        raise BadBase(f"{name} has no output of numbers to take as features; its outputs: {kinds}")
    if wanted is None and len(floats) > 1:
        raise BadBase(f"{name} has several outputs of numbers; say base.output: {', '.join(floats)}")
    chosen = wanted or floats[0]
    if chosen not in floats:
        raise BadBase(f"{name} has no output of numbers {chosen!r}; it has {', '.join(floats)}")
    return chosen, outputs[chosen].shape


def _pooled(tensor: Any, how: str, name: str) -> Any:
    """[n, ...] to [n, width], as ``training.bases.cuts.pooled`` does it for Keras tensors."""
    import tensorflow as tf

    tensor = tf.cast(tensor, tf.float32)
    sizes = tensor.shape[1:]
    if sizes.rank is None or sizes.rank == 0:
        raise BadBase(f"output {name!r} has shape {tensor.shape}; features are [n, width] or maps of them")
    if sizes.rank == 1:
        return tensor
    width = sizes.num_elements()
    if how == "last" and sizes.rank == 2:
        return tensor[:, -1]
    if how in {"auto", "flatten"} and width is not None and width <= WIDEST_FLAT:
        return tf.reshape(tensor, [-1, width])
    if how in {"auto", "gap"} or (how == "mean" and sizes.rank == 2):
        return tf.reduce_mean(tensor, axis=list(range(1, tensor.shape.rank - 1)))
    raise BadBase(f"base.pooling {how} does not suit {name!r} of shape {tensor.shape}")


def _others(loaded: Any, signature: Any) -> list[Any]:
    """What must be kept with the function beside its variables: all of the model, if it reads tables or files."""
    handles = {id(variable.handle) for variable in signature.variables}
    captured = [tensor for tensor, _ in signature.graph.captures if tensor.dtype.name in {"resource", "variant"}]
    return [loaded] if any(id(tensor) not in handles for tensor in captured) else []


def _gist(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
