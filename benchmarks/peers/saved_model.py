"""TensorFlow as every peer runs it: a SavedModel's ``serving_default`` as one function from rows to rows."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np


def loaded() -> tuple[Callable[[Any], Any], tuple[int, ...]]:
    """The model in ``PEER_MODEL``, warm for every size of batch it will see, and the shape of a row.

    float32 [rows, ...] -> float32 [rows, ...]
    """
    import tensorflow as tf

    intra, inter = (int(os.environ.get(f"PEER_{kind}", "0")) for kind in ("INTRA", "INTER"))
    tf.config.threading.set_intra_op_parallelism_threads(intra)
    tf.config.threading.set_inter_op_parallelism_threads(inter)
    model = tf.saved_model.load(os.environ["PEER_MODEL"])
    function = model.signatures["serving_default"]
    ((name, spec),) = function.structured_input_signature[1].items()
    (output,) = function.structured_outputs

    def run(rows: Any) -> Any:
        return function(**{name: tf.constant(rows)})[output].numpy()

    run.keeps = model  # type: ignore[attr-defined]
    shape = tuple(spec.shape[1:])
    for rows in range(1, int(os.environ["PEER_BATCH"]) + 1):
        run(np.zeros((rows, *shape), np.float32))
    return run, shape
