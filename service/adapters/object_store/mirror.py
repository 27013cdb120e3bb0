"""A directory kept as the store is: looks, compares, brings in what is missing, removes what is gone.

Level-triggered: every look repeats what there is, and what it calls for follows from that and from what is held. A
store that cannot be looked at takes nothing away; a version that is not what was published is not let in, its reason is
told, and it is tried again after a while or when it changes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from service.adapters.object_store.bucket import Bucket
from service.adapters.object_store.cache import Cache, Held, Status
from service.adapters.object_store.fetching import Refused, fetch
from service.adapters.object_store.stored_versions import StoredVersion, claims_among, versions_among, worth_holding
from service.adapters.object_store.sweeping import Sweeper
from service.application.ports import StoreObserver
from service.domain.versions import VersionId

log = logging.getLogger(__name__)

_AT_ONCE, _FILES_AT_ONCE = 4, 16
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_LONGEST_BETWEEN_LOOKS_S = 10.0
_REST = 4.0
"""After a look nothing is done for so many times what it took: a large store is not listed without end."""


@dataclass(frozen=True, slots=True)
class _Setback:
    stamp: str
    reason: str
    again_at: float
    pause_s: float


class Mirror:
    """Of one store in one directory. ``look`` is for one thread at a time; the rest is thread-safe."""

    def __init__(
        self,
        bucket: Bucket,
        cache: Cache,
        observer: StoreObserver,
        in_use: Callable[[], Collection[VersionId]],
        *,
        keep: int,
        most_bytes: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``in_use`` are versions that are not removed for want of room, nor are the ``keep`` newest of any model."""
        self._bucket, self._cache, self._observer, self._in_use = bucket, cache, observer, in_use
        self._keep, self._most_bytes, self._monotonic = keep, most_bytes, monotonic
        self._sweeper = Sweeper(bucket, monotonic)
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._setbacks: dict[str, _Setback] = {}
        self._coming: set[str] = set()
        self._needed: set[str] = set()
        self._todo: deque[StoredVersion] = deque()
        self._told: Status | None = None
        self._seen: Mapping[str, str] = {}
        self._problem: str | None = None
        self._workers: set[Future[None]] = set()
        self._fetchers = ThreadPoolExecutor(_AT_ONCE, "mirror")
        self._files = ThreadPoolExecutor(_FILES_AT_ONCE, "mirror-files")
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def status(self) -> Status:
        """How the mirror is, whichever process writes it."""
        return self._told or self._cache.status()

    def start(self, poll_s: float) -> None:
        """Look again and again, on a thread of its own, until closed."""
        self._thread = threading.Thread(target=self._run, args=(poll_s,), name="mirror-looks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Begin nothing more; returns when nothing is written any more."""
        self._closed.set()
        with self._lock:
            self._todo.clear()
        if self._thread is not None:
            self._thread.join()
        self._fetchers.shutdown()
        self._files.shutdown()
        self._cache.close()

    def look(self) -> None:
        """Look once, and start whatever that calls for. Does nothing where another process writes."""
        if not self._cache.write_alone(self._bucket.url):
            return
        if self._told is None:
            self._held = dict(self._cache.held())
            self._tell(Status(self._bucket.url))
        began = self._monotonic()
        try:
            objects = self._bucket.objects()
            self._compare(versions_among(objects), claims_among(objects))
            self._sweeper.look(objects)
        except OSError as error:
            self._failed(f"{self._bucket.url} cannot be read: {error}")
        else:
            self._failed(None)
        self._observer.store_looked(self._problem is None, self._monotonic() - began)

    def settle(self) -> None:
        """Wait until what looks have started has ended."""
        while workers := set(self._workers):
            wait(workers)
            self._workers -= workers

    # --- One look -----------------------------------------------------------------------------------------------------

    def _run(self, poll_s: float) -> None:
        while not self._closed.is_set():
            began = self._monotonic()
            try:
                self.look()
            except Exception:
                log.exception("a look at the store broke; the next one begins anew")
            took = self._monotonic() - began
            self._closed.wait(max(poll_s, min(_REST * took, _LONGEST_BETWEEN_LOOKS_S)))

    def _compare(self, found: Mapping[str, StoredVersion], claimed: Collection[VersionId]) -> None:
        # What is still being uploaded has no manifest yet, and would look as if it never came to have one.
        there = {place: one for place, one in found.items() if one.committed or (one.plain and one.id not in claimed)}
        ready = [one for place, one in there.items() if one.committed or self._seen.get(place) == one.stamp]
        self._seen = {place: one.stamp for place, one in there.items() if one.plain}
        with self._lock:
            self._held = {place: one for place, one in self._held.items() if (self._cache.root / place).is_dir()}
            bases = {there[place].id: one.base for place, one in self._held.items() if one.base and place in there}
            wanted = worth_holding(ready, self._in_use(), bases, self._keep, self._most_bytes)
            places = {one.place for one in wanted.everything} | (there.keys() - {one.place for one in ready})
            for place in self._held.keys() - places - self._coming:
                log.info("%s goes from %s: %s", place, self._cache.root, "no room" if place in there else "gone")
                self._cache.drop(place)
                del self._held[place]
            self._setbacks = {place: one for place, one in self._setbacks.items() if place in places}
            missing = [one for one in wanted.everything if self._is_missing(one) and self._is_due(one)]
            self._todo = deque(one for one in missing if one.place not in self._coming)
            self._needed = {one.place for one in wanted.needed}
            self._count()
        idle = _AT_ONCE - sum(not one.done() for one in self._workers)
        self._workers = {one for one in self._workers if not one.done()}
        for _ in range(min(idle, len(self._todo)) if not self._closed.is_set() else 0):
            self._workers.add(self._fetchers.submit(self._work))

    def _is_missing(self, version: StoredVersion) -> bool:
        held = self._held.get(version.place)
        return held is None or held.refused or held.stamp != version.stamp

    def _is_due(self, version: StoredVersion) -> bool:
        setback = self._setbacks.get(version.place)
        return setback is None or setback.stamp != version.stamp or self._monotonic() >= setback.again_at

    def _count(self) -> None:
        """Say how far this is. Under the lock."""
        awaited = self._needed & ({one.place for one in self._todo} | self._coming)
        told = self._told or Status(self._bucket.url)
        self._tell(replace(told, complete=told.complete or not awaited))
        held = [one for one in self._held.values() if not one.refused]
        self._observer.cache_held(len(held), sum(one.size for one in held))

    def _tell(self, status: Status) -> None:
        if status != self._told:
            self._told = status
            self._cache.tell(status)

    def _failed(self, problem: str | None) -> None:
        with self._lock:
            if problem and problem != self._problem:
                log.warning("what is held stays: %s", problem)
            if self._problem and not problem:
                log.info("%s can be read again", self._bucket.url)
            self._problem = problem
            self._tell(replace(self._told or Status(self._bucket.url), problem=problem))

    # --- Bringing in --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._todo:
                    return
                version = self._todo.popleft()
                self._coming.add(version.place)
            try:
                self._bring_in(version)
            except Exception:
                log.exception("%s could not be brought in", version.place)
            finally:
                with self._lock:
                    self._coming.discard(version.place)
                    self._count()

    def _bring_in(self, version: StoredVersion) -> None:
        began = self._monotonic()
        try:
            with self._cache.bringing_in(version.place) as staged:
                manifest = fetch(self._bucket, version, staged, self._files)
                base = manifest.base if manifest is not None else None
                needs = VersionId(base.model, base.version) if base else None
                held = Held(version.stamp, version.size, needs)
                self._cache.let_in(staged, version.place, held)
        except FileNotFoundError as error:
            log.info("%s was not brought in, something of it is gone: %s", version.place, error)
            return
        except Refused as refused:
            self._observer.version_refused(version.id)
            self._set_back(version, f"not let in: {refused}")
            return
        except OSError as error:
            self._set_back(version, f"cannot be brought from the store now: {error}")
            return
        with self._lock:
            self._held[version.place] = held
            self._setbacks.pop(version.place, None)
        self._observer.version_fetched(version.id, version.size, self._monotonic() - began)
        log.info("%s was brought in: %d bytes", version.place, version.size)

    def _set_back(self, version: StoredVersion, reason: str) -> None:
        """Try it again later; where nothing is held in its place, let its status say why."""
        with self._lock:
            before = self._setbacks.get(version.place)
            again = before is not None and before.stamp == version.stamp
            pause_s = min(2 * before.pause_s, _LONGEST_PAUSE_S) if before and again else _FIRST_PAUSE_S
            self._setbacks[version.place] = _Setback(version.stamp, reason, self._monotonic() + pause_s, pause_s)
            held = self._held.get(version.place)
        if before and again and before.reason == reason:
            return
        log.warning("%s is %s%s", version.place, reason, "; what was there stays" if held else "")
        if held is None or held.refused:
            self._cache.refuse(version.place, version.stamp, reason)
            with self._lock:
                self._held[version.place] = Held(version.stamp, 0, refused=True)
