"""What happened, under TF Serving's metric names and in its form, so that its dashboards go on working.

Fed by the same observer as Graft's own metrics. Names begin with a colon, times are microseconds, and versions are no
labels: all as there. What TF Serving counts and nothing here does is left out rather than shown as zero.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from service.domain.engines import EngineChoice
from service.domain.versions import VersionId

_MOST_PATHS = 1000
"""The oldest goes when there are more, for paths come and go with versions."""
_MOST_STRANGERS, _LONGEST_NAME = 100, 100
"""Names that nothing is served under are shown as they were asked for, up to so many: anyone can invent them."""
_MICROSECONDS = tuple(10 * 1.8**n for n in range(33))
_SIZES = tuple(float(2**n) for n in range(20))
_GRPC_APIS = {
    "predict": "Predict",
    "classify": "Classify",
    "regress": "Regress",
    "multi_inference": "MultiInference",
}
_UNEXPECTED = "INTERNAL"

Labels = tuple[str, ...]


class _Counter:
    """One number for each combination of labels."""

    kind = "counter"

    def __init__(self, name: str, *labels: str) -> None:
        self.name, self._labels = name, labels
        self.series: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Add to one series."""
        self.series[labels] = self.series.get(labels, 0) + amount

    def lines(self) -> Iterator[str]:
        """Its samples."""
        for labels, value in self.series.items():
            yield _line(self.name, zip(self._labels, labels, strict=True), value)


@dataclass(slots=True)
class _Observed:
    counts: list[int]
    sum: float = 0.0


class _Histogram:
    """Counts by upper bound, with the sum, for each combination of labels."""

    kind = "histogram"

    def __init__(self, name: str, *labels: str, bounds: tuple[float, ...] = _MICROSECONDS) -> None:
        self.name, self._labels, self._bounds = name, labels, bounds
        self.series: dict[Labels, _Observed] = {}

    def add(self, labels: Labels, value: float, times: int = 1) -> None:
        """Add a value to one series, so many times."""
        observed = self.series.setdefault(labels, _Observed([0] * (len(self._bounds) + 1)))
        observed.counts[bisect_left(self._bounds, value)] += times
        observed.sum += value * times

    def lines(self) -> Iterator[str]:
        """Its samples: buckets that add up, sum and count."""
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        for labels, observed in self.series.items():
            named = list(zip(self._labels, labels, strict=True))
            total = 0
            for bound, count in zip(bounds, observed.counts, strict=True):
                total += count
                yield _line(f"{self.name}_bucket", [*named, ("le", bound)], total)
            yield _line(f"{self.name}_sum", named, observed.sum)
            yield _line(f"{self.name}_count", named, total)


