"""Servers that only send an answer they were given: what an HTTP or gRPC server costs when nothing is served.

``python -m shared.echoes starlette|grpc FILE`` prints its address and serves until it is told to end. Each reads the
whole request, as a body or as a message of its type, and answers with the body or message in the file.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import uvloop


async def starlette(answer: bytes) -> None:
    """A Starlette route under uvicorn."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def echo(request: Request) -> Response:
        await request.body()
        return Response(answer, media_type="application/json")

    app = Starlette(routes=[Route("/v1/models/{model}:predict", echo, methods=["POST"])])
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, access_log=False, log_level="warning")
    await uvicorn.Server(config).serve(sockets=[listening])


async def grpc(answer: bytes) -> None:
    """A grpc.aio servicer."""
    import grpc.aio

    from service.tensorflow_protos import predict_pb2, prediction_service_pb2_grpc

    class Echo(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
        async def Predict(self, request: predict_pb2.PredictRequest, context: Any) -> predict_pb2.PredictResponse:
            return predict_pb2.PredictResponse.FromString(answer)

    server = grpc.aio.server()
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    _, kind, file = sys.argv
    uvloop.run({"starlette": starlette, "grpc": grpc}[kind](Path(file).read_bytes()))
