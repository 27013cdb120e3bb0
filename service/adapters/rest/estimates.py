"""``POST /v1/jobs:estimate``: what a job would take, and whether it would be accepted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from service.adapters.rest.connection import small_body
from service.adapters.rest.orders import JobOrder, read_order
from service.application.tuning import Tuning
from service.domain.errors import InvalidDataset, ServiceError, code_of
from service.domain.estimates import Estimate


class SecondsAnswer(BaseModel):
    """From the trainer's start to its end."""

    low: float | None
    high: float | None


class JobsAheadAnswer(BaseModel):
    """Jobs that are there already."""

    queued: int
    running: int


class EstimateAnswer(BaseModel):
    """What is known of a job that was not asked for yet."""

    allowed: bool = Field(description="Whether it would be accepted as things are now")
    reasons: list[dict[str, Any]] = Field(description="All that stands against it, each as an error would say it")
    items: int | None = Field(description="Of the dataset, if there is one")
    seconds: SecondsAnswer = Field(description="From the trainer's start to its end; null where nothing is known")
    basis: str = Field(description="Where the seconds come from: earlier_jobs or unknown")
    basis_jobs: list[str] = Field(description="The jobs they come from")
    queue_position: int = Field(description="At the latest, among the jobs that wait; 1 is the next")
    jobs_ahead: JobsAheadAnswer
    cached_features_pct: float | None = Field(description="Items whose features are there already; null if not known")


def estimates_router(tuning: Tuning, largest_order: int) -> APIRouter:
    """The route. ``largest_order`` bounds its body, in bytes."""
    router = APIRouter(prefix="/v1", tags=["jobs"])
    content = {"application/json": {"schema": JobOrder.model_json_schema()}}
    order = {"requestBody": {"required": True, "content": content}}

    @router.post("/jobs:estimate", openapi_extra=order, summary="Say what a job would take")
    async def estimate(request: Request) -> EstimateAnswer:
        """What a job would take, judged by earlier ones, and whether it would be accepted. Nothing is started."""
        asked = read_order(JobOrder, await small_body(request, largest_order)).request()
        return estimate_answer(await tuning.estimates.of(asked))

    return router


def estimate_answer(estimate: Estimate) -> EstimateAnswer:
    """An estimate as its reader sees it."""
    seconds = estimate.seconds
    return EstimateAnswer(
        allowed=not estimate.refusals,
        reasons=[_reason(error) for error in estimate.refusals],
        items=estimate.items,
        seconds=SecondsAnswer(
            low=round(seconds.low, 1) if seconds else None, high=round(seconds.high, 1) if seconds else None
        ),
        basis="earlier_jobs" if seconds else "unknown",
        basis_jobs=list(seconds.of) if seconds else [],
        queue_position=estimate.queue_position,
        jobs_ahead=JobsAheadAnswer(queued=estimate.queued, running=estimate.running),
        cached_features_pct=None,
    )


def _reason(error: ServiceError) -> dict[str, Any]:
    faults = {"details": [asdict(fault) for fault in error.faults]} if isinstance(error, InvalidDataset) else {}
    return {"code": code_of(error), "message": str(error), **faults}
