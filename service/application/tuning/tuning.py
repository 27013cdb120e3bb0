"""Tuning as a whole: its parts put together, and the one request that needs two of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.application.ports import (
    Clock,
    DatasetChecker,
    DatasetFiles,
    JobStore,
    LiveModels,
    Trainer,
    TuningObserver,
)
from service.application.tuning.datasets import Datasets
from service.application.tuning.jobs import Jobs
from service.application.tuning.ledger import Ledger
from service.application.tuning.notices import Notices
from service.application.tuning.policy import TuningPolicy
from service.application.tuning.supervisor import Supervisor
from service.domain.dataset import TASK
from service.domain.jobs import Job, JobRequest


class Tuning:
    """What the doors and the composition root hold: ``datasets``, ``jobs``, and the loop that runs them."""

    def __init__(
        self,
        store: JobStore,
        trainer: Trainer,
        checker: DatasetChecker,
        files: DatasetFiles,
        models: LiveModels,
        observer: TuningObserver,
        clock: Clock,
        policy: TuningPolicy,
    ) -> None:
        self._notices = Notices()
        self._ledger = Ledger(store, self._notices, observer, clock)
        self.datasets = Datasets(self._ledger, checker, files, observer)
        self.jobs = Jobs(self._ledger, self.datasets, trainer, models, policy)
        self._supervisor = Supervisor(self._ledger, trainer, self.datasets, models, policy)
        self._at_work = asyncio.Lock()

    async def tune(
        self,
        file: Path,
        filename: str,
        head: str,
        base: str,
        format: str | None = None,
        options: Mapping[str, str] | None = None,
        recipe: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Accept an ``incoming`` file and queue a job on it: a request that cannot succeed is refused before the data
        is looked at, data that does not fit the base before it is kept.

        Raises:
            As ``Datasets.accept`` and ``Jobs.submit`` do.
        """
        recipe = {} if recipe is None else recipe
        manifest = self.jobs.base_for(head, base, recipe)
        options = {**_task_of(recipe), **(options or {})}
        dataset = await self.datasets.accept(file, filename, format, options, manifest.input)
        return await self.jobs.submit(JobRequest(head, base, dataset.id, recipe), idempotency_key)

    async def work(self) -> None:
        """Run jobs until closed: a task for the whole life of the service."""
        async with self._at_work:
            await self._supervisor.work()

    async def close(self) -> None:
        """Hand running jobs back to the queue, end all watching, and let go of the threads."""
        await self._supervisor.close()
        async with self._at_work:
            self._notices.close()
            await self._ledger.close()


def _task_of(recipe: Mapping[str, Any]) -> Mapping[str, str]:
    """The option that has data checked for what the recipe teaches, where it says so."""
    head = recipe.get("head")
    task = head.get(TASK) if isinstance(head, Mapping) else None
    return {TASK: task} if isinstance(task, str) else {}
