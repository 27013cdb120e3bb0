"""LitServe: JSON as its request format, a multipart file for bytes.

Batching by ``max_batch_size`` and ``batch_timeout`` of LitAPI, as its documentation has it; ``fast_queue`` (ZeroMQ) is
its documented switch for many small requests.
"""

from __future__ import annotations

import os

import litserve
import numpy as np
from saved_model import loaded


class Served(litserve.LitAPI):
    """The model; the base class is LitServe's."""

    def setup(self, device):
        self.run, self.shape = loaded()

    def decode_request(self, request):
        if "file" in request:
            return np.frombuffer(request["file"].file.read(), np.float32).reshape(self.shape)
        return np.asarray(request["instance"], np.float32)

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, x):
        return self.run(x)

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"prediction": output.tolist()}


if __name__ == "__main__":
    served = Served(max_batch_size=int(os.environ["PEER_BATCH"]), batch_timeout=float(os.environ["PEER_WAIT_S"]))
    server = litserve.LitServer(
        served, accelerator="cpu", workers_per_device=int(os.environ["PEER_WORKERS"]), fast_queue=True, timeout=60
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PEER_HTTP"]),
        num_api_servers=int(os.environ["PEER_DOORS"]),
        log_level="warning",
        generate_client_file=False,
    )
