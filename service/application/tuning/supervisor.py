"""The loop that keeps jobs moving: finds lost ones, claims waiting ones, and sees each through.

Level-triggered: at every look it repeats what ought to be, so that a lost notice, a crash or a second service heals at
the next one. Promises no more jobs at once than the policy allows, and none left behind when it ends. What a job does
is ``running``'s.
"""

from __future__ import annotations

import asyncio
import logging

from service.application.ports import GoingLive, LiveModels, Trainer, VersionPublisher
from service.application.tuning.datasets import Datasets
from service.application.tuning.hold import Stop
from service.application.tuning.ledger import Ledger
from service.application.tuning.notices import QUEUE
from service.application.tuning.policy import TuningPolicy
from service.application.tuning.retention import Retention
from service.application.tuning.running import RunningJob
from service.domain.errors import Conflict, JobNotFound, ModelFailed, NotReady, ServiceError
from service.domain.jobs import Job, JobState, crashes_in_a_row, moved, tried_again

log = logging.getLogger(__name__)


class Supervisor:
    """Runs jobs in one service process."""

    def __init__(
        self,
        ledger: Ledger,
        trainer: Trainer,
        datasets: Datasets,
        models: LiveModels,
        publisher: VersionPublisher,
        going_live: GoingLive,
        policy: TuningPolicy,
    ) -> None:
        self._ledger = ledger
        self._trainer = trainer
        self._datasets = datasets
        self._models = models
        self._publisher = publisher
        self._going_live = going_live
        self._policy = policy
        self._running: dict[str, tuple[RunningJob, asyncio.Task[None]]] = {}
        self._retention = Retention(ledger, trainer, datasets, models, policy)
        self._closing = False

    async def work(self) -> None:
        """Keep jobs moving until closed. When cancelled, hands back the jobs it runs before it ends."""
        with self._ledger.notices.listening(QUEUE) as bell:
            try:
                await self._tidy()
                # Alone, whoever was at work on a job before this process began is gone.
                patience = 0.0 if self._policy.alone else self._policy.lost_after_s
                while not self._closing:
                    try:
                        await self._recover(self._ledger.clock.now() - patience)
                        await self._claim()
                        await self._ledger.count()
                        patience = self._policy.lost_after_s
                        await self._retention.look()
                    except (NotReady, OSError) as error:
                        log.warning("cannot look after jobs now: %s", error, extra={"action": "supervise"})
                    await bell.wait(self._policy.poll_s)
            finally:
                await self.close()

    async def close(self) -> None:
        """Claim nothing more, stop the trainers, and put their jobs back into the queue; returns when that is done."""
        self._closing = True
        self._ledger.notices.ring(QUEUE)
        for running, _ in self._running.values():
            running.stop(Stop.HANDED_BACK)
        if self._running:
            await asyncio.wait({task for _, task in self._running.values()})

    async def _tidy(self) -> None:
        """Remove what killed processes left: files without rows, work areas of jobs that have ended."""
        try:
            await self._datasets.sweep()
            for job_id in await self._ledger.call(self._trainer.left_behind):
                if await self._over(job_id):
                    await self._trainer.reap(job_id)
                    await self._discard(job_id)
        except (ServiceError, OSError) as error:
            log.warning("cannot tidy up now: %s", error, extra={"action": "tidy"})

    async def _over(self, job_id: str) -> bool:
        try:
            return (await self._ledger.call(self._ledger.store.job, job_id)).state.terminal
        except JobNotFound:
            return True

    async def _recover(self, stale_before: float) -> None:
        for job in await self._ledger.call(self._ledger.store.lost, stale_before):
            if job.id not in self._running:
                try:
                    await self._found_lost(job, stale_before)
                except Conflict:
                    log.info("lost job %s was found by another process, or is not lost", job.id)
                except (ModelFailed, OSError) as error:
                    log.warning("lost job %s is not dealt with yet: %s", job.id, error)

    async def _found_lost(self, job: Job, stale_before: float) -> None:
        now = self._ledger.clock.now()
        log.warning("found lost job %s", job.id, extra={"action": "recover_job", "job": job.id})
        crashes = crashes_in_a_row(job)
        if crashes < self._policy.most_attempts or job.cancel_requested:
            message = "its service was lost; the job goes on from its last finished phase"
            pauses_s = (0.0,) if job.cancel_requested else self._policy.pauses_s
            move = tried_again(job, now, pauses_s, message, {"attempt": job.attempt})
        else:
            await self._trainer.reap(job.id)
            message = f"the job was lost, {crashes} times in a row without finishing a further phase"
            error = {"code": "job_lost", "message": message, "details": {"attempt": job.attempt}}
            move = moved(job, JobState.FAILED, now, message, data={"code": "job_lost"}, error=error)
        await self._ledger.move(move, unheard_since=stale_before)
        if move.job.state.terminal:
            await self._discard(job.id)

    async def _discard(self, job_id: str) -> None:
        """Remove what an ended job left; its work area last, by which it is found when this comes to nothing."""
        await self._ledger.call(self._publisher.discard, job_id)
        await self._ledger.call(self._trainer.discard, job_id)

    async def _claim(self) -> None:
        while len(self._running) < self._policy.concurrency and not self._closing:
            job = await self._ledger.claim(self._policy.owner)
            if job is None:
                return
            running = RunningJob(
                job,
                self._ledger,
                self._trainer,
                self._datasets,
                self._models,
                self._publisher,
                self._going_live,
                self._policy,
            )
            self._running[job.id] = running, asyncio.create_task(self._see_through(job.id, running))
            if self._closing:
                running.stop(Stop.HANDED_BACK)

    async def _see_through(self, job_id: str, running: RunningJob) -> None:
        try:
            await running.work()
        except Exception:
            # Nothing is written about the job: its heartbeats have ended, so it is found lost and tried again.
            log.exception("job %s could not be seen through", job_id, extra={"action": "run_job", "job": job_id})
        finally:
            del self._running[job_id]
            self._ledger.notices.ring(QUEUE)
