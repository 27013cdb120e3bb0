"""The gRPC server: TF Serving's services and our own beside health and reflection, with limits that suit tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from service.adapters.rpc.going_live import GoingLiveService
from service.adapters.rpc.model_status import ModelStatusService
from service.adapters.rpc.predict_request import received
from service.adapters.rpc.prediction import PredictionService
from service.adapters.rpc.tuning import TuningService
from service.pb.graft.v1 import going_live_pb2, going_live_pb2_grpc, tuning_pb2, tuning_pb2_grpc
from service.tensorflow_protos import (
    model_service_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)

_MOST_BYTES = 2**31 - 1
_MOST_CALLS = 4096
"""Under way at once, half-sent ones too; one more is RESOURCE_EXHAUSTED."""
_PATIENCE = {
    # Who opens a connection and says nothing, or is gone without a word.
    "grpc.server_handshake_timeout_ms": 20_000,
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
    # Clients that look after their connections are not to be thrown out for it, as they are by default.
    "grpc.http2.min_ping_interval_without_data_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 1,
    # A connection goes after an hour, when its calls are done, so that clients spread over servers that came since.
    "grpc.max_connection_idle_ms": 900_000,
    "grpc.max_connection_age_ms": 3_600_000,
    "grpc.max_connection_age_grace_ms": 300_000,
    "grpc.max_concurrent_streams": 1024,
}
_PREDICTION = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name
_MODEL = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
_TUNING = tuning_pb2.DESCRIPTOR.services_by_name["Tuning"].full_name
_GOING_LIVE = going_live_pb2.DESCRIPTOR.services_by_name["GoingLive"].full_name
_SHORT = ("PredictionService", "ModelService")
"""What TF Serving's services are called in health checks, beside their full names."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What the server shows to its clients, all in PEM; with ``authorities`` to trust, they must show theirs, too."""

    key: bytes = field(repr=False)
    certificates: bytes
    authorities: bytes | None = None


class RpcServer:
    """The server and its health, which follows the service's readiness."""

    def __init__(
        self,
        prediction: PredictionService,
        model_status: ModelStatusService,
        address: str | None,
        *,
        tuning: TuningService | None = None,
        going_live: GoingLiveService | None = None,
        socket: str = "",
        tls: Tls | None = None,
        arguments: Sequence[tuple[str, str | int]] = (),
    ) -> None:
        """Bind ``address``, where port 0 takes a free one, and the Unix ``socket``; either may be left out, and so may
        our own services. ``arguments`` are gRPC's own and win over what suits tensors.

        Raises:
            OSError: an address is taken, or the key and certificates are none.
        """
        options: dict[str, str | int] = {
            "grpc.max_receive_message_length": _MOST_BYTES,
            "grpc.max_send_message_length": _MOST_BYTES,
            # On by default: a second server would bind the same port without an error and take half of the calls.
            "grpc.so_reuseport": 0,
            **_PATIENCE,
            **dict(arguments),
        }
        self._server = grpc.aio.server(options=list(options.items()), maximum_concurrent_rpcs=_MOST_CALLS)
        self._health = HealthServicer()
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, self._server)
        # Found before the handler of that name that has just been added, which would copy what tensors hold.
        self._server.add_registered_method_handlers(_PREDICTION, {"Predict": _predict(prediction)})
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(model_status, self._server)
        self._services = [_PREDICTION, _MODEL]
        if tuning is not None:
            tuning_pb2_grpc.add_TuningServicer_to_server(tuning, self._server)
            self._services.append(_TUNING)
        if going_live is not None:
            going_live_pb2_grpc.add_GoingLiveServicer_to_server(going_live, self._server)
            self._services.append(_GOING_LIVE)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*self._services, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME),
            self._server,
        )
        self.port = self._listen(address, tls) if address is not None else 0
        if socket:
            self._listen(f"unix:{socket}", tls)

    def _listen(self, address: str, tls: Tls | None) -> int:
        try:
            if tls is None:
                return self._server.add_insecure_port(address)
            return self._server.add_secure_port(address, _credentials(tls))
        except (RuntimeError, ValueError) as error:
            raise OSError(f"gRPC cannot listen on {address}: {error}") from error

    async def start(self) -> None:
        """Accept calls; health says NOT_SERVING until told otherwise."""
        await self.serving(False)
        await self._server.start()

    async def serving(self, ready: bool) -> None:
        """What health says, of the services by their full names and by the short ones that TF Serving goes by."""
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *self._services, *_SHORT):
            await self._health.set(service, status)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, finish those accepted, cut off what takes longer than ``grace_s``."""
        await self._server.stop(grace_s)


def _predict(prediction: PredictionService) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(
        prediction.predict, received, predict_pb2.PredictResponse.SerializeToString
    )


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificates)], tls.authorities, require_client_auth=tls.authorities is not None
    )
