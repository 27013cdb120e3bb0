"""What the service is asked through: REST and gRPC, opened on the parts and closed again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from service.adapters.rest.app import RestApplication, api
from service.adapters.rest.directions import directions_router
from service.adapters.rest.http_limits import HttpLimits
from service.adapters.rest.monitoring import monitoring_router
from service.adapters.rest.number_process import NumberProcess
from service.adapters.rest.operations import operations_router
from service.adapters.rest.server import HttpServer
from service.adapters.rest.tfserving import TfServingDoor
from service.adapters.rest.tuning import tuning_router
from service.adapters.rpc.dataset_uploads import UploadLimits
from service.adapters.rpc.going_live import GoingLiveService
from service.adapters.rpc.model_status import ModelStatusService
from service.adapters.rpc.prediction import PredictionService
from service.adapters.rpc.server import RpcServer
from service.adapters.rpc.tuning import TuningService
from service.domain.versions import Readiness
from service.wiring.announcement import addresses, literal
from service.wiring.parts import Parts


@dataclass(frozen=True, slots=True)
class Told:
    """What the doors say about the process behind them."""

    readiness: Callable[[], Readiness]
    draining: Callable[[], bool]
    metrics: Callable[[], Awaitable[tuple[bytes, str]]]
    tfserving_metrics: Callable[[], Awaitable[bytes]]


class Doors:
    """Both doors of one process. They listen from construction."""

    def __init__(self, parts: Parts, told: Told) -> None:
        """Bind the ports, alone or beside other workers.

        Raises:
            OSError: one is taken.
        """
        self._settings = parts.settings
        self._shared = parts.membership is not None
        self._numbers = NumberProcess()
        self._http = self._rest_door(parts, told)
        self._rpc = self._rpc_door(parts)

    def _rest_door(self, parts: Parts, told: Told) -> HttpServer:
        settings = self._settings
        door = TfServingDoor(
            parts.predictor,
            parts.models,
            timeout_s=settings.request_timeout_seconds,
            max_body_bytes=settings.max_request_bytes,
            max_bodies_bytes=settings.max_buffered_bytes,
            numbers=self._numbers.read,
        )
        routers = [operations_router(parts.models, told.readiness, told.metrics)]
        if settings.discover:
            # What is tuned is published into the repository; where nobody looks, nothing is tuned.
            routers.append(tuning_router(parts.tuning, most_upload_bytes=settings.max_upload_bytes))
            routers.append(directions_router(parts.going_live.directing, parts.going_live.probations))
        if parts.files.monitoring_path:
            routers.append(monitoring_router(parts.files.monitoring_path, told.tfserving_metrics))
        limits = HttpLimits(
            read_s=settings.read_timeout_seconds,
            keep_alive_s=settings.keep_alive_seconds,
            most_head_bytes=settings.max_header_bytes,
            most_connections=settings.max_connections,
        )
        app = RestApplication(door, api(routers), told.draining, cors=settings.cors)
        return HttpServer(
            app, settings.host, settings.rest_port, settings.shutdown_seconds, limits, shared=self._shared
        )

    def _rpc_door(self, parts: Parts) -> RpcServer:
        settings = self._settings
        limits = UploadLimits(settings.max_upload_bytes, settings.read_timeout_seconds)
        directing = parts.going_live
        only_socket = settings.grpc_socket and not settings.grpc_port
        return RpcServer(
            PredictionService(parts.predictor, tensor_content=settings.tensor_content),
            ModelStatusService(parts.models, parts.reloads_everywhere),
            None if only_socket else f"{literal(settings.host)}:{settings.grpc_port}",
            tuning=TuningService(parts.tuning, limits) if settings.discover else None,
            going_live=GoingLiveService(directing.directing, directing.probations) if settings.discover else None,
            socket=settings.grpc_socket,
            tls=parts.files.tls,
            arguments=(
                ("grpc.so_reuseport", int(self._shared)),
                ("grpc.max_receive_message_length", min(settings.max_message_bytes, 2**31 - 1)),
                *settings.channel_arguments,
            ),
        )

    async def open(self) -> None:
        """Answer."""
        await self._http.start()
        await self._rpc.start()

    async def serving(self, ready: bool) -> None:
        """What gRPC's health says."""
        await self._rpc.serving(ready)

    async def close(self, grace_s: float) -> None:
        """Refuse new requests, finish those accepted, cut off what takes longer than ``grace_s``."""
        await asyncio.gather(self._http.stop(), self._rpc.stop(grace_s))
        await asyncio.to_thread(self._numbers.close)

    @property
    def addresses(self) -> tuple[str, str]:
        """Where REST and gRPC listen."""
        return addresses(self._settings, self._http.port, self._rpc.port)
