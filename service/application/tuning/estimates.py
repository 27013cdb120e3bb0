"""What a job would take and whether it would be accepted, said before it is asked for. Starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.application.tuning.datasets import Datasets
from service.application.tuning.jobs import MOST_LISTED, Jobs
from service.application.tuning.ledger import Ledger
from service.domain.dataset import Dataset, misfits
from service.domain.errors import DatasetNotFound, InvalidDataset, ServiceError
from service.domain.estimates import Estimate, Precedent, expected_seconds, phase_seconds
from service.domain.jobs import Job, JobRequest, JobState

_LOOKED_AT = 20
"""So many of the newest jobs on the same base are precedents."""
_NO_MATTER = frozenset({"seed", "gate", "publish"})
"""Parts of a recipe that do not change what training takes."""


class Estimates:
    """Judges requests by what is stored of earlier jobs."""

    def __init__(self, ledger: Ledger, datasets: Datasets, jobs: Jobs) -> None:
        self._ledger = ledger
        self._datasets = datasets
        self._jobs = jobs

    async def of(self, request: JobRequest) -> Estimate:
        """What is known of such a job now.

        Raises:
            NotReady: the store does not answer.
        """
        refusals, dataset = await self._refusals(request)
        counts = await self._ledger.call(self._ledger.store.counts)
        queued = counts.get(JobState.QUEUED, 0)
        items = dataset.report.items if dataset else None
        seconds = None if items is None else expected_seconds(items, await self._precedents(request))
        return Estimate(refusals, items, seconds, queued, sum(counts.values()) - queued)

    async def _refusals(self, request: JobRequest) -> tuple[list[ServiceError], Dataset | None]:
        refusals: list[ServiceError] = []
        manifest = dataset = None
        try:
            manifest = self._jobs.base_for(request)
        except ServiceError as error:
            refusals.append(error)
        try:
            dataset = await self._datasets.get(request.dataset)
        except DatasetNotFound as error:
            refusals.append(error)
        if manifest and dataset and (faults := misfits(dataset.report, manifest.input)):
            refusals.append(InvalidDataset(faults))
        return refusals, dataset

    async def _precedents(self, request: JobRequest) -> list[Precedent]:
        store = self._ledger.store
        newest = await self._ledger.call(store.jobs, JobState.SUCCEEDED, None, None, MOST_LISTED)
        on_base = [job for job in newest if job.request.base == request.base][:_LOOKED_AT]
        found = [await self._ledger.call(self._precedent, job, request) for job in on_base]
        return [one for one in found if one is not None]

    def _precedent(self, job: Job, request: JobRequest) -> Precedent | None:
        """None where it tells nothing: its data was deleted since, or it was interrupted. Blocks."""
        try:
            items = self._ledger.store.dataset(job.request.dataset).report.items
        except DatasetNotFound:
            return None
        seconds = phase_seconds(self._ledger.store.events(job.id, 0, MOST_LISTED))
        alike = _matters(job.request.recipe) == _matters(request.recipe)
        return None if seconds is None else Precedent(job.id, items, seconds, alike)


def _matters(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in recipe.items() if name not in _NO_MATTER}
