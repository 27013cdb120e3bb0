"""From what a trainer has published to a version that everyone sees, and that answers as was asked for.

Every step is one that changes nothing when it is done again, because whoever does it may be killed after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from service.application.ports import GoingLive, VersionPublisher
from service.application.tuning.ledger import Ledger
from service.application.tuning.policy import TuningPolicy
from service.domain.errors import Conflict, NotReady
from service.domain.jobs import Job
from service.domain.on_success import OnSuccess, Way
from service.domain.progress import Finished

log = logging.getLogger(__name__)
T = TypeVar("T")


class Publication:
    """One job's."""

    def __init__(
        self,
        job: Job,
        ledger: Ledger,
        publisher: VersionPublisher,
        going_live: GoingLive,
        policy: TuningPolicy,
        stopping: asyncio.Event,
        warn: Callable[[str], Awaitable[bool]],
    ) -> None:
        """``stopping`` is set when the job is to be stopped; ``warn`` says something in its history, if it can."""
        self._job, self._ledger, self._publisher, self._going_live = job, ledger, publisher, going_live
        self._policy, self._stopping, self._warn = policy, stopping, warn
        self._on_success = OnSuccess.read(job.request.on_success)

    async def prepared(self) -> Path | None:
        """Where the trainer is to publish; None is the repository itself. What answers now is held where a version is
        not to answer the moment it is published.
        """
        if self._on_success.way is not Way.PROMOTE:
            await self._once_ready(partial(self._going_live.hold, self._job.request.head, self._job.id))
        return await self._ledger.call(self._publisher.outbox, self._job.id)

    async def of(self, said: Finished) -> Finished | None:
        """What the trainer said last, once everyone can see the version and it answers as was asked for; None when the
        job is stopped before that: then who takes it up does both again.
        """
        if said.version is None:
            return said
        # On a thread of its own: an upload may take minutes, and heartbeats must not wait for it.
        publishing = partial(asyncio.to_thread, self._publisher.publish, self._job.id, said.model, said.version)
        number = await self._once_ready(publishing)
        if number is None or not await self._gone_live(said.model, number):
            return None
        return replace(said, version=number)

    async def discard(self) -> None:
        """Remove what is left of an ended job."""
        await self._ledger.call(self._publisher.discard, self._job.id)

    async def _gone_live(self, model: str, version: int) -> bool:
        """False when the job is stopped before that."""

        async def said() -> bool:
            await self._going_live.published(model, version, self._on_success, self._job.id)
            return True

        try:
            return await self._once_ready(said) is not None
        except Conflict as error:
            await self._warn(f"version {version} is published, and not {self._on_success}: {error}")
            return True

    async def _once_ready(self, doing: Callable[[], Awaitable[T]]) -> T | None:
        """Do something as soon as what it needs answers; None when the job is stopped before that."""
        pause_s, told = self._policy.heartbeat_s, False
        while True:
            try:
                return await doing()
            except NotReady as error:
                log.warning("the version of %s waits: %s", self._job.id, error)
                if self._stopping.is_set():
                    return None
                told = told or await self._warn(str(error))
            await self._ledger.clock.sleep(pause_s)
            pause_s = min(2 * pause_s, self._policy.lost_after_s)
