"""``tiny``: a multi-layer perceptron of four numbers in, 16 hidden units and three scores out; nothing but overhead.

``x`` float32 [rows, 4] -> ``scores`` float32 [rows, 3], which sum to one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shared.places import made_once

NAME, INPUT, OUTPUT, SHAPE = "tiny", "x", "scores", (4,)


def tiny() -> Path:
    """Its directory, ``.../tiny`` with version 1 in it; made when it is missing."""
    return made_once(NAME, "shared.tiny")


def inputs(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Input rows with four decimals."""
    return np.random.default_rng(seed).normal(size=(rows, *SHAPE)).round(4).astype(np.float32)


def export(directory: Path) -> None:
    """Write the SavedModel."""
    import tensorflow as tf

    draws = np.random.default_rng(5)
    module = tf.Module()
    module.weights = [tf.Variable(draws.normal(size=size).astype(np.float32)) for size in ((4, 16), (16, 3))]
    first, second = module.weights

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, INPUT)])
    def scores(x: Any) -> Any:
        return {OUTPUT: tf.nn.softmax(tf.nn.relu(x @ first) @ second)}

    tf.saved_model.save(module, str(directory), {"serving_default": scores})


if __name__ == "__main__":
    export(Path(sys.argv[1]))
