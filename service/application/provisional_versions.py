"""Heads that nobody published, beside the repository: each is version 0 of its name for as long as nothing that was
published has that name.

To everything behind this they are versions like any other. So one answers from when it lies there, gives way once a
published version answers, and goes when it is taken away; nothing else has to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from service.application.ports import GoldenPair, Listing, Repository
from service.domain.heads import Head


class WithProvisionalVersions:
    """The ``Repository`` port over two others. Thread-safe where they are."""

    def __init__(self, published: Repository, provisional: Repository) -> None:
        self._published, self._provisional = published, provisional
        self._seen: tuple[object, object] = (None, None)
        self._marked: dict[str, tuple[Sequence[Listing], Sequence[Listing]]] = {}
        """By name what was found of a provisional head, and the same, marked: as long as the one is, the other is."""
        self._found: Mapping[str, Sequence[Listing]] = {}

    def scan(self) -> Mapping[str, Sequence[Listing]]:
        """As the port says. Provisional heads are looked for first: one that is gone by then was taken away after
        the version that it gave way to was published, which is then seen.
        """
        provisional = self._provisional.scan()
        published = self._published.scan()
        if not provisional:
            return published
        if self._seen[0] is not provisional or self._seen[1] is not published:
            standing = {name: found for name, found in provisional.items() if not published.get(name)}
            self._marked = {name: (found, self._mark(name, found)) for name, found in standing.items()}
            self._found = {**published, **{name: marked for name, (_, marked) in self._marked.items()}}
            self._seen = (provisional, published)
        return self._found

    def _mark(self, name: str, found: Sequence[Listing]) -> Sequence[Listing]:
        before, marked = self._marked.get(name, (None, ()))
        return marked if before is found else [replace(one, provisional=True) for one in found]

    def list_versions(self, model: str, base_path: PurePath, before: Sequence[Listing]) -> Sequence[Listing]:
        """As the port says."""
        return self._published.list_versions(model, base_path, before)

    def head(self, listing: Listing) -> Head:
        """As the port says."""
        return self._of(listing).head(listing)

    def golden(self, listing: Listing) -> GoldenPair | None:
        """As the port says."""
        return self._of(listing).golden(listing)

    def damage(self, listing: Listing) -> str | None:
        """As the port says."""
        return self._of(listing).damage(listing)

    def _of(self, listing: Listing) -> Repository:
        return self._provisional if listing.provisional else self._published
