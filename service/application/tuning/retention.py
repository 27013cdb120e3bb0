"""What is old enough is forgotten: ended jobs with their events, then datasets that nothing needs any more.

One rule says what is needed. A job is kept as long as the version that it made is there, however old it is, and a
dataset as long as there is a job that names it. So the history and the data of whatever is served stay.
"""

from __future__ import annotations

import logging

from service.application.ports import LiveModels, Trainer
from service.application.tuning.datasets import Datasets
from service.application.tuning.ledger import Ledger
from service.application.tuning.policy import TuningPolicy
from service.domain.jobs import Job

log = logging.getLogger(__name__)
PAGE = 200


class Retention:
    """Forgets now and then what the policy says. Any number of services may do so at once."""

    def __init__(
        self, ledger: Ledger, trainer: Trainer, datasets: Datasets, models: LiveModels, policy: TuningPolicy
    ) -> None:
        self._ledger = ledger
        self._trainer = trainer
        self._datasets = datasets
        self._models = models
        self._policy = policy
        self._looked = float("-inf")

    async def look(self) -> None:
        """Forget, if it is time to. Raises: NotReady, OSError; what was not forgotten then is so next time."""
        # As long as the repository was not read, every version would seem to be gone.
        if self._ledger.clock.monotonic() - self._looked < self._policy.sweep_s or not self._models.looked:
            return
        self._looked = self._ledger.clock.monotonic()
        jobs, datasets = await self._forget_jobs(), await self._forget_datasets()
        if jobs or datasets:
            extra = {"action": "forget", "jobs": jobs, "datasets": datasets}
            log.info("forgot %d jobs and %d datasets that were kept for long enough", jobs, datasets, extra=extra)

    async def _forget_jobs(self) -> int:
        if self._policy.keep_jobs_s is None:
            return 0
        store, forgotten = self._ledger.store, 0
        before, last = self._ledger.clock.now() - self._policy.keep_jobs_s, None
        while page := await self._ledger.call(store.ended_jobs, before, last, PAGE):
            old, last = [job.id for job in page if not self._made_what_is_there(job)], page[-1]
            forgotten += await self._ledger.call(store.forget_jobs, old)
            for id in old:
                await self._ledger.call(self._trainer.discard, id)
        return forgotten

    def _made_what_is_there(self, job: Job) -> bool:
        made = (listing.manifest.job_id for listing in self._models.listings(job.request.head) if listing.manifest)
        return job.version is not None and job.id in made

    async def _forget_datasets(self) -> int:
        if self._policy.keep_datasets_s is None:
            return 0
        before = self._ledger.clock.now() - self._policy.keep_datasets_s
        unused = await self._ledger.call(self._ledger.store.unused_datasets, before)
        return sum([await self._datasets.forget(dataset) for dataset in unused])
