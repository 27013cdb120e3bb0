"""Failed versions that are to be tried again: when their time has come, or when what they lacked is there."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from itertools import count

from service.application.lifecycle import Edition, ModelVersions

MOST_A_LOOK = 32
"""No more at one look: ten thousand versions that fail must not keep the others waiting."""


class Retries:
    """Who waits for a retry. Belongs to the event loop."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, ModelVersions]] = []
        self._numbers = count()
        self._baseless: dict[str, set[ModelVersions]] = {}
        """Models whose heads failed while their base was not there, by its digest."""

    def add(self, model: ModelVersions, edition: Edition, bases: Collection[str]) -> None:
        """An edition has failed; ``bases`` are the digests of the bases there are."""
        heapq.heappush(self._due, (edition.retry_at, next(self._numbers), model))
        manifest = edition.listing.manifest
        if manifest is not None and manifest.base is not None and manifest.base.digest not in bases:
            self._baseless.setdefault(manifest.base.digest, set()).add(model)

    def due(self, now: float) -> Iterator[ModelVersions]:
        """The models with a version whose time has come, the first of them."""
        for _ in range(MOST_A_LOOK):
            if not self._due or self._due[0][0] > now:
                return
            yield heapq.heappop(self._due)[2]

    def with_base(self, bases: Collection[str]) -> Iterator[ModelVersions]:
        """The models that waited for one of these bases: nothing of them need wait any longer."""
        for digest in sorted(self._baseless.keys() & set(bases)):
            for model in sorted(self._baseless.pop(digest), key=lambda one: one.name):
                model.hasten()
                yield model
