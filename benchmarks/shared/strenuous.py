"""``strenuous``: four numbers in, and convolutions for about as long as a large vision network takes; small requests
whose runs are long, so that what is measured under load is the server's queue and not the reading of requests.

``x`` float32 [rows, 4] -> ``scores`` float32 [rows, 3], which sum to one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shared.places import made_once

NAME, INPUT, OUTPUT, SHAPE = "strenuous", "x", "scores", (4,)
_SIDE, _CHANNELS, _LAYERS = 28, 64, 40


def strenuous() -> Path:
    """Its directory, ``.../strenuous`` with version 1 in it; made when it is missing."""
    return made_once(NAME, "shared.strenuous")


def inputs(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Input rows with four decimals."""
    return np.random.default_rng(seed).normal(size=(rows, *SHAPE)).round(4).astype(np.float32)


def export(directory: Path, layers: int = _LAYERS) -> None:
    """Write the SavedModel, with so many convolutions."""
    import tensorflow as tf

    draws = np.random.default_rng(5)
    sizes = [(*SHAPE, _SIDE * _SIDE * _CHANNELS), (_CHANNELS, 3)]
    sizes += [(3, 3, _CHANNELS, _CHANNELS)] * layers
    module = tf.Module()
    module.weights = [
        tf.Variable((draws.normal(size=size) / np.sqrt(np.prod(size[:-1]))).astype(np.float32)) for size in sizes
    ]
    first, last, *kernels = module.weights

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, INPUT)])
    def scores(x: Any) -> Any:
        image = tf.reshape(x @ first, [-1, _SIDE, _SIDE, _CHANNELS])
        for kernel in kernels:
            image = tf.nn.relu(image + tf.nn.conv2d(image, kernel, 1, "SAME"))
        return {OUTPUT: tf.nn.softmax(tf.reduce_mean(image, [1, 2]) @ last)}

    tf.saved_model.save(module, str(directory), signatures={"serving_default": scores})


if __name__ == "__main__":
    export(Path(sys.argv[1]))
