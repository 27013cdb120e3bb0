"""The composition root: the one place that knows every part, joins them, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import uuid

from service.adapters.clocks import SystemClock
from service.adapters.dataset_files import DatasetDirectory
from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.job_database import JobDatabase
from service.adapters.prometheus import Metrics
from service.adapters.repositories import DirectoryRepository
from service.adapters.rest.app import RestApplication, api
from service.adapters.rest.operations import operations_router
from service.adapters.rest.server import HttpServer
from service.adapters.rest.tfserving import TfServingDoor
from service.adapters.rest.tuning import tuning_router
from service.adapters.rpc.model_status import ModelStatusService
from service.adapters.rpc.prediction import PredictionService
from service.adapters.rpc.server import RpcServer
from service.adapters.state_directory import StateDirectory
from service.adapters.trainers import ProcessDatasetChecker, ProcessTrainer
from service.application.batching import BatchLimits, Lanes
from service.application.graphs import SharedGraphs
from service.application.loading import Loader
from service.application.models import Models
from service.application.predict import Predictor
from service.application.tuning import Tuning, TuningPolicy
from service.domain.versions import Readiness
from service.settings import ServeSettings

log = logging.getLogger(__name__)

_READINESS_LOOK_S = 0.1


class Service:
    """The whole service on one event loop."""

    def __init__(self, settings: ServeSettings) -> None:
        """Join the parts and bind the ports.

        Raises:
            OSError: a port or the state directory is taken, or a directory cannot be made.
        """
        self._settings = settings
        self._draining = False
        settings.repository.mkdir(parents=True, exist_ok=True)
        self._state = StateDirectory(settings.state.resolve())
        clock, self.metrics = SystemClock(), Metrics()
        limits = BatchLimits(settings.max_batch_rows, settings.max_waiting_rows)
        repository, engine = DirectoryRepository(settings.repository), TensorFlowEngine()
        self._lanes = Lanes(settings.lanes or os.cpu_count() or 1)
        graphs = SharedGraphs(engine, self._lanes, limits, self.metrics)
        self._models = Models(
            repository,
            Loader(repository, engine, graphs, limits),
            self.metrics,
            clock,
            keep=settings.keep,
            required=settings.required_models,
            poll_s=settings.poll_seconds,
        )
        self._database = JobDatabase(f"sqlite:///{self._state.database}")
        self._tuning = Tuning(
            self._database,
            ProcessTrainer(self._state.jobs),
            ProcessDatasetChecker(),
            DatasetDirectory(self._state.root),
            self._models,
            self.metrics,
            clock,
            TuningPolicy(settings.repository.resolve(), _owner(), alone=True, concurrency=settings.trainers),
        )
        self._open_doors(Predictor(self._models, self.metrics))

    def _open_doors(self, predictor: Predictor) -> None:
        settings = self._settings
        door = TfServingDoor(
            predictor,
            self._models,
            timeout_s=settings.request_timeout_seconds,
            max_body_bytes=settings.max_request_bytes,
        )
        routers = [
            operations_router(self._models, self.readiness, self._metrics_page),
            tuning_router(self._tuning, most_upload_bytes=settings.max_upload_bytes),
        ]
        rest = RestApplication(door, api(routers), lambda: self._draining)
        self._http = HttpServer(rest, settings.host, settings.rest_port, settings.shutdown_seconds)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self._rpc = RpcServer(
            PredictionService(predictor), ModelStatusService(self._models), f"{host}:{settings.grpc_port}"
        )

    @property
    def addresses(self) -> tuple[str, str]:
        """Where REST and gRPC listen."""
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        return f"http://{host}:{self._http.port}", f"{host}:{self._rpc.port}"

    def readiness(self) -> Readiness:
        """Whether requests may be sent here."""
        return Readiness(False, ("shutting down",)) if self._draining else self._models.readiness()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set; then stop being ready, finish what was accepted, and end."""
        await self._http.start()
        await self._rpc.start()
        log.info("listening: REST %s, gRPC %s", *self.addresses)
        background = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("models", self._models.run()),
                ("tuning", self._tuning.work()),
                ("readiness", self._follow_readiness()),
            )
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([*background, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in background:
                if task.done():
                    # A part that ends by itself is broken; a service that limps on without it would lie.
                    log.critical("%s ended unexpectedly", task.get_name(), exc_info=task.exception())
        finally:
            stopping.cancel()
            await self._stop(background)
        for task in background:
            if not task.cancelled() and task.exception() is not None:
                raise RuntimeError(f"{task.get_name()} broke") from task.exception()

    async def _stop(self, background: list[asyncio.Task[None]]) -> None:
        self._draining = True
        await self._rpc.serving(False)
        log.info("draining for %.1f s", self._settings.drain_seconds)
        await asyncio.sleep(self._settings.drain_seconds)
        await self._tuning.close()
        await asyncio.gather(self._http.stop(), self._rpc.stop(self._settings.shutdown_seconds))
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await self._models.close()
        self._lanes.close()
        self._database.close()
        self._state.release()
        log.info("stopped")

    async def _follow_readiness(self) -> None:
        """Let gRPC's health say what ``/readyz`` says."""
        said: bool | None = None
        while True:
            ready = self.readiness().ready
            if ready is not said:
                said = ready
                await self._rpc.serving(ready)
                log.info("ready" if ready else "not ready: %s", *(() if ready else (self.readiness().reason,)))
            await asyncio.sleep(_READINESS_LOOK_S)

    def _metrics_page(self) -> tuple[bytes, str]:
        return self.metrics.render(), self.metrics.content_type


def _owner() -> str:
    """A name for this process that no other one, now or after a restart, has too."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


async def serve(settings: ServeSettings) -> None:
    """Run the service until SIGTERM or SIGINT; say on standard output where it listens."""
    service = Service(settings)
    rest, rpc = service.addresses
    print(f"graft serves {settings.repository}: REST {rest}  gRPC {rpc}", flush=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    await service.run(stop)
