"""The composition root: the one place that knows every part, joins them, and starts and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import tempfile
import uuid
from pathlib import Path

from service.adapters.clocks import SystemClock
from service.adapters.dataset_files import DatasetDirectory
from service.adapters.engines.by_files import EngineByFiles
from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.engines.tflite_engine import TfLiteEngine
from service.adapters.job_database import JobDatabase
from service.adapters.observers import Observers
from service.adapters.prometheus import Metrics
from service.adapters.repositories import DirectoryRepository
from service.adapters.rest.app import RestApplication, api
from service.adapters.rest.http_limits import HttpLimits
from service.adapters.rest.monitoring import monitoring_router
from service.adapters.rest.operations import operations_router
from service.adapters.rest.server import HttpServer
from service.adapters.rest.tfserving import TfServingDoor
from service.adapters.rest.tuning import tuning_router
from service.adapters.rpc.errors import STATUS
from service.adapters.rpc.model_configs import ModelConfigFile, OneModel
from service.adapters.rpc.model_status import ModelStatusService
from service.adapters.rpc.prediction import PredictionService
from service.adapters.rpc.server import RpcServer
from service.adapters.rpc.warmup_records import WarmUpRecords
from service.adapters.state_directory import StateDirectory
from service.adapters.tfserving.batching_files import PerModelBatching
from service.adapters.tfserving.metrics import TfServingMetrics
from service.adapters.trainers import ProcessDatasetChecker, ProcessTrainer
from service.application.graphs import SharedGraphs
from service.application.lanes import Lanes
from service.application.loading import Loader
from service.application.models import Models
from service.application.ports import ConfigSource
from service.application.predict import Predictor
from service.application.reloading import Reloads
from service.application.tuning import Tuning, TuningPolicy
from service.domain.versions import Readiness
from service.named_files import read_named_files
from service.settings import ServeSettings

log = logging.getLogger(__name__)

_READINESS_LOOK_S = 0.1
_LONGEST_RUN = 4
"""Times what a request may take: gRPC's callers may wait for ever, and a run that they wait for may last as long."""


