"""MLServer: a custom runtime, JSON in the Open Inference format, raw tensors over its gRPC.

Adaptive batching by ``max_batch_size`` and ``max_batch_time`` in the model's settings, as its documentation has it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from saved_model import loaded


class Served(MLModel):
    """The model; the base class is MLServer's."""

    async def load(self):
        self.run, _ = loaded()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("output", self.run(rows))
        return InferenceResponse(model_name=self.name, outputs=[output])


def folder(directory: Path) -> None:
    """What ``mlserver start`` reads."""
    served = {
        "name": "served",
        "implementation": "mlserver_runtime.Served",
        "max_batch_size": int(os.environ["PEER_BATCH"]),
        "max_batch_time": float(os.environ["PEER_WAIT_S"]),
    }
    server = {
        "host": "127.0.0.1",
        "http_port": int(os.environ["PEER_HTTP"]),
        "grpc_port": int(os.environ["PEER_GRPC"]),
        "metrics_port": int(os.environ["PEER_METRICS"]),
        "parallel_workers": int(os.environ["PEER_WORKERS"]),
        "debug": False,
        "logging_settings": None,
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model-settings.json").write_text(json.dumps(served))
    (directory / "settings.json").write_text(json.dumps(server))


if __name__ == "__main__":
    folder(Path(sys.argv[1]))
    mlserver = Path(sys.executable).with_name("mlserver")
    os.execv(mlserver, [str(mlserver), "start", sys.argv[1]])
