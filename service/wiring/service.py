"""The life of one process that serves: what runs while it does, and the order in which everything ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from service.adapters.crew.membership import Membership
from service.domain.serving_config import ServingConfig
from service.domain.versions import Readiness
from service.settings import ServeSettings
from service.wiring.doors import Doors, Told
from service.wiring.parts import Parts

log = logging.getLogger(__name__)

_READINESS_LOOK_S = 0.1
_LONGEST_PREPARATION_S = 60.0
"""How long a worker that joins others waits for its models before it takes requests from them."""


class Service:
    """The whole service on one event loop."""

    def __init__(
        self,
        settings: ServeSettings,
        membership: Membership | None = None,
        state_lock: int | None = None,
        config: ServingConfig | None = None,
    ) -> None:
        """Join the parts and bind the ports; a worker that takes another's place binds them once it can answer. What
        follows the settings is a worker's: its place among others, the lock they share, models by name they were given.

        Raises:
            OSError: a port or the state directory is taken, or a directory cannot be made, or a file not read.
            InvalidInput: the models to serve are not listed as they ought to be.
        """
        self._settings, self._membership = settings, membership
        self._parts = Parts(settings, membership, state_lock, config)
        self._told = Told(self.readiness, lambda: self._draining, self._metrics_page, self._tfserving_page)
        self._doors = None if membership is not None and membership.late else Doors(self._parts, self._told)
        self._pages: Mapping[str, Callable[[], Iterable[bytes]]] = {
            "graft": self._parts.metrics.pieces,
            "tfserving": lambda: (self._parts.tfserving_metrics.render(),),
        }
        if membership is not None:
            for name in self._pages:
                membership.answers(name, partial(self._own_page, name))
        self._draining, self._was_ready = False, asyncio.Event()
        self.abandoned = False
        """Whether threads were left behind that nothing can end but the process's end."""

    def readiness(self) -> Readiness:
        """Whether requests may be sent here; of several workers, whether they may be sent to all."""
        mine = self._own_readiness()
        store = self._parts.store
        if self._membership is not None and not self._draining:
            mine = self._membership.readiness(mine)
        return replace(mine, notes=store.notes) if store is not None else mine

    def _own_readiness(self) -> Readiness:
        if self._draining:
            return Readiness(False, ("shutting down",))
        if blocked := self._parts.lanes.blocked:
            return Readiness(False, (f"every lane is held by a run that does not end: {blocked}",))
        return self._parts.models.readiness()

    async def run(self, stop: asyncio.Event, listens: Callable[[str, str], None]) -> None:
        """Serve until ``stop`` is set; then stop being ready, finish what was accepted, and end. ``listens`` is told
        where REST and gRPC do, once they do.
        """
        parts = self._parts
        working = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("doors", self._answer(listens)),
                ("models", parts.models.run()),
                ("configuration", self._follow_configuration()),
                ("readiness", self._follow_readiness()),
                ("tuning", self._tune()),
                ("going live", parts.going_live.work()),
            )
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([*working, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in working:
                if task.done():
                    # A part that ends by itself is broken; a service that limps on without it would lie.
                    log.critical("%s ended unexpectedly", task.get_name(), exc_info=task.exception())
        finally:
            stopping.cancel()
            await self._stop(working)
        for task in working:
            if not task.cancelled() and task.exception() is not None:
                raise RuntimeError(f"{task.get_name()} broke") from task.exception()

    async def _answer(self, listens: Callable[[str, str], None]) -> None:
        """Open the doors."""
        if self._doors is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._parts.models.tried(), _LONGEST_PREPARATION_S)
            self._doors = Doors(self._parts, self._told)
        await self._doors.open()
        log.info("listening: REST %s, gRPC %s", *self._doors.addresses)
        listens(*self._doors.addresses)
        await asyncio.Event().wait()

    async def _tune(self) -> None:
        """Run jobs: at once where this process is the only one, else when it is its turn."""
        if self._membership is not None:
            await self._membership.appointed.wait()
            log.info("this worker runs the jobs from now on")
        warming = asyncio.create_task(self._warm_up())
        try:
            await self._parts.tuning.work()
        finally:
            warming.cancel()

    async def _warm_up(self) -> None:
        """Start the trainers that are kept ready, once what is served is: they would share its cores."""
        await self._was_ready.wait()
        await self._parts.trainer.warm_up()

    async def _stop(self, working: list[asyncio.Task[None]]) -> None:
        self._draining = True
        parts, doors, settings = self._parts, self._doors, self._settings
        if doors is not None:
            await doors.serving(False)
        log.info("draining for %.1f s", settings.drain_seconds)
        await asyncio.sleep(settings.drain_seconds)
        await parts.tuning.close()
        await parts.trainer.close()
        if doors is not None:
            await doors.close(settings.shutdown_seconds)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await self._free_models()
        if self._membership is not None:
            await self._membership.leave({name: b"".join(page()) for name, page in self._pages.items()})
        parts.close()
        log.info("stopped")

    async def _free_models(self) -> None:
        """Free what is loaded. A graph that never returns cannot be, and must not keep the process from ending."""
        try:
            async with asyncio.timeout(self._settings.shutdown_seconds):
                self._parts.trials.close()
                await self._parts.models.close()
                await asyncio.to_thread(self._parts.lanes.close)
        except TimeoutError:
            self.abandoned = True
            log.warning("a graph still runs or loads after %.1f s; ending without it", self._settings.shutdown_seconds)

    async def _follow_readiness(self) -> None:
        """Let gRPC's health say what ``/readyz`` says."""
        said: bool | None = None
        while True:
            self._parts.lanes.look()
            mine = self._own_readiness()
            if mine.ready and not self._was_ready.is_set():
                # Nearly all that was made so far stays: collections that look at it again would stop every request.
                gc.collect()
                gc.freeze()
                self._was_ready.set()
            if self._membership is not None:
                self._membership.tell(mine)
            state = self.readiness()
            if state.ready is not said and self._doors is not None:
                said = state.ready
                await self._doors.serving(state.ready)
                log.info("ready" if state.ready else "not ready: %s", *(() if state.ready else (state.reason,)))
            await asyncio.sleep(_READINESS_LOOK_S)

    async def _follow_configuration(self) -> None:
        """Look at the file of models again and again, if there is one and it is to be looked at."""
        every_s = self._settings.model_config_file_poll_wait_seconds
        if self._settings.model_config_file and every_s:
            await self._parts.reloads.follow(self._parts.config_source, every_s)
        await asyncio.Event().wait()

    # --- Metrics ------------------------------------------------------------------------------------------------------

    async def _metrics_page(self) -> tuple[bytes, str]:
        return await self._page("graft"), self._parts.metrics.content_type

    async def _tfserving_page(self) -> bytes:
        return await self._page("tfserving") + await self._page("graft")

    async def _page(self, name: str) -> bytes:
        """One page of this process, or of all workers together."""
        if self._membership is None:
            return await self._own_page(name)
        return bytes(await self._membership.ask_all(name))

    async def _own_page(self, name: str, _: None = None) -> bytes:
        pieces: list[bytes] = []
        for piece in self._pages[name]():
            pieces.append(piece)
            await asyncio.sleep(0)  # thousands of models have a long page
        return b"".join(pieces)