class Service:
    """The whole service on one event loop."""

    def __init__(self, settings: ServeSettings) -> None:
        """Join the parts and bind the ports.

        Raises:
            OSError: a port or the state directory is taken, or a directory cannot be made, or a file not read.
            InvalidInput: the models to serve are not listed as they ought to be.
        """
        self._settings = settings
        self._draining = False
        self.abandoned = False
        """Whether threads were left behind that nothing can end but the process's end."""
        if settings.discover:
            settings.repository.mkdir(parents=True, exist_ok=True)
        # Without tuning there is nothing to remember: no two such services are in each other's way.
        self._scratch = None if settings.discover else tempfile.TemporaryDirectory(prefix="graft-")
        self._state = StateDirectory(Path(self._scratch.name) if self._scratch else settings.state.resolve())
        clock, self.metrics = SystemClock(), Metrics()
        self._files = read_named_files(settings)
        self._tfserving_metrics = TfServingMetrics(_outcomes(), self._files.thread_pool)
        observer = Observers(self.metrics, self._tfserving_metrics) if self._files.monitoring_path else self.metrics
        repository = DirectoryRepository(settings.repository if settings.discover else None)
        engine = _engine(settings, self._files.lanes)
        self._lanes = Lanes(
            self._files.lanes,
            spares=settings.spare_lanes,
            stuck_s=settings.stuck_seconds,
            longest_s=_LONGEST_RUN * settings.request_timeout_seconds,
            told=observer.runs_stuck,
        )
        rules = PerModelBatching() if settings.per_model_batching else None
        graphs = SharedGraphs(engine, self._lanes, self._files.limits, observer, rules)
        self._config_source = _config_source(settings)
        self._models = Models(
            repository,
            Loader(repository, engine, graphs, observer, WarmUpRecords(), rounds=settings.warmup_iterations),
            observer,
            clock,
            config=self._config_source.read(),
            keep=settings.keep,
            required=settings.required_models,
            poll_s=settings.poll_seconds,
            threads=settings.load_threads,
        )
        self._reloads = Reloads(self._models, clock)
        self._database = JobDatabase(f"sqlite:///{self._state.database}")
        self._trainer = ProcessTrainer(self._state.jobs, spares=settings.warm_trainers if settings.discover else 0)
        self._tuning = Tuning(
            self._database,
            self._trainer,
            ProcessDatasetChecker(),
            DatasetDirectory(self._state.root),
            self._models,
            self.metrics,
            clock,
            TuningPolicy(settings.repository.resolve(), _owner(), alone=True, concurrency=settings.trainers),
        )
        self._open_doors(Predictor(self._models, observer))

    def _open_doors(self, predictor: Predictor) -> None:
        settings = self._settings
        door = TfServingDoor(
            predictor,
            self._models,
            timeout_s=settings.request_timeout_seconds,
            max_body_bytes=settings.max_request_bytes,
            max_bodies_bytes=settings.max_buffered_bytes,
        )
        routers = [operations_router(self._models, self.readiness, self._metrics_page)]
        if settings.discover:
            # What is tuned is published into the repository; where nobody looks, nothing is tuned.
            routers.append(tuning_router(self._tuning, most_upload_bytes=settings.max_upload_bytes))
        if self._files.monitoring_path:
            routers.append(monitoring_router(self._files.monitoring_path, self._tfserving_page))
        rest = RestApplication(door, api(routers), lambda: self._draining, cors=settings.cors)
        limits = HttpLimits(
            read_s=settings.read_timeout_seconds,
            keep_alive_s=settings.keep_alive_seconds,
            most_head_bytes=settings.max_header_bytes,
            most_connections=settings.max_connections,
        )
        self._http = HttpServer(rest, settings.host, settings.rest_port, settings.shutdown_seconds, limits)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        only_socket = settings.grpc_socket and not settings.grpc_port
        self._rpc = RpcServer(
            PredictionService(predictor, tensor_content=settings.tensor_content),
            ModelStatusService(self._models, self._reloads),
            None if only_socket else f"{host}:{settings.grpc_port}",
            socket=settings.grpc_socket,
            tls=self._files.tls,
            arguments=settings.channel_arguments,
        )

    @property
    def addresses(self) -> tuple[str, str]:
        """Where REST and gRPC listen."""
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        rpc = f"{host}:{self._rpc.port}" if self._rpc.port else f"unix:{self._settings.grpc_socket}"
        return f"http://{host}:{self._http.port}", rpc

    def readiness(self) -> Readiness:
        """Whether requests may be sent here."""
        if self._draining:
            return Readiness(False, ("shutting down",))
        if blocked := self._lanes.blocked:
            return Readiness(False, (f"every lane is held by a run that does not end: {blocked}",))
        return self._models.readiness()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set; then stop being ready, finish what was accepted, and end."""
        await self._http.start()
        await self._rpc.start()
        log.info("listening: REST %s, gRPC %s", *self.addresses)
        background = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("models", self._models.run()),
                ("configuration", self._follow_configuration()),
                ("tuning", self._tuning.work()),
                ("readiness", self._follow_readiness()),
            )
        ]
        stopping = asyncio.create_task(stop.wait())
        warming = asyncio.create_task(self._trainer.warm_up())
        try:
            await asyncio.wait([*background, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in background:
                if task.done():
                    # A part that ends by itself is broken; a service that limps on without it would lie.
                    log.critical("%s ended unexpectedly", task.get_name(), exc_info=task.exception())
        finally:
            stopping.cancel()
            warming.cancel()
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
        await self._trainer.close()
        await asyncio.gather(self._http.stop(), self._rpc.stop(self._settings.shutdown_seconds))
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await self._free_models()
        self._database.close()
        self._state.release()
        if self._scratch:
            self._scratch.cleanup()
        log.info("stopped")

    async def _free_models(self) -> None:
        """Free what is loaded. A graph that never returns cannot be, and must not keep the process from ending."""
        try:
            async with asyncio.timeout(self._settings.shutdown_seconds):
                await self._models.close()
                await asyncio.to_thread(self._lanes.close)
        except TimeoutError:
            self.abandoned = True
            log.warning("a graph still runs or loads after %.1f s; ending without it", self._settings.shutdown_seconds)

    async def _follow_readiness(self) -> None:
        """Let gRPC's health say what ``/readyz`` says."""
        said: bool | None = None
        while True:
            self._lanes.look()
            ready = self.readiness().ready
            if ready is not said:
                said = ready
                await self._rpc.serving(ready)
                log.info("ready" if ready else "not ready: %s", *(() if ready else (self.readiness().reason,)))
            await asyncio.sleep(_READINESS_LOOK_S)

    async def _follow_configuration(self) -> None:
        """Look at the file of models again and again, if there is one and it is to be looked at."""
        every_s = self._settings.model_config_file_poll_wait_seconds
        if self._settings.model_config_file and every_s:
            await self._reloads.follow(self._config_source, every_s)
        await asyncio.Event().wait()

    def _metrics_page(self) -> tuple[bytes, str]:
        return self.metrics.render(), self.metrics.content_type

    def _tfserving_page(self) -> bytes:
        return self._tfserving_metrics.render() + self.metrics.render()


def _engine(settings: ServeSettings, lanes: int) -> EngineByFiles:
    tags = [tag for tag in settings.saved_model_tags.split(",") if tag]
    # TensorFlow's own default, one a core, is as many as there are lanes: endless graphs hold them all, and a spare
    # lane would run nothing.
    inter_op = settings.inter_op_threads or max(os.cpu_count() or 1, lanes + settings.spare_lanes)
    tensorflow = TensorFlowEngine(tags=tags, intra_op_threads=settings.intra_op_threads, inter_op_threads=inter_op)
    return EngineByFiles(tensorflow, TfLiteEngine(), prefer_tflite=settings.prefer_tflite)


def _outcomes() -> dict[str, str]:
    """What TF Serving's metrics call each way in which a request can end."""
    return {kind.__name__: code.name for kind, code in STATUS.items()} | {"ok": "OK", "Cancelled": "CANCELLED"}


def _config_source(settings: ServeSettings) -> ConfigSource:
    """Where the models that are served by name are listed; as with TF Serving, a file wins over the one model."""
    if settings.model_config_file:
        return ModelConfigFile(Path(settings.model_config_file))
    return OneModel(settings.model_name, settings.model_base_path)


def _owner() -> str:
    """A name for this process that no other one, now or after a restart, has too."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


async def serve(settings: ServeSettings) -> None:
    """Run the service until SIGTERM or SIGINT; say on standard output where it listens."""
    service = Service(settings)
    rest, rpc = service.addresses
    print(f"graft serves {settings.source}: REST {rest}  gRPC {rpc}", flush=True)
    stop = asyncio.Event()

    def asked_to_stop() -> None:
        if stop.is_set():
            log.warning("asked to stop again: ending at once")
            _end_at_once()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, asked_to_stop)
    await service.run(stop)
    if service.abandoned:
        _end_at_once()


def _end_at_once() -> None:
    """End the process without waiting for its threads, which an orderly end would."""
    logging.shutdown()
    os._exit(1)
