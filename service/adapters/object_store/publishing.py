"""Publishing into a store: a version appears whole, under a number nobody else has, once for each job.

Who publishes claims a number (an object that only one can create), uploads everything but the manifest, writes down
what its job has decided on (again only one can), and then the manifest, which makes it a version. Killed before the
decision, it leaves what the sweeper removes; after it, whoever comes next for the same job only has to write the same
manifest. Other versions of a model may get their numbers meanwhile, in the order in which the uploads began.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from service.adapters.object_store.bucket import Bucket
from service.adapters.object_store.stored_versions import PUBLISHED, PUBLISHING, claims_among, versions_among
from service.adapters.object_store.sweeping import GRACE_S
from service.domain.artifact import MANIFEST, MAX_VERSION
from service.domain.errors import NotReady

log = logging.getLogger(__name__)

_FILES_AT_ONCE = 8


class StorePublisher:
    """The ``VersionPublisher`` port: trainers publish into an outbox of their job, and from there it is uploaded."""

    def __init__(self, bucket: Bucket, outbox: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._bucket, self._outbox, self._monotonic = bucket, outbox.resolve(), monotonic

    def outbox(self, job_id: str) -> Path:
        """As the port says."""
        place = self._outbox / job_id
        place.mkdir(parents=True, exist_ok=True)
        return place

    def publish(self, job_id: str, model: str, version: int) -> int:
        """As the port says."""
        try:
            return self._publish(self._outbox / job_id / model / str(version), job_id, model)
        except OSError as error:
            raise NotReady(f"{model} cannot be published to {self._bucket.url} now: {error}") from error

    def discard(self, job_id: str) -> None:
        """As the port says."""
        if (self._outbox / job_id).is_dir():
            shutil.rmtree(self._outbox / job_id)

    def _publish(self, files: Path, job_id: str, model: str) -> int:
        if (earlier := self._decided(model, job_id)) is not None:
            return self._finish(model, earlier)
        manifest = (files / MANIFEST).read_text(encoding="utf-8")
        began = self._monotonic()
        number = self._claim(model, job_id)
        self._upload(files, f"{model}/{number}")
        if self._monotonic() - began > GRACE_S / 2:
            # Whoever sweeps may soon take this for dead. What was uploaded is left to it.
            raise NotReady(f"uploading {model} took longer than {GRACE_S / 2:g} s")
        decision = {"version": number, "manifest": manifest}
        if not self._bucket.create(f"{model}/{PUBLISHED}/{job_id}", json.dumps(decision).encode()):
            decided = self._decided(model, job_id)
            if decided is None:
                raise NotReady(f"what job {job_id} has decided on was there, and is gone")
            if decided["version"] != number:
                self._bucket.delete([*self._bucket.objects(f"{model}/{number}/"), f"{model}/{PUBLISHING}/{number}"])
            decision = decided
        return self._finish(model, decision)

    def _decided(self, model: str, job_id: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._bucket.read(f"{model}/{PUBLISHED}/{job_id}"))
        except FileNotFoundError:
            return None
        return found

    def _finish(self, model: str, decision: dict[str, Any]) -> int:
        """Make a version of what a job has decided on, unless it is one, or was one that has been removed since."""
        number = int(decision["version"])
        claim = f"{model}/{PUBLISHING}/{number}"
        if claim in self._bucket.objects(claim):
            self._bucket.create(f"{model}/{number}/{MANIFEST}", decision["manifest"].encode())
            self._bucket.delete([claim])
        log.info("%s@%d is in %s", model, number, self._bucket.url)
        return number

    def _claim(self, model: str, job_id: str) -> int:
        """A number under which nothing lies, and that nobody else is given before this upload has ended."""
        there = self._bucket.objects(f"{model}/")
        taken = {one.id for one in versions_among(there).values()} | set(claims_among(there))
        number = max((one.version for one in taken), default=0) + 1
        while True:
            if number > MAX_VERSION:
                raise NotReady(f"{model} has a version {MAX_VERSION}, and there is no number after that")
            claim = f"{model}/{PUBLISHING}/{number}"
            if self._bucket.create(claim, json.dumps({"job": job_id}).encode()):
                # Who had it before may have finished between the listing and the claim.
                if not self._bucket.objects(f"{model}/{number}/"):
                    return number
                self._bucket.delete([claim])
            number += 1

    def _upload(self, files: Path, place: str) -> None:
        paths = sorted(path for path in files.rglob("*") if path.is_file())
        names = [path.relative_to(files).as_posix() for path in paths]
        with ThreadPoolExecutor(_FILES_AT_ONCE, "upload") as threads:
            sending = [
                threads.submit(self._bucket.send, path, f"{place}/{name}")
                for path, name in zip(paths, names, strict=True)
                if name != str(MANIFEST)
            ]
        for one in sending:
            one.result()
