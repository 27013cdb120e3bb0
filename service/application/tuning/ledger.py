"""The job store as the event loop uses it: its calls run in threads of their own, and what they change is announced.

Every change of a job passes here, so that no code path can move a job and forget to wake those who watch it or to tell
the observer. What is decided about jobs is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from service.application.ports import Clock, JobStore, TuningObserver
from service.application.tuning.notices import ENDED, QUEUE, Notices
from service.domain.errors import NotReady
from service.domain.jobs import Job, JobEvent, JobState, Move

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 4


class Ledger:
    """Reads and writes jobs. A write that began is finished and announced even when its caller is cancelled."""

    def __init__(self, store: JobStore, notices: Notices, observer: TuningObserver, clock: Clock) -> None:
        self.store = store
        self.notices = notices
        self.clock = clock
        self._observer = observer
        self._threads = ThreadPoolExecutor(THREADS, "tuning")
        self._writes: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something that blocks.

        Raises:
            NotReady: the ledger is closed; otherwise what the function raises.
        """
        if self._closed:
            raise NotReady("the service is stopping")
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def add(self, job: Job, event: JobEvent, idempotency_key: str | None) -> Job:
        """As ``JobStore.add_job``."""
        return await self._write(self._add(job, event, idempotency_key))

    async def claim(self, owner: str) -> Job | None:
        """As ``JobStore.claim``."""
        return await self._write(self._claim(owner))

    async def move(self, move: Move, *, owner: str | None = None, unheard_since: float | None = None) -> Job:
        """As ``JobStore.move``."""
        return await self._write(self._move(move, owner, unheard_since))

    async def append(self, job_id: str, type: str, message: str, owner: str, data: dict[str, Any]) -> None:
        """As ``JobStore.append``."""
        await self._write(self._append(JobEvent(job_id, type, message, self.clock.now(), data), owner))

    async def request_cancel(self, job_id: str) -> Job:
        """As ``JobStore.request_cancel``."""
        return await self._write(self._request_cancel(job_id))

    async def count(self) -> None:
        """Tell the observer how many jobs wait and run."""
        self._observer.jobs_counted(await self.call(self.store.counts))

    async def close(self) -> None:
        """Finish the writes under way, and refuse what comes after."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        self._closed = True
        self._threads.shutdown(wait=False)

    async def _write(self, writing: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(writing)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _add(self, job: Job, event: JobEvent, idempotency_key: str | None) -> Job:
        stored = await self.call(self.store.add_job, job, event, idempotency_key)
        if stored.id == job.id:
            self._announce(stored)
        return stored

    async def _claim(self, owner: str) -> Job | None:
        job = await self.call(self.store.claim, owner, self.clock.now())
        if job is not None:
            self._announce(job)
        return job

    async def _move(self, move: Move, owner: str | None, unheard_since: float | None) -> Job:
        job = await self.call(self.store.move, move, owner=owner, unheard_since=unheard_since)
        self._announce(job)
        return job

    async def _append(self, event: JobEvent, owner: str) -> None:
        await self.call(self.store.append, event, owner)
        self.notices.ring(event.job_id)

    async def _request_cancel(self, job_id: str) -> Job:
        event = JobEvent(job_id, "job.cancel_requested", "a cancel was asked for", self.clock.now())
        job = await self.call(self.store.request_cancel, job_id, event)
        self.notices.ring(job_id)
        return job

    def _announce(self, job: Job) -> None:
        self.notices.ring(job.id)
        if job.state is JobState.QUEUED:
            self.notices.ring(QUEUE)
        self._observer.job_moved(job.state)
        if job.state.terminal:
            self.notices.ring(ENDED)
            self._observer.job_ended(job.state, self.clock.now() - job.created)
