"""Graft's own files inside an exported version: golden pair, TF Serving's warm-up requests, the head's numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import EXTRA, GOLDEN, HEAD, REFERENCE, WARMUP
from service.domain.heads import Head, head_arrays
from service.domain.tensors import DEFAULT_SIGNATURE

GOLDEN_ROWS = 8
OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def make_room(directory: Path) -> None:
    """Create the folder the other functions write to."""
    (directory / EXTRA).mkdir(parents=True, exist_ok=True)


def write_golden(
    directory: Path, inputs: NDArray[Any], alias: str, answer: Callable[..., Mapping[str, Any]] | None = None
) -> dict[str, NDArray[Any]]:
    """Run ``serving_default`` of the exported graph on some inputs and keep the pair; returns the float outputs.

    Args:
        answer: that signature, where it is still at hand as it was before it was written: loading it takes longer than
            running it, and what was written is proven by a fresh process anyway. None loads it.
    """
    import tensorflow as tf

    answer = answer or tf.saved_model.load(str(directory)).signatures[DEFAULT_SIGNATURE]
    outputs = {name: tensor.numpy() for name, tensor in answer(**{alias: tf.constant(inputs)}).items()}
    floats = {name: array for name, array in outputs.items() if array.dtype.kind == "f"}
    # Texts of a fixed width need no pickling, which no reader of golden pairs does.
    kept = inputs.astype(np.bytes_) if inputs.dtype == object else inputs
    arrays = {f"{DEFAULT_SIGNATURE}/inputs/{alias}": kept}
    arrays.update({f"{DEFAULT_SIGNATURE}/outputs/{name}": array for name, array in floats.items()})
    np.savez(directory / GOLDEN, **arrays)  # type: ignore[arg-type]
    return floats


def write_warmup(directory: Path, model: str, inputs: NDArray[Any], alias: str) -> None:
    """TF Serving's warm-up file: one request for ``serving_default`` with a single row, one with all."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    with tf.io.TFRecordWriter(str(directory / WARMUP)) as writer:
        for rows in dict.fromkeys((1, len(inputs))):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model
            request.model_spec.signature_name = DEFAULT_SIGNATURE
            request.inputs[alias].CopyFrom(tf.make_tensor_proto(inputs[:rows]))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())


def write_head(directory: Path, head: Head) -> None:
    """The head's numbers, for a server that runs it on a shared base."""
    np.savez(directory / HEAD, **head_arrays(head))  # type: ignore[arg-type]


def write_reference(directory: Path, reference: Path | None) -> None:
    """A copy of the bank of training features, where there is one."""
    if reference is not None:
        shutil.copyfile(reference, directory / REFERENCE)


def stored_ratio(directory: Path, weights: Mapping[str, int]) -> float:
    """Bytes of all variables in the checkpoint to bytes of the weights that were to be stored: 1 when each is there
    once.

    Args:
        weights: bytes of each weight by any name.
    """
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(directory / "variables" / "variables"))
    shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    stored = sum(int(np.prod(shapes[name])) * types[name].size for name in shapes if name != OBJECT_GRAPH)
    # A graph may have no weights at all.
    return stored / sum(weights.values()) if weights else 1.0
