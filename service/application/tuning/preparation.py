"""What one job's trainer is given, as soon as all of it can be had."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from service.application.ports import LiveModels, TrainerTask
from service.application.tuning.datasets import Datasets
from service.application.tuning.ledger import Ledger
from service.application.tuning.policy import TuningPolicy
from service.application.tuning.publication import Publication
from service.domain.dataset import Dataset
from service.domain.errors import DatasetNotFound, NotReady
from service.domain.jobs import Job
from service.domain.progress import Failed

log = logging.getLogger(__name__)


class Preparation:
    """One job's."""

    def __init__(
        self,
        job: Job,
        ledger: Ledger,
        datasets: Datasets,
        models: LiveModels,
        publication: Publication,
        policy: TuningPolicy,
    ) -> None:
        self._job, self._ledger, self._datasets, self._models = job, ledger, datasets, models
        self._publication, self._policy = publication, policy

    async def task(self) -> TrainerTask | Failed:
        """All of it, or why there is no use in a trainer."""
        asked, models, clock = self._job.request, self._models, self._ledger.clock
        give_up = clock.monotonic() + self._policy.base_wait_s
        while (base := models.live_listing(asked.base)) is None:
            if clock.monotonic() >= give_up:
                return Failed("base_not_live", f"the base {asked.base} does not answer any more")
            await clock.sleep(min(self._policy.poll_s, self._policy.base_wait_s))
        try:
            dataset = await self._datasets.get(asked.dataset)
        except DatasetNotFound as error:
            return Failed("dataset_not_found", str(error))
        current = models.live_listing(asked.head)
        file = await self._file(dataset)
        outbox = await self._publication.prepared()
        return TrainerTask(
            job_id=self._job.id,
            head=asked.head,
            base_model=asked.base,
            base_version=base.id.version,
            base_directory=base.directory,
            dataset_file=file,
            dataset=dataset,
            repository=self._policy.repository,
            recipe=asked.recipe,
            current=current.directory if current else None,
            outbox=outbox,
        )

    async def _file(self, dataset: Dataset) -> Path:
        """Where the data lies, as soon as it can be had."""
        while True:
            try:
                return await asyncio.to_thread(self._datasets.file, dataset)
            except NotReady as error:
                log.warning("the data of %s is not here yet: %s", self._job.id, error)
                await self._ledger.clock.sleep(self._policy.heartbeat_s)
