"""What monitoring is told of versions that are compared or on trial."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class DirectionMetrics:
    """The ``DirectionObserver`` port, on a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("model", "version")
        self._rows = Counter(
            "graft_compared_rows",
            "Rows that were also given to a version beside the stable one",
            labels,
            registry=registry,
        )
        self._differed = Counter(
            "graft_differing_rows", "Those of them on which it decided differently", labels, registry=registry
        )
        self._back = Counter(
            "graft_canaries_taken_back", "Canaries that went beyond their limits", ("model",), registry=registry
        )

    def compared(self, model: str, version: int, rows: int, differed: int) -> None:
        """As the port says."""
        self._rows.labels(model, str(version)).inc(rows)
        self._differed.labels(model, str(version)).inc(differed)

    def taken_back(self, model: str, version: int) -> None:
        """As the port says."""
        self._back.labels(model).inc()
