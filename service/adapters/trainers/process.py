"""A trainer as a child process: ``training job WORKDIR``, told by a file, telling by its standard output.

Promises that a trainer and everything it started is gone before it is called ended, and that a second one for the same
job begins only after the first is gone, also when that was another service's which was killed. The child holds a lock
on its work directory, and ends when its standard input does, which is when the service ends, however it ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from service.adapters.trainers import groups
from service.adapters.trainers.run import ProcessRun
from service.adapters.trainers.spares import Spares
from service.adapters.trainers.work_areas import KnownFeatures, WorkAreas
from service.application.ports import TrainerTask
from service.domain.errors import ModelFailed
from service.domain.work_area import LOCK, LOG, holder

ON_STDIN = "-"
"""In place of a work directory: it will be told on standard input."""


class ProcessTrainer:
    """The ``Trainer`` port on one machine."""

    def __init__(
        self,
        work_area: Path,
        command: Sequence[str] = (sys.executable, "-m", "training"),
        *,
        orphan_grace_s: float = 5.0,
        orphan_limit_s: float = 30.0,
        spares: int = 0,
        known_features: KnownFeatures | None = None,
    ) -> None:
        """``orphan_grace_s``: how long the trainer of a killed service may take to end by itself; ``orphan_limit_s``:
        after how long one that cannot be identified is an error; ``spares``: how many trainers are kept ready;
        ``known_features``: where jobs keep what a base made of their items, for the next ones.
        """
        self._areas = WorkAreas(work_area, known_features)
        self._spares = Spares([*command, "job", ON_STDIN], spares)
        self._refills: set[asyncio.Task[None]] = set()
        self._command = tuple(command)
        self._orphan_grace_s = orphan_grace_s
        self._orphan_limit_s = orphan_limit_s

    async def warm_up(self) -> None:
        """Start the trainers that are kept ready."""
        await self._spares.fill()

    async def close(self) -> None:
        """End the trainers that are kept ready; those at work are their owners' to end."""
        for refill in self._refills:
            refill.cancel()
        await self._spares.close()

    async def start(self, task: TrainerTask) -> ProcessRun:
        """As the port says."""
        await self.reap(task.job_id)
        starting = asyncio.create_task(self._start(task))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            run = await starting
            await run.stop(0)
            raise

    async def reap(self, job_id: str) -> None:
        """As the port says."""
        directory = self._areas.of(job_id)
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (group := holder(directory / LOCK)) is not None:
            waited = loop.time() - began
            if waited > self._orphan_grace_s and _is_ours(group, directory):
                await groups.end(group)
            elif waited > self._orphan_limit_s:
                raise ModelFailed(f"the work area of {job_id} is held by a process that cannot be identified")
            await asyncio.sleep(groups.LOOK_EVERY_S)

    def discard(self, job_id: str) -> None:
        """As the port says."""
        self._areas.discard(job_id)

    def left_behind(self) -> Collection[str]:
        """As the port says."""
        return self._areas.left_behind()

    async def _start(self, task: TrainerTask) -> ProcessRun:
        try:
            directory = await asyncio.to_thread(self._areas.prepared, task)
            run = self._ready_one(directory)
            if run is None:
                run = await ProcessRun.started([*self._command, "job", str(directory)], directory / LOG)
        except OSError as error:
            raise ModelFailed(f"the trainer cannot be started: {error}") from error
        refill = asyncio.create_task(self._refill_after(run))
        self._refills.add(refill)
        refill.add_done_callback(self._refills.discard)
        return run

    def _ready_one(self, directory: Path) -> ProcessRun | None:
        while (run := self._spares.take()) is not None:
            try:
                run.begin(directory, directory / LOG)
            except BrokenPipeError:
                continue  # it has just ended; nothing was begun
            return run
        return None

    async def _refill_after(self, run: ProcessRun) -> None:
        # Not at once: what the next job gains then, this one would lose, for they would share the cores.
        await run.ended()
        await self._spares.fill()


def _is_ours(group: int, directory: Path) -> bool:
    """Whether the group is a trainer's of this work directory: a number alone might be anybody's by now."""
    return group > 1 and any(groups.has_open(member.pid, directory / LOCK) for member in groups.members(group))
