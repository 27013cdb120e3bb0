"""What happened, as Prometheus metrics. Labels are bounded sets, and a version's series go when the version goes."""

from __future__ import annotations

import threading
from collections import Counter as Counts
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from service.application.ports import graph_name
from service.domain.engines import EngineChoice
from service.domain.jobs import JobState
from service.domain.versions import VersionId

_FAST = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_SLOW = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


_LINES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class _Family(Collector):
    """One metric with its samples, as a collector."""

    metric: Metric

    def collect(self) -> Iterable[Metric]:
        """It."""
        return (self.metric,)


class Metrics:
    """Implements the application's observers. Thread-safe."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a line more for each series, which nobody reads
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._define_serving(self.registry)
        self._define_tuning(self.registry)
        self._lock = threading.Lock()
        self._served: dict[VersionId, set[tuple[str, ...]]] = {}
        self._answers: dict[tuple[str, int, str, str, str], tuple[Counter, Histogram]] = {}
        """Series by what tells them apart: looking one up by its labels takes as long as all else a request counts."""
        self._runs: dict[tuple[str, str], tuple[Histogram, Counter, Histogram, Histogram]] = {}
        self._doors: dict[str, Gauge] = {}
        self._about: dict[VersionId, tuple[str, str]] = {}
        self._named: Counts[str] = Counts()

    def _define_serving(self, registry: CollectorRegistry) -> None:
        version = ("model", "version")
        self._requests = Counter(
            "graft_requests",
            "Predict requests answered.",
            (*version, "signature", "door", "outcome"),
            registry=registry,
        )
        self._request_seconds = Histogram(
            "graft_request_seconds",
            "From finding the version to the answer.",
            (*version, "door"),
            buckets=_FAST,
            registry=registry,
        )
        self._in_flight = Gauge(
            "graft_requests_in_flight", "Predict requests accepted and not answered yet.", ("door",), registry=registry
        )
        graph = ("graph", "signature")
        self._batch_rows = Histogram("graft_batch_rows", "Rows a run.", graph, buckets=_ROWS, registry=registry)
        self._batch_requests = Counter(
            "graft_batch_requests", "Requests that were answered by runs.", graph, registry=registry
        )
        self._batch_wait = Histogram(
            "graft_batch_wait_seconds",
            "How long the first of a batch waited for a lane.",
            graph,
            buckets=_FAST,
            registry=registry,
        )
        self._batch_run = Histogram(
            "graft_batch_run_seconds", "Running a graph and its heads.", graph, buckets=_FAST, registry=registry
        )
        self._max_rows = Gauge(
            "graft_batch_max_rows", "Most rows in a run, as was measured to be best.", graph, registry=registry
        )
        self._stuck = Gauge(
            "graft_stuck_runs", "Runs that nobody waits for and that do not end.", graph, registry=registry
        )
        self._engine = Gauge(
            "graft_engine_info", "What runs a signature.", (*graph, "engine", "precision"), registry=registry
        )
        self._difference = Gauge(
            "graft_engine_difference",
            "Largest difference from TensorFlow's answers that was seen, as a share of their spread.",
            graph,
            registry=registry,
        )
        self._graphs = Gauge("graft_loaded_graphs", "Graphs in memory; heads of one base share one.", registry=registry)
        self._graph_loaded = Gauge("graft_graph_loaded", "1 for each graph in memory.", ("graph",), registry=registry)
        self._graph_load_seconds = Histogram(
            "graft_graph_load_seconds", "Loading a graph.", buckets=_SLOW, registry=registry
        )
        self._live = Gauge(
            "graft_version_live", "1 for each version that answers.", (*version, "kind", "graph"), registry=registry
        )
        self._failed = Gauge(
            "graft_version_failed", "1 for each version that cannot be made live.", version, registry=registry
        )
        self._failures = Counter("graft_version_failures", "Loads that failed.", ("model",), registry=registry)
        self._swaps = Counter(
            "graft_versions_made_live", "Versions that began to answer.", ("model",), registry=registry
        )
        self._load_seconds = Histogram(
            "graft_version_load_seconds", "From seeing a version to its answering.", buckets=_SLOW, registry=registry
        )

    def _define_tuning(self, registry: CollectorRegistry) -> None:
        self._jobs = Gauge("graft_jobs", "Jobs that wait and run now.", ("state",), registry=registry)
        self._job_moves = Counter("graft_job_moves", "Jobs that entered a state.", ("state",), registry=registry)
        self._job_seconds = Histogram(
            "graft_job_seconds", "From submitting a job to its end.", ("state",), buckets=_SLOW, registry=registry
        )
        self._datasets = Counter("graft_datasets_checked", "Uploads looked at.", ("accepted",), registry=registry)
        self._dataset_bytes = Counter("graft_dataset_bytes", "Bytes of uploads looked at.", registry=registry)
        self._check_seconds = Histogram(
            "graft_dataset_check_seconds", "Checking an upload.", buckets=_SLOW, registry=registry
        )

    def render(self) -> bytes:
        """The page Prometheus reads."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The same in pieces, so that other things may be done between them."""
        for family in self.registry.collect():
            samples, about = family.samples, 0
            for start in range(0, max(1, len(samples)), _LINES_AT_ONCE):
                family.samples = samples[start : start + _LINES_AT_ONCE]
                written = generate_latest(_Family(family))
                yield written[about:]
                about = written.index(b"\n", written.index(b"\n") + 1) + 1  # what it is was said in the first piece

    # --- Serving ------------------------------------------------------------------------------------------------------

    def began(self, door: str) -> None:
        """Count a request under way."""
        self._door(door).inc()

    def _door(self, door: str) -> Gauge:
        found = self._doors.get(door)
        if found is None:
            found = self._doors[door] = self._in_flight.labels(door)
        return found

    def answered(
        self,
        model: str,
        version: int | None,
        signature: str,
        door: str,
        outcome: str,
        seconds: float,
        api: str = "predict",
    ) -> None:
        """Count a request. What was asked for but is not served has no name of its own here: anyone could invent it."""
        self._door(door).dec()
        if version is None:
            self._requests.labels("", "", "", door, outcome).inc()
            return
        if outcome == "SignatureNotFound":
            signature = ""
        series = self._answers.get((model, version, signature, door, outcome))
        if series is None:
            series = self._series(model, version, signature, door, outcome)
        requests, request_seconds = series
        requests.inc()
        request_seconds.observe(seconds)

    def _series(self, model: str, version: int, signature: str, door: str, outcome: str) -> tuple[Counter, Histogram]:
        labels = (model, str(version), signature, door, outcome)
        series = (self._requests.labels(*labels), self._request_seconds.labels(model, str(version), door))
        with self._lock:
            self._served.setdefault(VersionId(model, version), set()).add(labels)
            self._answers[model, version, signature, door, outcome] = series
        return series

    def batch_ran(
        self, graph: str, signature: str, rows: int, requests: int, waited: float, ran: float, filled: int = 0
    ) -> None:
        """Count a run."""
        series = self._runs.get((graph, signature))
        if series is None:
            labels = (graph_name(graph), signature)
            rows_of, run_of = self._batch_rows.labels(*labels), self._batch_run.labels(*labels)
            series = (rows_of, self._batch_requests.labels(*labels), self._batch_wait.labels(*labels), run_of)
            with self._lock:
                self._runs[graph, signature] = series
        of_rows, of_requests, of_wait, of_run = series
        of_rows.observe(rows)
        of_requests.inc(requests)
        of_wait.observe(waited)
        of_run.observe(ran)

    def run_rows_chosen(self, graph: str, signature: str, rows: int) -> None:
        """Show how many rows a run may have."""
        self._max_rows.labels(graph_name(graph), signature).set(rows)

    def runs_stuck(self, graph: str, signature: str, runs: int) -> None:
        """Show how many runs hold a lane without end."""
        self._stuck.labels(graph_name(graph), signature).set(runs)

    def graph_loaded(self, graph: str, seconds: float) -> None:
        """Count a graph."""
        self._graphs.inc()
        with self._lock:
            self._named[graph_name(graph)] += 1
            self._graph_loaded.labels(graph_name(graph)).set(1)
        self._graph_load_seconds.observe(seconds)

    def engines_chosen(self, graph: str, choices: Mapping[str, EngineChoice]) -> None:
        """Show what runs each signature. Of two graphs by one name, the newer."""
        for signature, choice in choices.items():
            named = {"graph": graph_name(graph), "signature": signature}
            self._engine.remove_by_labels(named)
            self._engine.labels(**named, engine=choice.engine, precision=choice.precision).set(1)
            if choice.difference is not None:
                self._difference.labels(**named).set(choice.difference)

    def graph_freed(self, graph: str) -> None:
        """Forget a graph and its series, unless another goes by its short name: changed files of one version."""
        self._graphs.dec()
        with self._lock:
            for key in [key for key in self._runs if key[0] == graph]:
                del self._runs[key]
            self._named[graph_name(graph)] -= 1
            if self._named[graph_name(graph)]:
                return
            del self._named[graph_name(graph)]
        for metric in (
            self._graph_loaded,
            self._engine,
            self._difference,
            self._batch_rows,
            self._batch_requests,
            self._batch_wait,
            self._batch_run,
            self._max_rows,
            self._stuck,
        ):
            metric.remove_by_labels({"graph": graph_name(graph)})

    def load_attempted(self, directory: Path, loaded: bool, seconds: float) -> None:
        """Counted already, as a graph or as a failure."""

    def warmed_up(self, directory: Path, records: int, answered: bool, seconds: float) -> None:
        """Part of the seconds until a version answers."""

    def version_live(self, version: VersionId, kind: str, graph: str, seconds: float) -> None:
        """Count a version that answers."""
        self._drop_failed(version)
        if version in self._about:  # its files changed in place, and this is another graph
            self._live.remove(version.model, str(version.version), *self._about[version])
        self._about[version] = (kind, graph_name(graph))
        self._live.labels(version.model, str(version.version), kind, graph_name(graph)).set(1)
        self._swaps.labels(version.model).inc()
        self._load_seconds.observe(seconds)

    def version_failed(self, version: VersionId, reason: str) -> None:
        """Count a version that could not be loaded; the reason is in its status, not in a label."""
        self._failed.labels(version.model, str(version.version)).set(1)
        self._failures.labels(version.model).inc()

    def version_gone(self, version: VersionId) -> None:
        """Forget a version and its series."""
        self._drop_failed(version)
        model, number = version.model, str(version.version)
        about = self._about.pop(version, None)
        if about is not None:
            self._live.remove(model, number, *about)
        with self._lock:
            served = self._served.pop(version, set())
            for _, _, signature, door, outcome in served:
                del self._answers[model, version.version, signature, door, outcome]
        for labels in served:
            self._requests.remove(*labels)
        for door in {labels[3] for labels in served}:
            self._request_seconds.remove(model, number, door)

    def _drop_failed(self, version: VersionId) -> None:
        self._failed.remove_by_labels({"model": version.model, "version": str(version.version)})

    # --- Tuning -------------------------------------------------------------------------------------------------------

    def job_moved(self, state: JobState) -> None:
        """Count a move."""
        self._job_moves.labels(str(state)).inc()

    def job_ended(self, state: JobState, seconds: float) -> None:
        """Count an end."""
        self._job_seconds.labels(str(state)).observe(seconds)

    def jobs_counted(self, counts: Mapping[JobState, int]) -> None:
        """Show how many jobs wait and run."""
        for state in JobState:
            if not state.terminal:
                self._jobs.labels(str(state)).set(counts.get(state, 0))

    def dataset_checked(self, accepted: bool, size_bytes: int, seconds: float) -> None:
        """Count a check."""
        self._datasets.labels(str(accepted).lower()).inc()
        self._dataset_bytes.inc(size_bytes)
        self._check_seconds.observe(seconds)
