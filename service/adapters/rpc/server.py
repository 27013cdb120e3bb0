"""The gRPC server: TF Serving's services beside health and reflection, with limits that suit tensors."""

from __future__ import annotations

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import (
    model_service_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)

from service.adapters.rpc.model_status import ModelStatusService
from service.adapters.rpc.prediction import PredictionService

_MOST_BYTES = 2**31 - 1
_PREDICTION = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name
_MODEL = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
_SERVICES = (_PREDICTION, _MODEL)


class RpcServer:
    """The server and its health, which follows the service's readiness."""

    def __init__(self, prediction: PredictionService, model_status: ModelStatusService, address: str) -> None:
        """Bind ``address``; port 0 takes a free one.

        Raises:
            OSError: the address is taken.
        """
        options = [
            ("grpc.max_receive_message_length", _MOST_BYTES),
            ("grpc.max_send_message_length", _MOST_BYTES),
            # On by default: a second server would bind the same port without an error and take half of the calls.
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.aio.server(options=options)
        self._health = HealthServicer()
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(model_status, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*_SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME),
            self._server,
        )
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"gRPC cannot listen on {address}: {error}") from error

    async def start(self) -> None:
        """Accept calls; health says NOT_SERVING until told otherwise."""
        await self.serving(False)
        await self._server.start()

    async def serving(self, ready: bool) -> None:
        """What health says."""
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *_SERVICES):
            await self._health.set(service, status)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, finish those accepted, cut off what takes longer than ``grace_s``."""
        await self._server.stop(grace_s)
