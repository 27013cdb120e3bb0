"""What the tuning API answers, as JSON: the shapes, their documentation, and the way from domain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from service.application.tuning.provisional import Provisional
from service.domain.dataset import Dataset
from service.domain.jobs import Job, JobEvent

Time = Annotated[str, Field(description="ISO 8601, UTC", examples=["2026-01-31T09:30:00.123Z"])]


class DatasetAnswer(BaseModel):
    """A dataset: labelled data, immutable, named by its content."""

    id: str
    filename: str = Field(description="What the upload was called")
    size_bytes: int
    created: Time
    format: str | None
    kind: str | None = Field(description="What one item is: image or vector")
    items: int
    classes: dict[str, int] = Field(description="Items of each class, in the order of the labels")
    shape: list[int] | None = Field(description="Shape of one item; null for images, which are fitted to the base")
    columns: list[str]
    options: dict[str, str]
    parent: str | None = Field(description="The dataset that it has all items of, and more")


class CheckedDatasetAnswer(DatasetAnswer):
    """A dataset with all that its check found."""

    report: dict[str, Any]


class DatasetsAnswer(BaseModel):
    """All datasets, newest first."""

    datasets: list[DatasetAnswer]


class ProvisionalAnswer(BaseModel):
    """What came of the wish for a head that answers at once."""

    version: int | None = Field(description="0: it answers; null: it does not")
    problem: str | None = Field(description="Why it does not. The job goes on all the same")
    items: int = Field(description="It is made of so many")
    accuracy: float | None = Field(description="The share of these it is right about, each left out in turn")


class JobAnswer(BaseModel):
    """A tuning job: one flat object."""

    id: str
    head: str
    base: str
    dataset: str
    state: str = Field(description="queued, validating, running, evaluating, publishing, succeeded, failed, cancelled")
    phase: str | None = Field(description="What the trainer is at")
    percent: float
    eta_s: float | None
    version: int | None = Field(description="The published version; null in a succeeded job whose gate refused it")
    metrics: dict[str, Any] | None
    gate: dict[str, Any] | None
    recipe: dict[str, Any] | None = Field(description="As asked for, until the trainer has resolved every auto in it")
    error: dict[str, Any] | None = Field(description="code, message and details of a failed job")
    priority: int
    on_success: str
    budget: dict[str, float] = Field(description="The bounds it was given: max_seconds, max_memory_mb")
    queue_position: int | None = Field(
        description="Of a queued job: from 1, which claim from now will be its; else null"
    )
    reused: bool = Field(description="In the answer to a request: it was made before, and nothing is trained anew")
    provisional: ProvisionalAnswer | None = Field(
        default=None, description="In the answer to a request that asked for a provisional head"
    )
    attempt: int
    crashes: int = Field(description="Crashes in a row, without a further phase finished between them")
    not_before: Time | None = Field(description="When a job that crashed and waits in the queue may run again")
    cancel_requested: bool
    created: Time
    started: Time | None
    finished: Time | None


class JobsAnswer(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[JobAnswer]
    next_page_token: str | None = Field(description="For the page of older jobs; null on the last page")


class EventAnswer(BaseModel):
    """One line of a job's history."""

    seq: int = Field(description="Grows by one within a job")
    type: str
    message: str
    time: Time
    data: dict[str, Any]


class EventsAnswer(BaseModel):
    """A page of a job's history, oldest first."""

    events: list[EventAnswer]
    next: int = Field(description="Give it as `after` for what comes after this page")


def dataset_answer(dataset: Dataset) -> DatasetAnswer:
    """A dataset without its report."""
    return DatasetAnswer(**_dataset_fields(dataset))


def checked_dataset_answer(dataset: Dataset) -> CheckedDatasetAnswer:
    """A dataset with its report."""
    return CheckedDatasetAnswer(**_dataset_fields(dataset), report=dataset.report.to_dict())


def job_answer(job: Job, place: int | None = None, *, reused: bool = False) -> JobAnswer:
    """A job as its operators see it, at its place in the queue."""
    return JobAnswer(
        id=job.id,
        head=job.request.head,
        base=job.request.base,
        dataset=job.request.dataset,
        state=str(job.state),
        phase=job.phase,
        percent=round(job.percent, 2),
        eta_s=job.eta_s,
        version=job.version,
        metrics=_plain(job.metrics),
        gate=_plain(job.gate),
        recipe=_plain(job.request.recipe if job.recipe is None else job.recipe),
        error=_plain(job.error),
        priority=job.request.priority,
        on_success=job.request.on_success,
        budget={bound: most for bound, most in asdict(job.request.budget).items() if most is not None},
        queue_position=place,
        reused=reused,
        attempt=job.attempt,
        crashes=job.crashes,
        not_before=time_answer(job.not_before) if job.not_before is not None else None,
        cancel_requested=job.cancel_requested,
        created=time_answer(job.created),
        started=time_answer(job.started) if job.started is not None else None,
        finished=time_answer(job.finished) if job.finished is not None else None,
    )


def provisional_answer(found: Provisional | None) -> ProvisionalAnswer | None:
    """What came of a wish for a head at once, if there was one."""
    if found is None:
        return None
    version = 0 if found.problem is None else None
    return ProvisionalAnswer(version=version, problem=found.problem, items=found.items, accuracy=found.accuracy)


def event_answer(event: JobEvent) -> EventAnswer:
    """An event as its readers see it."""
    return EventAnswer(
        seq=event.seq, type=event.type, message=event.message, time=time_answer(event.time), data=dict(event.data)
    )


def _dataset_fields(dataset: Dataset) -> dict[str, Any]:
    report = dataset.report
    return {
        "id": dataset.id,
        "filename": dataset.filename,
        "size_bytes": dataset.size_bytes,
        "created": time_answer(dataset.created),
        "format": report.format,
        "kind": report.kind,
        "items": report.items,
        "classes": dict(report.classes),
        "shape": list(report.shape) if report.shape is not None else None,
        "columns": list(report.columns),
        "options": dict(dataset.options),
        "parent": dataset.parent,
    }


def time_answer(seconds: float) -> str:
    """Seconds since the epoch, as answers have them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(mapping: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if mapping is None else dict(mapping)
