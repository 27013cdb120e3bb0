"""How the mirror of a store is, as Prometheus metrics; there are none where there is no store."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.domain.versions import VersionId

_LOOKS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_FETCHES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class StoreMetrics:
    """The ``StoreObserver`` port. Thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reachable = Gauge(
            "graft_store_reachable", "1 if the store could be read at the last look.", registry=registry
        )
        self._looks = Histogram(
            "graft_store_look_seconds", "Looks at the store.", ("reachable",), buckets=_LOOKS, registry=registry
        )
        self._fetches = Histogram(
            "graft_store_fetch_seconds", "Bringing in a version.", buckets=_FETCHES, registry=registry
        )
        self._fetched = Counter("graft_store_fetched_bytes", "Bytes of versions brought in.", registry=registry)
        self._refused = Counter(
            "graft_store_refusals", "Versions in the store that were not what was published.", registry=registry
        )
        self._versions = Gauge("graft_store_held_versions", "Versions held of the store's.", registry=registry)
        self._bytes = Gauge("graft_store_held_bytes", "Bytes of them.", registry=registry)

    def store_looked(self, reachable: bool, seconds: float) -> None:
        """Count a look."""
        self._reachable.set(reachable)
        self._looks.labels(str(reachable).lower()).observe(seconds)

    def version_fetched(self, version: VersionId, size_bytes: int, seconds: float) -> None:
        """Count a version brought in."""
        self._fetches.observe(seconds)
        self._fetched.inc(size_bytes)

    def version_refused(self, version: VersionId) -> None:
        """Count it; why is in the version's status."""
        self._refused.inc()

    def cache_held(self, versions: int, size_bytes: int) -> None:
        """Show how much is held."""
        self._versions.set(versions)
        self._bytes.set(size_bytes)
