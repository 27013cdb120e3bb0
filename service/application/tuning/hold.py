"""This process's hold on a job it has claimed: renewed as long as it lasts, and what ends it early."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum

from service.application.ports import TrainerRun
from service.application.tuning.ledger import Ledger
from service.application.tuning.policy import TuningPolicy
from service.domain.budget import Excess
from service.domain.errors import NotReady
from service.domain.jobs import Job

log = logging.getLogger(__name__)


class Stop(Enum):
    """Why a job's trainer is stopped before it is done."""

    CANCELLED = "a cancel was asked for"
    HANDED_BACK = "this service stops"
    SILENT = "the trainer has said nothing for too long"
    EXCEEDED = "the job's budget is used up"
    LOST = "the job is not ours any more"


class Hold:
    """Sees cancels, that the job is lost, that its trainer hangs, and that it costs more than it may."""

    def __init__(self, job: Job, ledger: Ledger, policy: TuningPolicy, stop: Callable[[Stop], None]) -> None:
        self._job = job
        self._ledger = ledger
        self._policy = policy
        self._stop = stop
        self._run: TrainerRun | None = None
        self._heard_trainer = float("inf")
        self._waits_since: float | None = None
        self._waited_s = 0.0
        self.excess: Excess | None = None
        """How the budget was exceeded, once it was."""

    def watch(self, run: TrainerRun) -> None:
        """From now on this trainer is at work."""
        self._run = run
        self.hear()

    def hear(self) -> None:
        """The trainer has said something."""
        self._heard_trainer = self._ledger.clock.monotonic()

    def wait(self) -> None:
        """The trainer has no machine to work on yet: until ``resume`` it may be silent, and uses up no time."""
        if self._waits_since is None:
            self._waits_since = self._ledger.clock.now()

    def resume(self) -> float:
        """It has one, or is gone; how many seconds it has waited since ``wait``, 0 if that was never said."""
        if self._waits_since is None:
            return 0.0
        waited_s = max(0.0, self._ledger.clock.now() - self._waits_since)
        self._waits_since = None
        self._waited_s += waited_s
        self.hear()
        return waited_s

    def let_go(self) -> None:
        """The trainer is gone; nothing is expected of it any more."""
        self._run, self._heard_trainer = None, float("inf")

    async def keep(self) -> None:
        """Renew the hold until cancelled."""
        clock = self._ledger.clock
        heard = clock.monotonic()
        with self._ledger.notices.listening(self._job.id) as bell:
            while True:
                try:
                    await self._beat()
                    heard = clock.monotonic()
                except NotReady as error:
                    log.warning("no heartbeat for %s: %s", self._job.id, error)
                    if clock.monotonic() - heard > self._policy.lost_after_s:
                        self._stop(Stop.LOST)
                if self._waits_since is None and clock.monotonic() - self._heard_trainer > self._policy.silence_s:
                    self._stop(Stop.SILENT)
                await self._weigh()
                await bell.wait(self._policy.heartbeat_s)

    async def _beat(self) -> None:
        ledger = self._ledger
        held = await ledger.call(ledger.store.beat, self._job.id, self._policy.owner, ledger.clock.now())
        if held is None:
            self._stop(Stop.LOST)
        elif held.cancel_requested:
            self._stop(Stop.CANCELLED)

    async def _weigh(self) -> None:
        budget, now, memory = self._job.request.budget, self._ledger.clock.now(), 0
        if self._run is not None and budget.max_memory_mb is not None:
            memory = await asyncio.to_thread(self._run.memory_bytes)
        waited_s = self._waited_s + (now - self._waits_since if self._waits_since is not None else 0.0)
        self.excess = self.excess or budget.excess(now - (self._job.started or now) - waited_s, memory)
        if self.excess is not None:
            self._stop(Stop.EXCEEDED)
