"""The lifecycle of model versions: what ought to be served becomes what answers, one step at a time.

One loop observes, decides with ``domain.versions.next_action``, and acts. A version enters the serving map only when it
can answer: files whole, graph loaded, golden pair reproduced, every batch size warm. The map is replaced, never edited,
so a request that looked its version up and pinned it cannot see half a swap; the old version drains and is freed off
the request path. A version that fails keeps its error, backs off, is tried again, and disturbs no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from service.application import sight
from service.application.lifecycle import FIRST_RETRY_S, Edition, ModelVersions, VersionStatus, Wish
from service.application.loading import Loader
from service.application.online import Online
from service.application.past import Gone, Past
from service.application.ports import Clock, Listing, Repository, ServingObserver
from service.application.sight import Sight
from service.application.workers import Workers
from service.domain.errors import ModelNotFound, ServiceError
from service.domain.serving_config import ServingConfig, refuse_unavailable_labels
from service.domain.versions import Load, ModelRef, Readiness, Unload, VersionState, readiness

log = logging.getLogger(__name__)


class Models:
    """Every model, its versions, and which of them answer."""

    def __init__(
        self,
        repository: Repository,
        loader: Loader,
        observer: ServingObserver,
        clock: Clock,
        *,
        config: ServingConfig | None = None,
        keep: int = 1,
        required: Collection[str] = (),
        poll_s: float = 0.5,
        threads: int = 4,
    ) -> None:
        """``config`` lists models by name. Every other model of the repository is served in its ``keep`` newest
        versions. ``required`` models must be live for readiness.
        """
        self._repository, self._loader, self._observer, self._clock = repository, loader, observer, clock
        self._config = config or ServingConfig()
        self.config_problem: str | None = None
        """Why another configuration, which somebody wrote down, is not in force."""
        self._keep, self._required, self._poll_s = keep, tuple(required), poll_s
        self._workers = Workers(threads)
        self._models: dict[str, ModelVersions] = {}
        self._serving: Mapping[str, Mapping[int, Online]] = {}
        self._sight, self._past = Sight(), Past()
        self._bases: Mapping[str, Listing] = {}
        self._steps: set[asyncio.Task[None]] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._change = asyncio.Event()
        self._opened = self._closing = False

    # --- For requests -------------------------------------------------------------------------------------------------

    def find(self, ref: ModelRef) -> Online:
        """The live version a reference names. To be pinned before the next ``await``.

        Raises:
            ModelNotFound, UnknownLabel
            NotReady: a label's version does not answer yet.
        """
        live = self._serving.get(ref.model, {})
        number = ref.version
        if ref.label is not None and ref.model in self._models:
            number = self._models[ref.model].labelled(ref.label)
        elif number is None and live:
            number = max(live)
        online = live.get(number) if number is not None else None
        if online is None:
            raise ModelNotFound(f"Servable not found for request: {ref}")
        return online

    # --- For operators ------------------------------------------------------------------------------------------------

    def names(self) -> Sequence[str]:
        """Every model known."""
        return sorted(self._models)

    def status(self, model: str) -> Sequence[VersionStatus]:
        """Every version known of a model, newest first; empty when there is no such model."""
        known = self._models.get(model)
        return known.status() if known is not None else []

    def history(self, model: str) -> Sequence[VersionStatus]:
        """The same, and the last few that are gone, newest first."""
        there = self.status(model)
        gone = self._past.of(model, without={one.version for one in there})
        ended = [VersionStatus(one.version, VersionState.ENDED, one.error, None, None, None) for one in gone]
        return sorted([*there, *ended], key=lambda one: one.version, reverse=True)

    def labels(self, model: str) -> Mapping[str, int]:
        """Where each label of a model points now."""
        return self._models[model].labels if model in self._models else {}

    def warnings(self, model: str) -> Sequence[str]:
        """What keeps a model from being served quite as it was asked for."""
        return self._models[model].warnings if model in self._models else []

    @property
    def config(self) -> ServingConfig:
        """The models that are configured by name."""
        return self._config

    def live_listing(self, model: str) -> Listing | None:
        """The newest live version's listing."""
        live = self._serving.get(model)
        return live[max(live)].listing if live else None

    def listings(self, model: str) -> Sequence[Listing]:
        """Every version the repository was last seen to hold of a model, live or not."""
        return self._sight.found.get(model, ())

    def readiness(self) -> Readiness:
        """Whether requests may be sent here. Who was ready once is not made unready by a model that comes along."""
        if not self._sight.complete and not self._config.models:
            return Readiness(False, ("the repository has not been read yet",))
        return readiness(self._required, () if self._opened else self._unsettled(), set(self._serving))

    async def settled(self, names: Collection[str]) -> Mapping[str, str | None]:
        """Wait until every version of these models that ought to answer does or has failed; of each model None when
        some of it answers, else why nothing does. A model that is no longer served meanwhile is left out.
        """
        while self.untried(names):
            await self._change.wait()
        return {name: self._models[name].failure for name in names if name in self._models}

    def untried(self, names: Collection[str]) -> Sequence[str]:
        """Which of these models have versions that are still on their way."""
        return sorted(name for name in names if name in self._models and self._models[name].untried)

    def _unsettled(self) -> set[str]:
        return {name for name, model in self._models.items() if not model.settled}

    # --- The loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep what is live equal to what is aspired, until cancelled. Without a pause between looks there is only
        one, the first that sees everything: what it saw is what is wanted from then on.
        """
        while True:
            if self._poll_s or not self._sight.complete or self._sight.problem:
                await self.look()
            else:
                self._take_in(self._sight)
            await self._clock.sleep(self._poll_s or FIRST_RETRY_S)

    async def look(self) -> None:
        """Read the repository once, and start whatever that calls for."""
        seen = await self._workers.look(sight.look, self._repository, self._config, self._keep, self._sight)
        if seen.config is self._config:  # else it was replaced meanwhile, and another look is under way
            self._take_in(seen)

    async def adopt(self, config: ServingConfig) -> frozenset[str]:
        """Serve by another configuration from now on; the models it adds. Refused, everything stays as it is.

        Raises:
            PreconditionFailed: a label is for a version that neither answers nor is about to.
        """
        seen = await self._workers.look(sight.look, self._repository, config, self._keep, self._sight)
        for model in config.models:
            found = [listing.id.version for listing in seen.found.get(model.name, ())]
            refuse_unavailable_labels(model, found, self._serving.get(model.name, {}))
        added = config.names - self._config.names
        self._config = config
        self._take_in(seen)
        return added

    async def settle(self) -> None:
        """Wait until every step under way has ended, and those that followed from them."""
        while self._steps:
            await asyncio.wait(self._steps)

    async def close(self) -> None:
        """Let every version drain, and free it. Nothing more is loaded."""
        self._closing = True
        self._workers.begin_no_more_loads()
        await self.settle()
        for model in list(self._models.values()):
            for edition in model.editions:
                if edition.state is VersionState.LIVE:
                    await self._unload(model, edition)
        self._workers.close()

    def _take_in(self, seen: Sight) -> None:
        if seen.problem and seen.problem != self._sight.problem:
            log.warning("what is live stays: %s", seen.problem)
        self._sight = seen
        everything = [listing for listings in seen.found.values() for listing in listings]
        self._bases = {one.manifest.digest: one for one in everything if one.manifest and one.manifest.features}
        for name in sorted(seen.wishes.keys() | self._models.keys()):
            model = self._models.setdefault(name, ModelVersions(name))
            wish = seen.wishes.get(name, Wish())
            if wish.problem and wish.problem != model.wish.problem:
                log.warning("model %s: %s", name, wish.problem)
            self._forgotten(model, model.aspire(wish))
            self._go_on(model)
        self._announce()

    def _announce(self) -> None:
        """Something may have changed for those who wait."""
        self._opened = self._opened or (bool(self._serving) and not self._unsettled())
        self._change.set()
        self._change = asyncio.Event()

    def _go_on(self, model: ModelVersions) -> None:
        """Take the next step with a model, if there is one; forget the model when nothing is left of it."""
        step = model.next(self._clock.monotonic()) if not self._closing else None
        # The state changes before the step begins: until then others may act, and nothing may be begun twice.
        match step:
            case Load():
                model.edition(step).state = VersionState.LOADING
                self._start(model, self._load(model, model.edition(step)))
            case Unload():
                model.edition(step).state = VersionState.DRAINING
                self._start(model, self._unload(model, model.edition(step)))
        if not model.editions and model.name not in self._config.names and self._models.get(model.name) is model:
            del self._models[model.name]

    def _start(self, model: ModelVersions, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(step)
        self._steps.add(task)
        task.add_done_callback(lambda task: self._ended_step(model, task))

    def _ended_step(self, model: ModelVersions, task: asyncio.Task[None]) -> None:
        self._steps.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a lifecycle step broke", exc_info=task.exception())
        self._forgotten(model, model.review())
        self._go_on(model)
        self._announce()

    async def _load(self, model: ModelVersions, edition: Edition) -> None:
        begun = self._clock.monotonic()
        listing = edition.listing
        try:
            async with self._turn(listing):
                online = await self._workers.load(self._loader.prepare, listing, self._bases)
        except Exception as error:  # noqa: BLE001 - whatever breaks a load is that version's, and must stay there
            if not self._closing:
                self._failed(edition, error)
            return
        edition.went_live(online)
        self._swap(model)
        seconds = self._clock.monotonic() - begun
        kind = str(listing.manifest.kind) if listing.manifest else "plain"
        self._observer.version_live(listing.id, kind, online.shared.key, seconds)
        log.info("version %s is live after %.2f s", listing.id, seconds)

    def _turn(self, listing: Listing) -> asyncio.Lock:
        """Versions that want the same graph load one after the other: those that would wait for it take no thread."""
        manifest = listing.manifest
        graph = str(listing.id) if manifest is None else manifest.base.digest if manifest.base else manifest.digest
        return self._turns.setdefault(graph, asyncio.Lock())

    def _failed(self, edition: Edition, error: Exception) -> None:
        told = edition.failed(error, self._clock.monotonic())
        self._observer.version_failed(edition.listing.id, told)
        surprise = None if isinstance(error, ServiceError) else error
        log.warning("version %s failed to load: %s", edition.listing.id, told, exc_info=surprise)

    async def _unload(self, model: ModelVersions, edition: Edition) -> None:
        online = edition.online
        assert online is not None, "only live versions are unloaded"
        edition.state = VersionState.DRAINING
        self._swap(model)
        await online.drained()
        await self._workers.free(self._loader.release, online)
        model.gone(edition)
        self._forgotten(model, [edition])
        log.info("version %s is gone", online.id)

    def _forgotten(self, model: ModelVersions, editions: Sequence[Edition]) -> None:
        """Remember and tell of versions that are gone: those that were something, and of which no edition is left."""
        left = {edition.version for edition in model.editions}
        for edition in editions:
            if edition.state is not VersionState.NEW and edition.version not in left:
                self._past.remember(model.name, Gone(edition.version, edition.error))
                self._observer.version_gone(edition.listing.id)

    def _swap(self, model: ModelVersions) -> None:
        """Replace the serving map by one that holds what is live now."""
        model.point_labels()
        serving = {name: live for name, live in self._serving.items() if name != model.name}
        live = model.live()
        self._serving = {**serving, model.name: live} if live else serving
