"""Watching for what other processes write of jobs: one look at the store now and then for each job that is watched,
however many watch it.

What this process writes rings the bells at once; what others write is found by the job's number of events, and rings
the same bells.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.application.tuning.ledger import Ledger
from service.application.tuning.notices import Bell
from service.domain.errors import ServiceError

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Looking:
    task: asyncio.Task[None]
    watchers: int = 0


class Lookout:
    """Rings a job's bells when its history in the store has grown. For the event loop's thread only."""

    def __init__(self, ledger: Ledger, every_s: float) -> None:
        self._ledger = ledger
        self._every_s = every_s
        self._looking: dict[str, _Looking] = {}

    @contextmanager
    def watching(self, job_id: str) -> Iterator[Bell]:
        """A bell that rings when there may be news of the job, from whichever process; listen first, then look."""
        with self._ledger.notices.listening(job_id) as bell:
            looking = self._looking.get(job_id)
            if looking is None:
                looking = self._looking[job_id] = _Looking(asyncio.create_task(self._look(job_id)))
            looking.watchers += 1
            try:
                yield bell
            finally:
                looking.watchers -= 1
                if not looking.watchers:
                    del self._looking[job_id]
                    looking.task.cancel()

    async def _look(self, job_id: str) -> None:
        known: int | None = None
        while not self._ledger.notices.closed:
            try:
                newest = await self._ledger.call(self._ledger.store.last_seq, job_id)
            except ServiceError as error:
                # Whoever watches looks for itself now, and tells its client what is wrong.
                log.warning("cannot look after job %s: %s", job_id, error)
                newest = None
            if newest is None or newest != known:
                self._ledger.notices.ring(job_id)
            known = newest
            await self._ledger.clock.sleep(self._every_s)
