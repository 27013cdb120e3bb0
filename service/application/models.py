"""The lifecycle of model versions: what ought to be served becomes what answers, one step at a time.

One loop observes, decides with ``domain.versions.next_action``, and acts. A version enters the serving map only when it
can answer: files whole, graph loaded, golden pair reproduced, every batch size warm; the old version drains and is
freed off the request path. A version that fails keeps its error, backs off, is tried again, and disturbs no other.

Of thousands of models the loop turns to those that changed, that are not yet as their files are, or that are due to be
tried again; the others cost nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from service.application import sight
from service.application.lifecycle import FIRST_RETRY_S, Edition, ModelVersions, Wish
from service.application.loading import Loader
from service.application.online import Online
from service.application.past import Gone
from service.application.ports import Clock, Companions, Listing, Repository, ServingObserver
from service.application.registry import Registry
from service.application.retries import Retries
from service.application.sight import Sight
from service.application.turns import Outcome, Turn, Turns
from service.application.workers import Workers
from service.domain.direction import DirectionByModel
from service.domain.errors import ServiceError
from service.domain.serving_config import ServingConfig, refuse_unavailable_labels
from service.domain.versions import Load, Unload, VersionState

log = logging.getLogger(__name__)


class Models(Registry):
    """The registry, kept as the repository and the configuration say."""

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
        companions: Companions | None = None,
        directions: Callable[[], DirectionByModel] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """``config`` lists models by name. Every other model of the repository is served in its ``keep`` newest
        versions. ``required`` models must be live for readiness. ``companions`` begin with a version when this does.
        ``directions`` and ``draw`` are the registry's.
        """
        super().__init__(config or ServingConfig(), required, directions, draw)
        self._repository, self._loader, self._observer, self._clock = repository, loader, observer, clock
        self._keep, self._poll_s, self._companions = keep, poll_s, companions
        self._workers = Workers(threads)
        self._bases: Mapping[str, Listing] = {}
        self._unsteady: set[str] = set()
        self._retries = Retries()
        self._steps: set[asyncio.Task[None]] = set()
        self._turns = Turns(self._prepare, self._announce, partial(_agree, companions) if companions else None)
        self._closing = False

    async def run(self) -> None:
        """Keep what is live equal to what is aspired, until cancelled. Without a pause between looks there is only
        one, the first that sees everything: what it saw is what is wanted from then on.
        """
        while True:
            if self._poll_s or not self._sight.complete or self._sight.problem or self._redirected:
                await self.look()
            else:
                self._take_in(self._sight)
            await self._clock.sleep(self._poll_s or FIRST_RETRY_S)

    async def look(self) -> None:
        """Read the repository once, and start whatever that calls for."""
        seen = await self._look(self._config)
        if seen.config is self._config:  # else it was replaced meanwhile, and another look is under way
            self._take_in(seen)

    async def adopt(self, config: ServingConfig) -> frozenset[str]:
        """Serve by another configuration from now on; the models it adds. Refused, everything stays as it is.

        Raises:
            PreconditionFailed: a label is for a version that neither answers nor is about to.
        """
        seen = await self._look(config)
        for model in config.models:
            found = [listing.id.version for listing in seen.found(model.name)]
            refuse_unavailable_labels(model, found, self._serving.get(model.name, {}))
        added = config.names - self._config.names
        self._config = config
        self._take_in(seen)
        return added

    async def _look(self, config: ServingConfig) -> Sight:
        arguments = (self._repository, config, self._keep, self._sight, self._directions())
        return await self._workers.look(sight.look, *arguments)

    @property
    def _redirected(self) -> bool:
        return self._directions() is not self._sight.directions

    async def settle(self) -> None:
        """Wait until every step under way has ended, and those that followed from them."""
        while steps := self._steps | self._turns.under_way:
            await asyncio.wait(steps)

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
        before, self._sight = self._sight.wishes, seen
        changed = _changed(before, seen.wishes)
        self._find_bases([*(before.get(name) for name in changed), *(seen.wishes.get(name) for name in changed)])
        for name in sorted(changed | self._unsteady):
            model = self._models.setdefault(name, ModelVersions(name))
            wish = seen.wishes.get(name, Wish())
            if wish.problem and wish.problem != model.wish.problem:
                log.warning("model %s: %s", name, wish.problem)
            self._forgotten(model, model.aspire(wish))
            (self._unsteady.add if model.unsteady else self._unsteady.discard)(name)
            self._go_on(model)
        for model in self._retries.due(self._clock.monotonic()):
            self._go_on(model)
        self._announce()

    def _find_bases(self, changed: Sequence[Wish | None]) -> None:
        """Know the versions that offer features, by digest, and try again the heads that waited for a new one."""
        if not any(map(_offers_features, changed)):
            return
        listings = [one for wish in self._sight.wishes.values() for one in wish.listings or ()]
        self._bases = {
            one.manifest.digest: one for one in listings if one.manifest and one.manifest.features and not one.problem
        }
        for model in self._retries.with_base(self._bases):
            self._go_on(model)

    def _go_on(self, model: ModelVersions) -> None:
        """Take the next step with a model, if there is one; forget the model when nothing is left of it."""
        if self._models.get(model.name) is not model:
            return
        step = model.next(self._clock.monotonic()) if not self._closing else None
        # The state changes before the step begins: until then others may act, and nothing may be begun twice.
        match step:
            case Load():
                edition = model.edition(step)
                edition.state = VersionState.LOADING
                ended = partial(self._loaded, model, edition, self._clock.monotonic())
                self._turns.take(Turn(edition.listing, ended))
            case Unload():
                model.edition(step).state = VersionState.DRAINING
                self._start(model, self._unload(model, model.edition(step)))
        (self._unsettled.discard if model.settled else self._unsettled.add)(model.name)
        if not model.editions and model.name not in self._config.names:
            del self._models[model.name]

    def _start(self, model: ModelVersions, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(step)
        self._steps.add(task)
        task.add_done_callback(lambda task: self._ended_step(model, task))

    def _ended_step(self, model: ModelVersions, task: asyncio.Task[None]) -> None:
        self._steps.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a lifecycle step broke", exc_info=task.exception())
        self._review(model)
        self._announce()

    def _review(self, model: ModelVersions) -> None:
        self._forgotten(model, model.review())
        self._go_on(model)

    async def _prepare(self, listings: Sequence[Listing]) -> Sequence[Outcome]:
        work = self._workers.graft if self._loader.is_graft(listings[0]) else self._workers.load
        return await work(self._loader.prepare_some, listings, self._bases)

    def _loaded(self, model: ModelVersions, edition: Edition, begun: float, outcome: Outcome) -> None:
        if isinstance(outcome, Online):
            edition.went_live(outcome)
            self._swap(model)
            seconds = self._clock.monotonic() - begun
            listing = edition.listing
            kind = str(listing.manifest.kind) if listing.manifest else "plain"
            self._observer.version_live(listing.id, kind, outcome.shared.key, seconds)
            log.info("version %s is live after %.3f s", listing.id, seconds)
        elif not self._closing:
            self._failed(edition, outcome)
            self._retries.add(model, edition, self._bases)
        self._review(model)

    def _failed(self, edition: Edition, error: Exception) -> None:
        known = edition.error
        told = edition.failed(error, self._clock.monotonic())
        self._observer.version_failed(edition.listing.id, told)
        surprise = None if isinstance(error, ServiceError) else error
        level = logging.DEBUG if told == known else logging.WARNING
        log.log(level, "version %s failed to load: %s", edition.listing.id, told, exc_info=surprise)

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
            if self._companions is not None and edition.state is not VersionState.NEW:
                self._companions.forget(_edition_name(edition.listing))
            if edition.state is not VersionState.NEW and edition.version not in left:
                self._past.remember(model.name, Gone(edition.version, edition.error))
                self._observer.version_gone(edition.listing.id)


async def _agree(companions: Companions, listings: Sequence[Listing], outcomes: Sequence[Outcome]) -> None:
    names = [_edition_name(one) for one in listings]
    ready = {name for name, outcome in zip(names, outcomes, strict=True) if isinstance(outcome, Online)}
    await companions.agree(ready, set(names) - ready)


def _edition_name(listing: Listing) -> str:
    """What every process that sees these files calls them."""
    return f"{listing.id} {listing.stamp}"


def _changed(before: Mapping[str, Wish], now: Mapping[str, Wish]) -> set[str]:
    """The models of which something else is wished, or was found, than before."""
    if before is now:
        return set()
    return {name for name, wish in now.items() if before.get(name) is not wish} | (before.keys() - now.keys())


def _offers_features(wish: Wish | None) -> bool:
    listings = wish.listings if wish is not None else None
    return any(one.manifest is not None and one.manifest.features for one in listings or ())
