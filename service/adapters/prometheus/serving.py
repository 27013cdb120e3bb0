"""What happened, as Prometheus metrics. Labels are bounded sets, and a version's series go when the version goes."""

from __future__ import annotations

import threading
from collections import Counter as Counts
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.adapters.prometheus.requests import SECONDS, Requests
from service.application.ports import graph_name
from service.domain.engines import EngineChoice
from service.domain.errors import SignatureNotFound
from service.domain.versions import VersionId

_SLOW = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_NO_SIGNATURE = SignatureNotFound.__name__


class ServingMetrics:
    """Implements the serving observer. Requests are counted by the event loop alone, all else by any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._define(registry)
        self.requests = Requests()
        self._under_way: dict[str, int] = {}
        self._lock = threading.Lock()
        self._runs: dict[tuple[str, str], tuple[Histogram, Counter, Histogram, Histogram]] = {}
        """Series by what tells them apart: looking one up by its labels takes as long as all else a run counts."""
        self._about: dict[VersionId, tuple[str, str]] = {}
        self._named: Counts[str] = Counts()

    def _define(self, registry: CollectorRegistry) -> None:
        version = ("model", "version")
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
            buckets=SECONDS,
            registry=registry,
        )
        self._batch_run = Histogram(
            "graft_batch_run_seconds", "Running a graph and its heads.", graph, buckets=SECONDS, registry=registry
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

    def began(self, door: str) -> None:
        """Count a request under way."""
        under_way = self._under_way.get(door)
        if under_way is None:
            self._in_flight.labels(door).set_function(lambda: self._under_way[door])
        self._under_way[door] = (under_way or 0) + 1

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
        """Count a request. A signature that is not there has no name here: anyone could invent it."""
        self._under_way[door] -= 1
        if version is None:
            self.requests.count_unfound(door, outcome)
        else:
            self.requests.count(model, version, "" if outcome == _NO_SIGNATURE else signature, door, outcome, seconds)

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
        self.requests.forget(version)

    def _drop_failed(self, version: VersionId) -> None:
        self._failed.remove_by_labels({"model": version.model, "version": str(version.version)})
