"""What does the work, joined: models and all that runs them, tuning, and what is told of both."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import uuid
from pathlib import Path

from service.adapters.clocks import SystemClock
from service.adapters.crew.membership import Membership
from service.adapters.crew.reloads import ReloadsEverywhere
from service.adapters.dataset_files import DatasetDirectory
from service.adapters.engines.by_files import EngineByFiles
from service.adapters.engines.engine_cache import EngineCache
from service.adapters.engines.openvino import quantization
from service.adapters.engines.saved_model_engine import EngineWish, SavedModelEngine
from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.engines.tflite_engine import TfLiteEngine
from service.adapters.engines.trials import Trials
from service.adapters.job_database import JobDatabase
from service.adapters.observers import Observers
from service.adapters.prometheus.page import Metrics
from service.adapters.repositories import DirectoryRepository, golden_in
from service.adapters.rpc.errors import STATUS
from service.adapters.rpc.model_configs import ModelConfigFile, OneModel
from service.adapters.rpc.warmup_records import WarmUpRecords
from service.adapters.state_directory import StateDirectory
from service.adapters.tfserving.batching_files import PerModelBatching
from service.adapters.tfserving.metrics import TfServingMetrics
from service.adapters.trainers import ProcessDatasetChecker, ProcessTrainer
from service.application.graphs import SharedGraphs
from service.application.lanes import Lanes
from service.application.loading import Loader
from service.application.models import Models
from service.application.ports import ConfigSource, ServingObserver
from service.application.predict import Predictor
from service.application.reloading import Reloading, Reloads
from service.application.tuning import Tuning, TuningPolicy
from service.domain.errors import InvalidInput
from service.domain.serving_config import ServingConfig
from service.named_files import NamedFiles, read_named_files
from service.settings import ServeSettings

_LONGEST_RUN = 4
"""Times what a request may take: gRPC's callers may wait for ever, and a run that they wait for may last as long."""
_ALONE_POLL_S, _CREW_POLL_S = 2.0, 0.25
"""How often to look for what others write about jobs: the workers of one crew write for each other."""


class Parts:
    """Everything but the doors."""

    def __init__(
        self,
        settings: ServeSettings,
        membership: Membership | None = None,
        state_lock: int | None = None,
        config: ServingConfig | None = None,
    ) -> None:
        """``membership`` is this process's place among several that serve the same, ``state_lock`` the lock they share,
        ``config`` the models by name that they have been given since they began.

        Raises:
            OSError: the state directory is taken, or a directory cannot be made, or a file not read.
            InvalidInput: the models to serve are not listed as they ought to be.
        """
        self.settings, self.membership = settings, membership
        if settings.discover:
            settings.repository.mkdir(parents=True, exist_ok=True)
        # Without tuning there is nothing to remember: no two such services are in each other's way.
        self._scratch = None if settings.discover else tempfile.TemporaryDirectory(prefix="graft-")
        place = Path(self._scratch.name) if self._scratch else settings.state.resolve()
        self._state = StateDirectory(place, None if self._scratch else state_lock)
        self.files = read_named_files(settings)
        self.clock, self.metrics = SystemClock(), Metrics()
        self.tfserving_metrics = TfServingMetrics(_outcomes(), self.files.thread_pool)
        self.observer: ServingObserver = self.metrics
        if self.files.monitoring_path:
            self.observer = Observers(self.metrics, self.tfserving_metrics)
        self.lanes = Lanes(
            self.files.lanes,
            spares=settings.spare_lanes,
            stuck_s=settings.stuck_seconds,
            longest_s=_LONGEST_RUN * settings.request_timeout_seconds,
            told=self.observer.runs_stuck,
        )
        self.trials = Trials()
        self.config_source = _config_source(settings)
        self.models = self._served(config or self.config_source.read())
        self.predictor = Predictor(self.models, self.observer)
        self.reloads = Reloads(self.models, self.clock)
        self.reloads_everywhere: Reloading = (
            ReloadsEverywhere(membership, self.reloads, self.models) if membership else self.reloads
        )
        self.trainer = ProcessTrainer(self._state.jobs, spares=settings.warm_trainers if settings.discover else 0)
        self._database = JobDatabase(f"sqlite:///{self._state.database}")
        self.tuning = self._tuned()

    def _served(self, config: ServingConfig) -> Models:
        settings, observer = self.settings, self.observer
        repository = DirectoryRepository(settings.repository if settings.discover else None)
        engine = _engine(settings, self.files, self.trials, None if self._scratch else self._state.root)
        rules = PerModelBatching() if settings.per_model_batching else None
        graphs = SharedGraphs(
            engine, self.lanes, self.files.limits, observer, rules, max_waiting_bytes=settings.max_waiting_bytes
        )
        return Models(
            repository,
            Loader(repository, engine, graphs, observer, WarmUpRecords(), rounds=settings.warmup_iterations),
            observer,
            self.clock,
            config=config,
            keep=settings.keep,
            required=settings.required_models,
            poll_s=settings.poll_seconds,
            threads=settings.load_threads,
            companions=self.membership,
        )

    def _tuned(self) -> Tuning:
        settings = self.settings
        return Tuning(
            self._database,
            self.trainer,
            ProcessDatasetChecker(),
            DatasetDirectory(self._state.root),
            self.models,
            self.metrics,
            self.clock,
            TuningPolicy(
                settings.repository.resolve(),
                _owner(),
                # Of a crew one process at a time runs jobs, and only once the one before it is gone.
                alone=True,
                concurrency=settings.trainers,
                poll_s=_ALONE_POLL_S if self.membership is None else _CREW_POLL_S,
            ),
        )

    def close(self) -> None:
        """Let go of the disk."""
        self._database.close()
        self._state.release()
        if self._scratch:
            self._scratch.cleanup()


def _engine(settings: ServeSettings, files: NamedFiles, trials: Trials, state: Path | None) -> EngineByFiles:
    """What loads models. ``state`` is where things are kept from one start to the next, if anything is.

    Raises:
        InvalidInput: it cannot be as was asked for.
    """
    if settings.precision == "int8" and not quantization.available():
        raise InvalidInput(quantization.MISSING)
    tags = [tag for tag in settings.saved_model_tags.split(",") if tag]
    # TensorFlow's own default, one a core, is as many as there are lanes: endless graphs hold them all, and a spare
    # lane would run nothing.
    inter_op = settings.inter_op_threads or max(os.cpu_count() or 1, files.lanes + settings.spare_lanes)
    tensorflow = TensorFlowEngine(tags=tags, intra_op_threads=settings.intra_op_threads, inter_op_threads=inter_op)
    saved_model = SavedModelEngine(
        tensorflow,
        trials,
        EngineCache(_engine_cache(settings, state), settings.engine_cache_bytes),
        EngineWish(settings.engine, settings.precision, files.lanes, tags),
        golden_in,
    )
    return EngineByFiles(saved_model, TfLiteEngine(), prefer_tflite=settings.prefer_tflite)


def _engine_cache(settings: ServeSettings, state: Path | None) -> Path | None:
    """Where compiled models are kept: of a service that keeps nothing else, in the user's own cache if he has one."""
    if settings.engine_cache:
        return Path(settings.engine_cache).resolve()
    if state is not None:
        return state / "engines"
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / "graft" / "engines"
    with contextlib.suppress(RuntimeError):
        return Path.home() / ".cache" / "graft" / "engines"
    return None


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
