"""What does the work, joined: models and all that runs them, tuning, and what is told of both."""

from __future__ import annotations

import os
import socket
import tempfile
import uuid
from pathlib import Path

from service.adapters.clocks import SystemClock
from service.adapters.crew.membership import Membership
from service.adapters.crew.reloads import ReloadsEverywhere
from service.adapters.dataset_files import DatasetDirectory
from service.adapters.engines.trials import Trials
from service.adapters.job_database import JobDatabase
from service.adapters.observers import Observers
from service.adapters.prometheus.page import Metrics
from service.adapters.provisional_heads import ProvisionalDirectory
from service.adapters.repositories import DirectoryRepository
from service.adapters.rpc.errors import STATUS
from service.adapters.rpc.model_configs import ModelConfigFile, OneModel
from service.adapters.rpc.warmup_records import WarmUpRecords
from service.adapters.shared_files import SharedDirectory
from service.adapters.state_directory import StateDirectory
from service.adapters.tfserving.batching_files import PerModelBatching
from service.adapters.tfserving.metrics import TfServingMetrics
from service.adapters.trainers import ProcessDatasetChecker
from service.adapters.upload_directory import UploadDirectory
from service.adapters.webhook import Webhook, read_secret
from service.application.directions import Directions
from service.application.graphs import SharedGraphs
from service.application.lanes import Lanes
from service.application.live_bases import LiveModelsBases
from service.application.loading import Loader
from service.application.models import Models
from service.application.ports import ConfigSource, DatasetFiles, Repository, ServingObserver
from service.application.predict import Predictor
from service.application.provisional_versions import WithProvisionalVersions
from service.application.reloading import Reloading, Reloads
from service.application.tuning import Tuning, TuningPolicy, UploadPolicy
from service.application.tuning.announcing import Announcements
from service.application.tuning.provisional import AtOnce
from service.domain.errors import InvalidInput
from service.domain.serving_config import ServingConfig
from service.named_files import read_named_files
from service.settings import ServeSettings, StoreUrl
from service.wiring.engines import engine_of
from service.wiring.going_live import GoingLive
from service.wiring.store import VersionStore
from service.wiring.training import trainer_of

_LONGEST_RUN = 4
"""Times what a request may take: gRPC's callers may wait for ever, and a run that they wait for may last as long."""
_ALONE_POLL_S, _SHARED_POLL_S, _CREW_POLL_S = 2.0, 0.5, 0.25
"""How often to look for what others write about jobs: the workers of one crew write for each other."""
_DAY_S = 86_400.0


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
            settings.directory.mkdir(parents=True, exist_ok=True)
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
        self.store = self._stored()
        self._shelf = ProvisionalDirectory(place / "provisional") if settings.discover else None
        self.config_source = _config_source(settings)
        database = settings.database or f"sqlite:///{self._state.database}"
        self._database = JobDatabase(database, announces=bool(settings.webhook_url))
        self._directions = Directions(self._database, self.clock)
        self.models = self._served(config or self.config_source.read())
        self.going_live = GoingLive(self._directions, self.models, self.clock, self.metrics.registry)
        self.predictor = Predictor(self.models, self.observer)
        self.reloads = Reloads(self.models, self.clock)
        self.reloads_everywhere: Reloading = (
            ReloadsEverywhere(membership, self.reloads, self.models) if membership else self.reloads
        )
        self.trainer = trainer_of(settings, self._state.root)
        self.tuning = self._tuned()
        if self.store is not None:
            self.store.start()

    def _stored(self) -> VersionStore | None:
        settings = self.settings
        if not settings.discover or not isinstance(settings.repository, StoreUrl):
            return None
        registry = self.metrics.registry
        return VersionStore(settings.repository, settings, self._state.root, registry, lambda: self.models.in_use())

    def _served(self, config: ServingConfig) -> Models:
        settings, observer = self.settings, self.observer
        repository: Repository = DirectoryRepository(settings.directory if settings.discover else None)
        if self.store is not None:
            repository = self.store.repository(repository)
        if self._shelf is not None:
            repository = WithProvisionalVersions(repository, DirectoryRepository(self._shelf.directory))
        engine = engine_of(settings, self.files, self.trials, None if self._scratch else self._state.root)
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
            directions=self._directions.now,
        )

    def _tuned(self) -> Tuning:
        settings, store = self.settings, self.store
        if settings.database and settings.discover and not (settings.datasets or store):
            raise InvalidInput(
                "a database may be shared, and then a job's data has to be wherever it runs; give --datasets a"
                " directory that all services on the database share, or keep the repository in a store"
            )
        data = Path(settings.datasets).resolve() if settings.datasets else self._state.root
        files: DatasetFiles = DatasetDirectory(data)
        poll_s = _SHARED_POLL_S if settings.database else _ALONE_POLL_S
        return Tuning(
            self._database,
            self.trainer,
            ProcessDatasetChecker(),
            store.datasets(files) if store else files,
            self.models,
            self.metrics,
            self.clock,
            TuningPolicy(
                settings.directory.resolve(),
                _owner(),
                # Of a crew one process at a time runs jobs, and only once the one before it is gone.
                alone=not settings.database,
                concurrency=settings.trainers,
                poll_s=poll_s if self.membership is None else _CREW_POLL_S,
                keep_jobs_s=settings.keep_jobs_days * _DAY_S or None,
                keep_datasets_s=settings.keep_datasets_days * _DAY_S or None,
            ),
            UploadDirectory(data / "parts"),
            UploadPolicy(
                most_bytes=settings.max_upload_bytes,
                most_open=settings.max_open_uploads,
                most_open_bytes=settings.max_open_upload_bytes,
                term_s=settings.upload_hours * 3600,
            ),
            SharedDirectory(Path(settings.dataset_root)) if settings.dataset_root else None,
            store.publisher if store else None,
            self._announced(),
            self.going_live.directing,
            AtOnce(LiveModelsBases(self.models), self._shelf) if self._shelf is not None else None,
        )

    def _announced(self) -> Announcements | None:
        settings = self.settings
        if bool(settings.webhook_url) != bool(settings.webhook_secret_file):
            raise InvalidInput("webhook_url and webhook_secret_file go together: what is not signed nobody can trust")
        if not settings.webhook_url:
            return None
        secret = read_secret(Path(settings.webhook_secret_file))
        return Announcements(self._database, Webhook(settings.webhook_url, secret, self.clock.now), self.metrics)

    def close(self) -> None:
        """Let go of the disk."""
        if self.store is not None:
            self.store.close()
        self._database.close()
        self._state.release()
        if self._scratch:
            self._scratch.cleanup()


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
