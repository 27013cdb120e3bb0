"""What uploads that were killed left behind in the store, removed once nothing has happened to it for a long time.

How long is measured by whoever sweeps, from when it first saw things as they are: no two machines' clocks are compared.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping

from service.adapters.object_store.bucket import Bucket, Stored
from service.adapters.object_store.stored_versions import PUBLISHED, PUBLISHING, claims_among
from service.domain.artifact import MANIFEST
from service.domain.versions import VersionId

log = logging.getLogger(__name__)

GRACE_S = 3600.0
"""An upload of which nothing changes for so long is dead; the uploader itself gives up long before."""


class Sweeper:
    """For one thread."""

    def __init__(self, bucket: Bucket, monotonic: Callable[[], float]) -> None:
        self._bucket, self._monotonic = bucket, monotonic
        self._watched: dict[VersionId, tuple[frozenset[tuple[str, str]], float]] = {}

    def look(self, objects: Mapping[str, Stored]) -> None:
        """Remove what nobody works on any more, as one listing tells. Raises: OSError."""
        claims = claims_among(objects)
        self._watched = {claim: seen for claim, seen in self._watched.items() if claim in claims}
        for claim in claims:
            model, number = claim.model, claim.version
            inside = f"{model}/{number}/"
            mine = {key for key in objects if key.startswith(inside)} | {f"{model}/{PUBLISHING}/{number}"}
            now = frozenset((key, objects[key].tag) for key in mine if key in objects)
            known, since = self._watched.get(claim, (frozenset[tuple[str, str]](), 0.0))
            if now != known:
                self._watched[claim] = (now, self._monotonic())
            elif self._monotonic() - since >= GRACE_S:
                self._sweep(model, number, objects)

    def _sweep(self, model: str, number: int, objects: Mapping[str, Stored]) -> None:
        claim, inside = f"{model}/{PUBLISHING}/{number}", f"{model}/{number}/"
        left: list[str] = []
        if f"{inside}{MANIFEST}" not in objects:
            left = [key for key in objects if key.startswith(inside)]
            left += self._decision(model, number, claim)
        log.warning("an upload of %s@%d came to nothing: %d objects are removed", model, number, len(left))
        self._bucket.delete([*left, claim])

    def _decision(self, model: str, number: int, claim: str) -> list[str]:
        """The record of the job that decided on this number, if it did: it must be free to decide again."""
        try:
            job = json.loads(self._bucket.read(claim))["job"]
            record = f"{model}/{PUBLISHED}/{job}"
            return [record] if json.loads(self._bucket.read(record))["version"] == number else []
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return []
