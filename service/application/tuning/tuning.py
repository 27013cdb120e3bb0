"""Tuning as a whole: its parts put together, and the one request that needs two of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.application.ports import (
    Clock,
    DatasetChecker,
    DatasetFiles,
    GoingLive,
    JobStore,
    LiveModels,
    SharedFiles,
    Trainer,
    TuningObserver,
    UploadStore,
    VersionPublisher,
)
from service.application.tuning.announcing import Announcements, Announcing
from service.application.tuning.datasets import Datasets
from service.application.tuning.estimates import Estimates
from service.application.tuning.in_place import PublishedInPlace
from service.application.tuning.jobs import Jobs, Ordered
from service.application.tuning.ledger import Ledger
from service.application.tuning.newest_answers import NewestAnswers
from service.application.tuning.notices import Notices
from service.application.tuning.policy import TuningPolicy
from service.application.tuning.provisional import AtOnce, Provisionals
from service.application.tuning.supervisor import Supervisor
from service.application.tuning.uploads import UploadPolicy, Uploads
from service.domain.dataset import TASK
from service.domain.errors import NotSupported
from service.domain.jobs import JobRequest


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
        uploads: UploadStore,
        upload_policy: UploadPolicy | None = None,
        shared: SharedFiles | None = None,
        publisher: VersionPublisher | None = None,
        announcements: Announcements | None = None,
        going_live: GoingLive | None = None,
        at_once: AtOnce | None = None,
    ) -> None:
        """Without a ``publisher``, trainers publish in the repository itself; without ``announcements`` nobody is told
        when a job ends; without ``going_live`` the newest version answers; without ``at_once`` nothing does before a
        job has ended.
        """
        self._notices = Notices()
        self._ledger = Ledger(store, self._notices, observer, clock)
        self.datasets = Datasets(self._ledger, checker, files, observer)
        self.uploads = Uploads(uploads, self.datasets, clock, upload_policy or UploadPolicy())
        self.jobs = Jobs(self._ledger, self.datasets, trainer, models, policy)
        self.estimates = Estimates(self._ledger, self.datasets, self.jobs)
        self._supervisor = Supervisor(
            self._ledger,
            trainer,
            self.datasets,
            models,
            publisher or PublishedInPlace(),
            going_live or NewestAnswers(),
            policy,
        )
        self._announcing = Announcing(self._ledger, announcements, policy.poll_s) if announcements else None
        self.provisionals = Provisionals(self._ledger, self.datasets, models, at_once) if at_once else None
        self._poll_s = policy.poll_s
        self._shared = shared
        self._at_work = asyncio.Lock()

    async def tune(
        self,
        file: Path,
        filename: str,
        request: JobRequest,
        format: str | None = None,
        options: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        *,
        require_new: bool = False,
        provisional: bool = False,
    ) -> Ordered:
        """Accept an ``incoming`` file, the request's dataset from then on, and order a job: a request that cannot
        succeed is refused before the data is looked at, data that does not fit the base before it is kept. With
        ``provisional`` a head answers at once, made of what the check of the data has decoded.

        Raises:
            NotSupported: nothing can answer at once here.
            As ``Datasets.accept`` and ``Jobs.order`` do.
        """
        manifest = self.jobs.base_for(request)
        options = {**_task_of(request.recipe), **(options or {})}
        async with AsyncExitStack() as stack:
            provisionals = self._at_once if provisional else None
            sample = await stack.enter_async_context(provisionals.wished(manifest)) if provisionals else None
            dataset = await self.datasets.accept(file, filename, format, options, manifest.input, sample)
            asked = replace(request, dataset=dataset.id)
            ordered = await self.jobs.order(asked, idempotency_key, require_new=require_new)
            if provisionals is None or sample is None or ordered.reused:
                return ordered
            return replace(ordered, provisional=await provisionals.made(ordered.job, manifest, sample))

    async def order(
        self,
        request: JobRequest,
        idempotency_key: str | None = None,
        *,
        require_new: bool = False,
        provisional: bool = False,
    ) -> Ordered:
        """As ``Jobs.order``; with ``provisional`` a head answers at once, for which the data is looked at once more.

        Raises:
            NotSupported: nothing can answer at once here.
            As ``Jobs.order`` does.
        """
        provisionals = self._at_once if provisional else None
        ordered = await self.jobs.order(request, idempotency_key, require_new=require_new)
        if provisionals is None or ordered.reused:
            return ordered
        return replace(ordered, provisional=await provisionals.sampled(ordered.job, self.jobs.base(request.base)))

    @property
    def _at_once(self) -> Provisionals:
        if self.provisionals is None:
            raise NotSupported("this server keeps no provisional heads")
        return self.provisionals

    async def fetch(self, reference: str, into: Path, most_bytes: int) -> None:
        """Copy a file of the shared store into an ``incoming`` file.

        Raises:
            NotSupported: there is no shared store.
            As ``SharedFiles.copy`` does.
        """
        if self._shared is None:
            raise NotSupported("this server was given no --dataset-root, so that there is nothing to refer to")
        left = threading.Event()
        try:
            await asyncio.to_thread(self._shared.copy, reference, into, most_bytes, lambda: not left.is_set())
        finally:
            left.set()

    async def work(self) -> None:
        """Run jobs until closed: a task for the whole life of the service."""
        async with self._at_work, asyncio.TaskGroup() as beside:
            others = [beside.create_task(self.uploads.tend())]
            if self._announcing is not None:
                others.append(beside.create_task(self._announcing.work()))
            if self.provisionals is not None:
                others.append(beside.create_task(self.provisionals.tend(self._poll_s)))
            try:
                await self._supervisor.work()
            finally:
                for task in others:
                    task.cancel()

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
