"""One claimed job, from starting its trainer to writing how it ended.

Promises that nothing is written on the job's behalf once another process owns it, and that a state which says the work
is over is written only when every process of the trainer is gone. Does not know what the phases do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from service.application.ports import GoingLive, LiveModels, Trainer, TrainerRun, VersionPublisher
from service.application.tuning.datasets import Datasets
from service.application.tuning.hold import Hold, Stop
from service.application.tuning.ledger import Ledger
from service.application.tuning.policy import TuningPolicy
from service.application.tuning.preparation import Preparation
from service.application.tuning.publication import Publication
from service.domain.budget import EXCEEDED
from service.domain.errors import Conflict, ModelFailed, NotReady
from service.domain.jobs import WAITING, Job, JobState, Move, course, crashes_in_a_row, moved, tried_again
from service.domain.progress import Failed, Finished, PhaseProgress, Placed, TrainerEvent, Warned

log = logging.getLogger(__name__)


class RunningJob:
    """A job this process has claimed. Used once."""

    def __init__(
        self,
        job: Job,
        ledger: Ledger,
        trainer: Trainer,
        datasets: Datasets,
        models: LiveModels,
        publisher: VersionPublisher,
        going_live: GoingLive,
        policy: TuningPolicy,
    ) -> None:
        self._job = job
        self._ledger = ledger
        self._trainer = trainer
        self._policy = policy
        self._said: Finished | Failed | None = None
        self._crash: dict[str, Any] = {}
        self._why: Stop | None = None
        self._stopping = asyncio.Event()
        self._stored_progress = float("-inf")
        self._hold = Hold(job, ledger, policy, self.stop)
        self._publication = Publication(job, ledger, publisher, going_live, policy, self._stopping, self._warned)
        self._preparation = Preparation(job, ledger, datasets, models, self._publication, policy)

    def stop(self, why: Stop) -> None:
        """Have the trainer stopped. The first reason stands, except that a lost job is lost whatever came before."""
        if self._why is None or why is Stop.LOST:
            self._why = why
        self._stopping.set()

    async def work(self) -> None:
        """See the job through to where this process has no more to do with it. To end it early, ``stop`` it.

        Raises:
            ModelFailed: an earlier trainer of the job cannot be made to go. The job is left as it is, will be found
                lost, and is tried again.
        """
        if self._job.cancel_requested:
            self.stop(Stop.CANCELLED)
        hold = asyncio.create_task(self._hold.keep())
        try:
            await self._train()
            if isinstance(self._said, Finished) and self._why is not Stop.LOST:
                self._hold.let_go()
                self._said = await self._publication.of(self._said)
            await self._settle()
        finally:
            hold.cancel()
            await asyncio.gather(hold, return_exceptions=True)

    async def _train(self) -> None:
        """Have a trainer at work until it ends or is stopped; afterwards no trainer of this job is at work."""
        stopping = asyncio.create_task(self._stopping.wait())
        starting = asyncio.create_task(self._start())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
            await asyncio.wait({starting})
            run = None if starting.cancelled() else starting.result()
            if run is None:
                await self._trainer.reap(self._job.id)
            else:
                await self._see_through(run, stopping)
        finally:
            stopping.cancel()

    async def _start(self) -> TrainerRun | None:
        """A trainer at work, or None when there is no use in one; ``_said`` or ``_crash`` then say why."""
        if self._stopping.is_set():
            return None
        task = await self._preparation.task()
        if isinstance(task, Failed):
            self._said = task
            return None
        await self._trainer.reap(self._job.id)
        try:
            return await self._trainer.start(task)
        except ModelFailed as error:
            self._crash = {"log": str(error)}
            return None

    async def _warned(self, message: str) -> bool:
        """Say something in the job's history, if that can be done now."""
        try:
            await self._note("job.warning", message, {})
        except (NotReady, Conflict) as error:
            log.warning("a warning about %s was not stored: %s", self._job.id, error)
            return False
        return True

    async def _see_through(self, run: TrainerRun, stopping: asyncio.Task[Any]) -> None:
        self._hold.watch(run)
        following = asyncio.create_task(self._follow(run))
        await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if self._stopping.is_set():
            await run.stop(self._policy.grace_s)
        try:
            # A trainer that has said its last word gets the time to leave, and no more.
            async with asyncio.timeout(self._policy.grace_s):
                status = await run.ended()
        except TimeoutError:
            await run.stop(0)
            status = await run.ended()
        await following
        self._resume()
        self._crash = {"status": status, "log": run.log_tail()}

    async def _follow(self, run: TrainerRun) -> None:
        async for event in run.events():
            self._hold.hear()
            try:
                await self._heed(event)
            except NotReady as error:
                # What was to be stored is only how far the job is; the next event says it again.
                log.warning("the progress of %s was not stored: %s", self._job.id, error)
            except Conflict:
                self.stop(Stop.LOST)
                return

    async def _heed(self, event: TrainerEvent) -> None:
        match event:
            case PhaseProgress():
                if event.phase == WAITING:
                    self._hold.wait()
                else:
                    self._resume()
                await self._progress(event)
            case Placed():
                self._resume()
                await self._note("job.placed", event.message, event.data)
            case Warned():
                await self._note("job.warning", event.message, event.data)
            case Finished() | Failed():
                # A failure told while being stopped is about the stopping; but who has finished has finished.
                if self._said is None and (isinstance(event, Finished) or self._why is None):
                    self._said = event

    def _resume(self) -> None:
        """The job does not wait for a machine, or not any longer. Its time counts as if it had begun so much later."""
        waited_s = self._hold.resume()
        if waited_s and self._job.started is not None:
            self._job = replace(self._job, started=self._job.started + waited_s)

    async def _progress(self, event: PhaseProgress) -> None:
        clock, store, owner = self._ledger.clock, self._ledger.store, self._policy.owner
        percent = min(max(event.percent, 0.0), 100.0)
        begins = event.phase != self._job.phase
        if begins:
            for state in course(self._job.state, event.phase):
                move = moved(self._job, state, clock.now(), event.message)
                await self._ledger.move(move, owner=owner)
                self._job = move.job
            await self._note("job.phase", event.message, {"phase": event.phase, "percent": percent})
        if begins or clock.monotonic() - self._stored_progress >= self._policy.progress_s:
            self._stored_progress = clock.monotonic()
            await self._ledger.call(store.progress, self._job.id, owner, event.phase, percent, event.eta_s)
            self._job = replace(self._job, phase=event.phase, percent=percent, eta_s=event.eta_s)

    async def _note(self, type: str, message: str, data: Mapping[str, Any]) -> None:
        await self._ledger.append(self._job.id, type, message, self._policy.owner, dict(data))

    async def _settle(self) -> None:
        """Write how it ended."""
        match self._why, self._said:
            case Stop.LOST, _:
                log.warning("job %s was lost", self._job.id, extra={"action": "lose_job", "job": self._job.id})
            case _, Finished() as said:
                told = {"version": said.version, "gate": dict(said.gate)}
                result = {"version": said.version, "metrics": said.metrics, "gate": said.gate, "recipe": said.recipe}
                await self._end(JobState.SUCCEEDED, said.headline, told, percent=100.0, **result)
            case Stop.CANCELLED, _:
                await self._end(JobState.CANCELLED, "cancelled; its trainer and all that this had started are gone")
            case Stop.EXCEEDED, _ if excess := self._hold.excess:
                await self._fail(EXCEEDED, str(excess), asdict(excess))
            case _, Failed() as said:
                await self._fail(said.code, said.message, said.details)
            case Stop.HANDED_BACK, _:
                message = "the service stops; the job goes on from its last finished phase when one starts"
                await self._end(JobState.QUEUED, message, attempt=self._job.attempt - 1)
            case Stop.SILENT, _:
                await self._crashed(f"the trainer said nothing for {self._policy.silence_s:g} s and was stopped")
            case _:
                await self._crashed("the trainer crashed")

    async def _crashed(self, how: str) -> None:
        details = {**self._crash, "attempt": self._job.attempt}
        crashes, now = crashes_in_a_row(self._job), self._ledger.clock.now()
        if crashes < self._policy.most_attempts:
            message = f"{how}; the job runs again"
            await self._write(tried_again(self._job, now, self._policy.pauses_s, message, details))
        else:
            message = f"{how}, {crashes} times in a row without finishing a further phase"
            await self._fail("trainer_crashed", message, details)

    async def _fail(self, code: str, message: str, details: Mapping[str, Any]) -> None:
        error = {"code": code, "message": message, "details": dict(details)}
        await self._end(JobState.FAILED, message, {"code": code}, error=error)

    async def _end(self, state: JobState, message: str, data: Mapping[str, Any] | None = None, **changes: Any) -> None:
        await self._write(moved(self._job, state, self._ledger.clock.now(), message, data=data, **changes))

    async def _write(self, move: Move) -> None:
        """Store the job's last move in this process, as soon as the store answers."""
        while self._why is not Stop.LOST:
            try:
                await self._ledger.move(move, owner=self._policy.owner)
            except NotReady as error:
                log.warning("the end of %s is not stored yet: %s", self._job.id, error)
                await self._ledger.clock.sleep(self._policy.heartbeat_s)
            except Conflict:
                self.stop(Stop.LOST)
            else:
                break
        else:
            log.warning("job %s was lost", self._job.id, extra={"action": "lose_job", "job": self._job.id})
            return
        state = move.job.state
        extra = {"action": "end_job", "job": self._job.id, "state": str(state)}
        log.info("job %s: %s", state, move.event.message, extra=extra)
        if state.terminal:
            await self._publication.discard()
            await self._ledger.call(self._trainer.discard, self._job.id)
