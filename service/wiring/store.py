"""A store in place of the repository's directory: its parts, made from the settings, and joined by ``parts``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from prometheus_client import CollectorRegistry

from service.adapters.object_store import (
    Bucket,
    Cache,
    Mirror,
    MirroredRepository,
    StoredDatasets,
    StoreMetrics,
    StorePublisher,
)
from service.application.ports import DatasetFiles, Repository
from service.domain.versions import VersionId
from service.settings import ServeSettings, StoreUrl

_POLL_S = 0.5
"""Where a repository is looked at only once, its store is looked at until all of it is there."""


class VersionStore:
    """The store that the repository's directory mirrors."""

    def __init__(
        self,
        url: StoreUrl,
        settings: ServeSettings,
        state: Path,
        registry: CollectorRegistry,
        in_use: Callable[[], Collection[VersionId]],
    ) -> None:
        """``in_use`` are the versions that answer now; ``registry`` is where the store's metrics go.

        Raises:
            InvalidInput: the store's name is none, or what is needed to speak to it is not installed.
            OSError: the directory cannot be made.
        """
        self.bucket = Bucket(url.text, settings.repository_endpoint)
        self._poll_s = settings.poll_seconds or _POLL_S
        self._mirror = Mirror(
            self.bucket,
            Cache(settings.directory),
            StoreMetrics(registry),
            in_use,
            keep=settings.keep,
            most_bytes=settings.repository_cache_bytes,
        )
        self.publisher = StorePublisher(self.bucket, state / "outbox")

    def repository(self, directory: Repository) -> Repository:
        """What is served, by way of the directory."""
        return MirroredRepository(directory, self._mirror)

    def datasets(self, local: DatasetFiles) -> DatasetFiles:
        """Datasets that every service on this store has."""
        return StoredDatasets(self.bucket, local)

    def start(self) -> None:
        """Begin to look."""
        self._mirror.start(self._poll_s)

    def close(self) -> None:
        """Stop looking."""
        self._mirror.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is wrong with the store now."""
        problem = self._mirror.status.problem
        return (f"what is served may be old: {problem}",) if problem else ()
