"""What TensorFlow answers, from a process of its own: ``python -m peers.expected SAVED_MODEL ROW.npy ANSWER.npy``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from shared.places import BENCHMARKS

from peers.asking import Row


def expected(place: Path, row: Row) -> Row:
    """The first output of a SavedModel's ``serving_default`` for these rows, flat."""
    with tempfile.TemporaryDirectory() as scratch:
        given, found = Path(scratch) / "row.npy", Path(scratch) / "answer.npy"
        np.save(given, row)
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(BENCHMARKS)}
        command = [sys.executable, "-m", "peers.expected", str(place / "1"), str(given), str(found)]
        subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)
        return np.load(found).ravel()  # type: ignore[no-any-return]


if __name__ == "__main__":
    import tensorflow as tf

    model = tf.saved_model.load(sys.argv[1])
    (answer,) = model.signatures["serving_default"](tf.constant(np.load(sys.argv[2]))).values()
    np.save(sys.argv[3], answer.numpy())
