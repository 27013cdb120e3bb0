"""The lifecycle of model versions: what the repository holds becomes what answers, one step at a time.

One loop observes, decides with ``domain.versions.next_action``, and acts. A version enters the serving map only when it
can answer: files whole, graph loaded, golden pair reproduced, every batch size warm. The map is replaced, never edited,
so a request that looked its version up and pinned it cannot see half a swap; the old version drains and is freed off
the request path. A version that fails keeps its error, backs off, is tried again, and disturbs no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from service.application.loading import Loader
from service.application.online import Online
from service.application.ports import Clock, Listing, Repository, ServingObserver
from service.domain.errors import ModelNotFound, ServiceError, UnknownLabel
from service.domain.versions import (
    Load,
    ModelRef,
    Readiness,
    Snapshot,
    Unload,
    VersionState,
    newest,
    next_action,
    readiness,
)

log = logging.getLogger(__name__)

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0


@dataclass(eq=False)
class _Entry:
    """One version and where it is in its life."""

    listing: Listing
    state: VersionState = VersionState.NEW
    aspired: bool = True
    online: Online | None = None
    error: str | None = None
    failures: int = 0
    retry_at: float = 0.0


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """One version as an operator sees it."""

    version: int
    state: VersionState
    error: str | None
    engine: str | None
    graph: str | None
    listing: Listing


class Models:
    """Every model, its versions, and which of them answer."""

    def __init__(
        self,
        repository: Repository,
        loader: Loader,
        observer: ServingObserver,
        clock: Clock,
        *,
        keep: int = 1,
        required: Collection[str] = (),
        poll_s: float = 0.5,
        threads: int = 2,
    ) -> None:
        """``keep`` versions of each model are aspired, the newest; ``required`` models must be live for readiness."""
        self._repository, self._loader, self._observer, self._clock = repository, loader, observer, clock
        self._keep, self._required, self._poll_s = keep, tuple(required), poll_s
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self._entries: dict[str, dict[int, _Entry]] = {}
        self._serving: Mapping[str, Mapping[int, Online]] = {}
        self._settled: set[str] = set()
        self._bases: Mapping[str, Listing] = {}
        self._found: Mapping[str, Sequence[Listing]] = {}
        self._scanned = False
        self._steps: set[asyncio.Task[None]] = set()

    # --- For requests -------------------------------------------------------------------------------------------------

    def find(self, ref: ModelRef) -> Online:
        """The live version a reference names. To be pinned before the next ``await``.

        Raises:
            ModelNotFound, UnknownLabel
        """
        if ref.label is not None:
            raise UnknownLabel(f"Unrecognized servable version label: {ref.label}")
        live = self._serving.get(ref.model)
        if live:
            online = live[max(live)] if ref.version is None else live.get(ref.version)
            if online is not None:
                return online
        raise ModelNotFound(f"Servable not found for request: {ref}")

    # --- For operators ------------------------------------------------------------------------------------------------

    def names(self) -> Sequence[str]:
        """Every model known."""
        return sorted(self._entries)

    def status(self, model: str) -> Sequence[VersionStatus]:
        """Every version known of a model, newest first; empty when there is no such model."""
        return [
            VersionStatus(
                version=number,
                state=entry.state,
                error=entry.error,
                engine=entry.online.shared.graph.engine if entry.online else None,
                graph=entry.online.shared.key if entry.online else None,
                listing=entry.listing,
            )
            for number, entry in sorted(self._entries.get(model, {}).items(), reverse=True)
        ]

    def live_listing(self, model: str) -> Listing | None:
        """The newest live version's listing."""
        live = self._serving.get(model)
        return live[max(live)].listing if live else None

    def listings(self, model: str) -> Sequence[Listing]:
        """Every version the repository was last seen to hold of a model, live or not."""
        return self._found.get(model, ())

    def readiness(self) -> Readiness:
        """Whether requests may be sent here."""
        if not self._scanned:
            return Readiness(False, ("the repository has not been read yet",))
        return readiness(self._required, set(self._entries) - self._settled, set(self._serving))

    # --- The loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep what is live equal to what is aspired, until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(self._poll_s)

    async def look(self) -> None:
        """Read the repository once, and start whatever that calls for."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._threads, self._repository.scan)
        except OSError as error:
            log.warning("the repository cannot be read, what is live stays: %s", error)
            return
        self._found = found
        everything = [listing for listings in found.values() for listing in listings]
        self._bases = {one.manifest.digest: one for one in everything if one.manifest and one.manifest.features}
        for model in found.keys() | self._entries.keys():
            self._aspire(model, found.get(model, ()))
        self._scanned = True
        self._act()

    async def settle(self) -> None:
        """Wait until every step under way has ended, and those that followed from them."""
        while self._steps:
            await asyncio.wait(self._steps)

    async def close(self) -> None:
        """Let every version drain, and free it."""
        await self.settle()
        for versions in list(self._entries.values()):
            for entry in list(versions.values()):
                if entry.state is VersionState.LIVE:
                    await self._unload(entry)
        self._threads.shutdown(wait=True)

    def _aspire(self, model: str, listings: Sequence[Listing]) -> None:
        """Bring the entries of one model up to what the repository says."""
        entries = self._entries.setdefault(model, {})
        wanted = newest((listing.id.version for listing in listings), self._keep)
        for entry in entries.values():
            entry.aspired = entry.listing.id.version in wanted
        for listing in listings:
            known = entries.get(listing.id.version)
            if known is None:
                if listing.id.version in wanted:
                    entries[listing.id.version] = _Entry(listing)
            elif known.state in (VersionState.NEW, VersionState.FAILED) and known.listing.stamp != listing.stamp:
                # Its files changed since it was seen or failed: somebody is at work on it, no reason to wait.
                known.listing, known.retry_at = listing, 0.0
        for version, entry in list(entries.items()):
            if not entry.aspired and entry.state in (VersionState.NEW, VersionState.FAILED):
                if entry.state is VersionState.FAILED:
                    self._observer.version_gone(entry.listing.id)
                del entries[version]
        if not entries:
            del self._entries[model]
            self._settled.discard(model)

    def _act(self) -> None:
        for versions in self._entries.values():
            action = next_action([self._snapshot(entry) for entry in versions.values()])
            match action:
                case Load(version):
                    versions[version].state = VersionState.LOADING
                    self._start(self._load(versions[version]))
                case Unload(version):
                    # Before the step begins: until then others may act, and nothing may be unloaded twice.
                    versions[version].state = VersionState.DRAINING
                    self._start(self._unload(versions[version]))

    def _snapshot(self, entry: _Entry) -> Snapshot:
        due = entry.state is VersionState.FAILED and self._clock.monotonic() >= entry.retry_at
        return Snapshot(entry.listing.id.version, VersionState.NEW if due else entry.state, entry.aspired)

    def _start(self, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(step)
        self._steps.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._steps.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a lifecycle step broke", exc_info=task.exception())
        self._act()

    async def _load(self, entry: _Entry) -> None:
        begun = self._clock.monotonic()
        version = entry.listing.id
        try:
            online = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._loader.prepare, entry.listing, self._bases
            )
        except Exception as error:  # noqa: BLE001 - whatever breaks a load is that version's, and must stay there
            self._failed(entry, error)
            return
        finally:
            self._settled.add(version.model)
        entry.online, entry.state, entry.error, entry.failures = online, VersionState.LIVE, None, 0
        self._swap()
        seconds = self._clock.monotonic() - begun
        kind = str(entry.listing.manifest.kind) if entry.listing.manifest else "plain"
        self._observer.version_live(version, kind, online.shared.key, seconds)
        log.info("version %s is live after %.2f s", version, seconds)

    def _failed(self, entry: _Entry, error: Exception) -> None:
        known = isinstance(error, ServiceError)
        entry.state = VersionState.FAILED
        entry.error = str(error) if known else f"unexpected: {error!r}"
        # The exponent is bounded too: a version may fail for days, and 2.0**1024 is not a number.
        entry.retry_at = self._clock.monotonic() + min(FIRST_RETRY_S * 2 ** min(entry.failures, 10), LAST_RETRY_S)
        entry.failures += 1
        self._observer.version_failed(entry.listing.id, entry.error)
        log.warning("version %s failed to load: %s", entry.listing.id, entry.error, exc_info=None if known else error)

    async def _unload(self, entry: _Entry) -> None:
        online = entry.online
        assert online is not None, "only live versions are unloaded"
        entry.state = VersionState.DRAINING
        self._swap()
        await online.drained()
        await asyncio.get_running_loop().run_in_executor(self._threads, self._loader.release, online)
        versions = self._entries[entry.listing.id.model]
        del versions[entry.listing.id.version]
        if not versions:
            del self._entries[entry.listing.id.model]
            self._settled.discard(entry.listing.id.model)
        self._observer.version_gone(entry.listing.id)
        log.info("version %s is gone", entry.listing.id)

    def _swap(self) -> None:
        """Replace the serving map by one that holds what is live now."""
        serving: dict[str, dict[int, Online]] = {}
        for model, versions in self._entries.items():
            live = {n: e.online for n, e in versions.items() if e.state is VersionState.LIVE and e.online}
            if live:
                serving[model] = live
        self._serving = serving
