"""Training that is not needed: what is asked for was made before, of exactly the same, and is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from service.application.ports import LiveModels
from service.application.tuning.ledger import Ledger
from service.domain.jobs import Job, JobRequest

MOST_COMPARED = 50
"""At how many earlier jobs of the same head, base and data it is looked, newest first."""


async def made_already(ledger: Ledger, models: LiveModels, request: JobRequest, base_digest: str) -> Job | None:
    """The job that made a version of the same data on the same base by the same recipe, as it was asked for then or as
    it was resolved; the seed is part of that. The version has to be there, and to say so itself.
    """
    wanted = _canonical(request.recipe)
    alike = await ledger.call(ledger.store.made_of, request.head, request.base, request.dataset, MOST_COMPARED)
    for job in alike:
        recipes = [recipe for recipe in (job.request.recipe, job.recipe) if recipe is not None]
        if wanted in map(_canonical, recipes) and _is_there(models, job, base_digest):
            return job
    return None


def _is_there(models: LiveModels, job: Job, base_digest: str) -> bool:
    there = (listing.manifest for listing in models.listings(job.request.head))
    return any(found and found.job_id == job.id and found.base and found.base.digest == base_digest for found in there)


def _canonical(recipe: Mapping[str, Any]) -> str:
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"))
