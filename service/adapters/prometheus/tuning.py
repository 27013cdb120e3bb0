"""Jobs and datasets, as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.domain.jobs import JobState

_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0)


class TuningMetrics:
    """Implements the tuning observer. Thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Gauge("graft_jobs", "Jobs that wait and run now.", ("state",), registry=registry)
        self._job_moves = Counter("graft_job_moves", "Jobs that entered a state.", ("state",), registry=registry)
        self._job_seconds = Histogram(
            "graft_job_seconds", "From submitting a job to its end.", ("state",), buckets=_SECONDS, registry=registry
        )
        self._datasets = Counter("graft_datasets_checked", "Uploads looked at.", ("accepted",), registry=registry)
        self._dataset_bytes = Counter("graft_dataset_bytes", "Bytes of uploads looked at.", registry=registry)
        self._check_seconds = Histogram(
            "graft_dataset_check_seconds", "Checking an upload.", buckets=_SECONDS, registry=registry
        )
        self._webhooks = Counter(
            "graft_webhook_attempts", "Attempts to tell of a job's end.", ("outcome",), registry=registry
        )

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

    def announced(self, outcome: str) -> None:
        """Count an attempt."""
        self._webhooks.labels(outcome).inc()
