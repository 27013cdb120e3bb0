"""Ray Serve: JSON and bytes over its HTTP proxy, and TensorFlow Serving's own gRPC service over its gRPC proxy.

Dynamic request batching by ``serve.batch``, as its documentation has it.
"""

from __future__ import annotations

import os
import signal

import numpy as np
import ray
from ray import serve
from ray.serve.config import gRPCOptions
from saved_model import loaded
from tensorflow_serving.apis import predict_pb2

JSON = "application/json"


@serve.deployment(
    num_replicas=int(os.environ["PEER_WORKERS"]), max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.5}
)
class Served:
    """The model."""

    def __init__(self) -> None:
        self.run, self.shape = loaded()

    @serve.batch(max_batch_size=int(os.environ["PEER_BATCH"]), batch_wait_timeout_s=float(os.environ["PEER_WAIT_S"]))
    async def rows(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        return list(self.run(np.stack(rows)))

    async def __call__(self, request):
        if request.headers["content-type"] == JSON:
            row = np.asarray((await request.json())["instance"], np.float32)
        else:
            row = np.frombuffer(await request.body(), np.float32).reshape(self.shape)
        return {"prediction": (await self.rows(row)).tolist()}

    async def Predict(self, request):
        ((_, tensor),) = request.inputs.items()
        row = np.frombuffer(tensor.tensor_content, np.float32).reshape(self.shape)
        output = await self.rows(row)
        answer = predict_pb2.PredictResponse()
        tensor = answer.outputs["output"]
        tensor.dtype = 1
        for size in (1, *output.shape):
            tensor.tensor_shape.dim.add(size=size)
        tensor.tensor_content = output.tobytes()
        return answer


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, logging_level="warning", object_store_memory=200 << 20)
    functions = ["tensorflow_serving.apis.prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server"]
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["PEER_HTTP"])},
        grpc_options=gRPCOptions(port=int(os.environ["PEER_GRPC"]), grpc_servicer_functions=functions),
    )
    serve.run(Served.bind(), route_prefix="/")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
