"""The content of datasets in a store, so that any service of several can train on what another was sent.

A file is in the store before anybody may name it, and in a local directory where a trainer can read it. What has no row
is removed only after a day: another service may be between the file and its row.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path

from service.adapters.object_store.bucket import Bucket
from service.application.ports import DatasetFiles
from service.domain.artifact import HIDDEN_PREFIX
from service.domain.errors import NotReady

PLACE = f"{HIDDEN_PREFIX}datasets/"
_GRACE_S = 86400.0
"""Far beyond what any two machines' clocks differ by."""


class StoredDatasets:
    """The ``DatasetFiles`` port: in the store for good, in a local directory for whoever works on them here."""

    def __init__(
        self, bucket: Bucket, local: DatasetFiles, *, grace_s: float = _GRACE_S, now: Callable[[], float] = time.time
    ) -> None:
        self._bucket, self._local, self._grace_s, self._now = bucket, local, grace_s, now

    def incoming(self) -> AbstractContextManager[Path]:
        """As the port says."""
        return self._local.incoming()

    def keep(self, file: Path, name: str) -> None:
        """As the port says. Raises: NotReady, the store does not take it now."""
        try:
            self._bucket.send(file, PLACE + name)
        except OSError as error:
            raise NotReady(f"the data cannot be kept in {self._bucket.url} now: {error}") from error
        self._local.keep(file, name)

    def path(self, name: str) -> Path:
        """As the port says; fetched where it is not there yet. Where the store has none either, nothing lies there.

        Raises:
            NotReady: the store cannot be read now.
        """
        place = self._local.path(name)
        if place.exists():
            return place
        try:
            with self._local.incoming() as file:
                self._bucket.fetch(PLACE + name, file)
                self._local.keep(file, name)
        except FileNotFoundError:
            return place
        except OSError as error:
            raise NotReady(f"the data cannot be fetched from {self._bucket.url} now: {error}") from error
        return place

    def discard(self, name: str) -> None:
        """As the port says. Raises: NotReady."""
        self._local.discard(name)
        try:
            self._bucket.delete([PLACE + name])
        except OSError as error:
            raise NotReady(f"the data cannot be removed from {self._bucket.url} now: {error}") from error

    def sweep(self, wanted: Callable[[], Collection[str]]) -> int:
        """As the port says; in the store only what has had no row for a day. Raises: OSError."""
        old = [
            key
            for key, stored in self._bucket.objects(PLACE).items()
            if self._now() - stored.changed.timestamp() > self._grace_s
        ]
        names = wanted()
        strays = [key for key in old if key.removeprefix(PLACE) not in names]
        self._bucket.delete(strays)
        return self._local.sweep(wanted) + len(strays)
