"""A repository on a store, as serving sees it: the directory that mirrors it, and whether that is all of it yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from service.adapters.object_store.mirror import Mirror
from service.application.ports import GoldenPair, Listing, Repository
from service.domain.heads import Head


class MirroredRepository:
    """The ``Repository`` port over the repository in the mirror's directory. Thread-safe where that is."""

    def __init__(self, directory: Repository, mirror: Mirror) -> None:
        self._directory, self._mirror = directory, mirror

    def scan(self) -> Mapping[str, Sequence[Listing]]:
        """As the port says: once all that is needed is there; and of a store that cannot be read, what was held before.

        Raises:
            OSError: neither is so.
        """
        status = self._mirror.status
        found = self._directory.scan()
        if not status.complete and not (found and status.problem):
            raise OSError(status.problem or "not all that is needed has been brought from the store yet")
        return found

    def list_versions(self, model: str, base_path: PurePath, before: Sequence[Listing]) -> Sequence[Listing]:
        """As the port says."""
        return self._directory.list_versions(model, base_path, before)

    def head(self, listing: Listing) -> Head:
        """As the port says."""
        return self._directory.head(listing)

    def golden(self, listing: Listing) -> GoldenPair | None:
        """As the port says."""
        return self._directory.golden(listing)

    def damage(self, listing: Listing) -> str | None:
        """As the port says."""
        return self._directory.damage(listing)
