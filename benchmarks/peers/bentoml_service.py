"""BentoML: a numpy input as JSON, and a file of raw bytes.

Adaptive batching by ``batchable`` with ``max_batch_size`` and ``max_latency_ms``, as its documentation has it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType
from saved_model import loaded

BATCHING = {
    "batchable": True,
    "batch_dim": 0,
    "max_batch_size": int(os.environ["PEER_BATCH"]),
    "max_latency_ms": 10_000,
}


@bentoml.service(
    workers=int(os.environ["PEER_WORKERS"]), traffic={"timeout": 60}, logging={"access": {"enabled": False}}
)
class Served:
    """The model."""

    def __init__(self) -> None:
        self.run, self.shape = loaded()

    @bentoml.api(**BATCHING)
    def predict(self, rows: Annotated[np.ndarray, DType("float32")]) -> np.ndarray:
        return self.run(rows)

    @bentoml.api(**BATCHING)
    def binary(self, files: list[Path]) -> np.ndarray:
        return self.run(np.stack([np.fromfile(file, np.float32).reshape(self.shape) for file in files]))