class TfServingMetrics:
    """Implements the serving observer. Thread-safe."""

    content_type = "text/plain"

    def __init__(self, statuses: Mapping[str, str], thread_pool: str = "batch_threads") -> None:
        """``statuses`` gives the gRPC name of each outcome, ``thread_pool`` the name that batching goes by."""
        self._statuses, self._thread_pool = statuses, thread_pool
        self._lock = threading.Lock()
        self._model_of: dict[str, str] = {}
        self._live: dict[str, set[int]] = {}
        self._strangers: set[str] = set()
        serving, batching = ":tensorflow:serving:", ":tensorflow:serving:batching_session:"
        core, saved = ":tensorflow:core:", ":tensorflow:cc:saved_model:"
        self._requests = _Counter(f"{serving}request_count", "model_name", "status")
        self._request_time = _Histogram(f"{serving}request_latency", "model_name", "API", "entrypoint")
        self._run_time = _Histogram(f"{serving}runtime_latency", "model_name", "API", "runtime")
        self._queued = _Histogram(f"{batching}queuing_latency", "thread_pool_name")
        self._wrapped_runs = _Counter(f"{batching}wrapped_run_count")
        self._padding = _Histogram(f"{batching}padding_size", "execution_batch_size", bounds=_SIZES)
        self._input_size = _Histogram(f"{batching}input_batch_size", bounds=_SIZES)
        self._processed_size = _Histogram(f"{batching}processed_batch_size", bounds=_SIZES)
        self._warmup_time = _Histogram(f"{serving}model_warmup_latency", "model_path", "status")
        self._warmup_records = _Counter(f"{serving}model_warmup_records_read", "model_path")
        self._loads = _Counter(f"{saved}load_attempt_count", "model_path", "status")
        self._load_time = _Counter(f"{saved}load_latency", "model_path")
        self._graph_runs = _Counter(f"{core}graph_runs")
        self._graph_time = _Counter(f"{core}graph_run_time_usecs")
        self._families = [one for one in vars(self).values() if isinstance(one, _Counter | _Histogram)]

    def render(self) -> bytes:
        """The page."""
        lines: list[str] = []
        with self._lock:
            for family in self._families:
                lines.append(f"# TYPE {family.name} {family.kind}")
                lines.extend(family.lines())
        return ("\n".join(lines) + "\n").encode()

    def began(self, door: str) -> None:
        """There is no gauge of what is under way."""

    def answered(
        self, model: str, version: int | None, signature: str, door: str, outcome: str, seconds: float, api: str
    ) -> None:
        """Count a request, also one for what is not served."""
        with self._lock:
            name = model if model in self._live else self._stranger(model)
            self._requests.add((name, self._statuses.get(outcome, _UNEXPECTED)))
            if outcome == "ok":
                called = _GRPC_APIS.get(api, api) if door == "grpc" else api
                self._request_time.add((name, called, "GRPC" if door == "grpc" else "REST"), seconds * 1e6)

    def _stranger(self, name: str) -> str:
        if name not in self._strangers and (len(self._strangers) >= _MOST_STRANGERS or len(name) > _LONGEST_NAME):
            return ""
        self._strangers.add(name)
        return name

    def batch_ran(
        self, graph: str, signature: str, rows: int, requests: int, waited: float, ran: float, filled: int
    ) -> None:
        """Count a run. A request's size is its batch's mean."""
        with self._lock:
            self._run_time.add((self._model_of.get(graph, ""), "Predict", "TF1"), ran * 1e6)
            self._queued.add((self._thread_pool,), waited * 1e6)
            self._wrapped_runs.add((), requests)
            self._padding.add((str(rows + filled),), filled)
            self._input_size.add((), rows / requests, requests)
            self._processed_size.add((), rows + filled)
            self._graph_runs.add(())
            self._graph_time.add((), ran * 1e6)

    def run_rows_chosen(self, graph: str, signature: str, rows: int) -> None:
        """TF Serving has no such metric; ours is on the same page."""

    def runs_stuck(self, graph: str, signature: str, runs: int) -> None:
        """TF Serving has no such metric; ours is on the same page."""

    def graph_loaded(self, graph: str, seconds: float) -> None:
        """Counted as an attempt."""

    def engines_chosen(self, graph: str, choices: Mapping[str, EngineChoice]) -> None:
        """TF Serving has one engine."""

    def graph_freed(self, graph: str) -> None:
        """Its runs were the model's."""
        with self._lock:
            self._model_of.pop(graph, None)

    def load_attempted(self, directory: Path, loaded: bool, seconds: float) -> None:
        """Count an attempt."""
        with self._lock:
            self._loads.add((str(directory), "success" if loaded else "fail"))
            self._load_time.add((str(directory),), seconds * 1e6)
            self._forget_old_paths()

    def warmed_up(self, directory: Path, records: int, answered: bool, seconds: float) -> None:
        """Count a warm-up."""
        with self._lock:
            self._warmup_time.add((str(directory), "OK" if answered else "INVALID_ARGUMENT"), seconds * 1e6)
            self._warmup_records.add((str(directory),), records)
            self._forget_old_paths()

    def _forget_old_paths(self) -> None:
        for series in (
            family.series for family in (self._loads, self._load_time, self._warmup_time, self._warmup_records)
        ):
            while len(series) > _MOST_PATHS:
                del series[next(iter(series))]

    def version_live(self, version: VersionId, kind: str, graph: str, seconds: float) -> None:
        """Runs of this graph are runs of this model, or of the first of the models that share it."""
        with self._lock:
            self._model_of.setdefault(graph, version.model)
            self._live.setdefault(version.model, set()).add(version.version)

    def version_failed(self, version: VersionId, reason: str) -> None:
        """Counted as an attempt."""

    def version_gone(self, version: VersionId) -> None:
        """With its last version a model's series go."""
        model = version.model
        with self._lock:
            live = self._live.get(model, set())
            live.discard(version.version)
            if live or model not in self._live:
                return
            del self._live[model]
            for series in (family.series for family in (self._requests, self._request_time, self._run_time)):
                for labels in [labels for labels in series if labels[0] == model]:
                    del series[labels]


def _line(name: str, labels: Iterable[tuple[str, str]], value: float) -> str:
    said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    number = str(int(value)) if float(value).is_integer() else repr(float(value))
    return f"{name}{{{said}}} {number}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
