"""The ``Trainer`` port over a Ray cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from pathlib import Path

from service.adapters.trainers.ray.jobs import RayCluster, RayJobs, RayRefused, RayUnreachable
from service.adapters.trainers.ray.run import LOOK_EVERY_S, RayRun, held
from service.adapters.trainers.work_areas import KnownFeatures, WorkAreas
from service.application.ports import TrainerTask
from service.domain.errors import ModelFailed
from service.domain.work_area import take_turn_back, whose_turn

log = logging.getLogger(__name__)


class RayTrainer:
    """Trainers on whatever machine Ray finds free. The work area has the same path there."""

    def __init__(
        self,
        work_area: Path,
        cluster: RayCluster,
        *,
        orphan_limit_s: float = 60.0,
        known_features: KnownFeatures | None = None,
    ) -> None:
        """``orphan_limit_s``: how long a trainer whose turn is over may take to be gone, before that is an error."""
        self._areas = WorkAreas(work_area, known_features)
        self._cluster = cluster
        self._jobs = RayJobs(cluster)
        self._orphan_limit_s = orphan_limit_s

    async def warm_up(self) -> None:
        """Nothing is kept ready: a GPU that waits for a job is one that no other can have."""

    async def close(self) -> None:
        """Let go of the connections to Ray; trainers at work are their owners' to end."""
        await self._jobs.close()

    async def start(self, task: TrainerTask) -> RayRun:
        """As the port says. That Ray cannot be reached is nothing but a reason to wait."""
        await self.reap(task.job_id)
        try:
            directory = await asyncio.to_thread(self._areas.prepared, task)
        except OSError as error:
            raise ModelFailed(f"the trainer's work area cannot be written: {error}") from error
        return RayRun(self._jobs, self._cluster, directory, task.job_id)

    async def reap(self, job_id: str) -> None:
        """As the port says."""
        directory = self._areas.of(job_id)
        turn = await asyncio.to_thread(_taken_back, directory)
        if turn is not None:
            try:
                await self._jobs.stop(turn)
            except (RayUnreachable, RayRefused) as error:
                log.warning("Ray was not told that %s is not wanted any more: %s", turn, error)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._orphan_limit_s
        while await asyncio.to_thread(held, directory):
            if loop.time() > give_up:
                raise ModelFailed(f"the work area of {job_id} is held by a trainer that does not see its turn is over")
            await asyncio.sleep(LOOK_EVERY_S)

    def discard(self, job_id: str) -> None:
        """As the port says."""
        self._areas.discard(job_id)

    def left_behind(self) -> Collection[str]:
        """As the port says."""
        return self._areas.left_behind()


def _taken_back(directory: Path) -> str | None:
    turn = whose_turn(directory)
    take_turn_back(directory)
    return turn
