"""What the tuning API takes and answers, as JSON: the shapes, their documentation, and the way from domain values."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.domain.dataset import Dataset
from service.domain.errors import InvalidInput
from service.domain.jobs import Job, JobEvent, JobRequest

Time = Annotated[str, Field(description="ISO 8601, UTC", examples=["2026-01-31T09:30:00.123Z"])]


class JobOrder(BaseModel):
    """What to tune: a new version of a head, on a base, from a dataset."""

    model_config = ConfigDict(extra="forbid", strict=True)

    head: str = Field(description="The head's name; a new one, or one to be given a next version")
    base: str = Field(description="The base it grows on; its newest live version is taken")
    dataset: str = Field(description="A dataset's id")
    recipe: dict[str, Any] = Field(default_factory=dict, description="How to tune; what is left out is chosen by data")

    @classmethod
    def read(cls, body: bytes) -> JobRequest:
        """Raises: InvalidInput, naming every key that is wrong, and the one that may have been meant."""
        raw = read_json(body, "the body")
        if not isinstance(raw, dict):
            raise InvalidInput("the body has to be a JSON object")
        if unknown := [key for key in raw if key not in cls.model_fields]:
            raise InvalidInput("; ".join(_unknown(key, cls.model_fields) for key in unknown[:10]))
        try:
            order = cls.model_validate(raw)
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
            raise InvalidInput(f"the body cannot be used: {'; '.join(wrong)}") from error
        return JobRequest(order.head, order.base, order.dataset, order.recipe)


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


class CheckedDatasetAnswer(DatasetAnswer):
    """A dataset with all that its check found."""

    report: dict[str, Any]


class DatasetsAnswer(BaseModel):
    """All datasets, newest first."""

    datasets: list[DatasetAnswer]


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


def read_json(text: bytes | str, what: str) -> Any:
    """Raises: InvalidInput, it is not JSON as the standard has it."""
    try:
        return json.loads(text, parse_constant=_refused_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from error


def dataset_answer(dataset: Dataset) -> DatasetAnswer:
    """A dataset without its report."""
    return DatasetAnswer(**_dataset_fields(dataset))


def checked_dataset_answer(dataset: Dataset) -> CheckedDatasetAnswer:
    """A dataset with its report."""
    return CheckedDatasetAnswer(**_dataset_fields(dataset), report=dataset.report.to_dict())


def job_answer(job: Job) -> JobAnswer:
    """A job as its operators see it."""
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
        attempt=job.attempt,
        crashes=job.crashes,
        not_before=_time(job.not_before) if job.not_before is not None else None,
        cancel_requested=job.cancel_requested,
        created=_time(job.created),
        started=_time(job.started) if job.started is not None else None,
        finished=_time(job.finished) if job.finished is not None else None,
    )


def event_answer(event: JobEvent) -> EventAnswer:
    """An event as its readers see it."""
    return EventAnswer(
        seq=event.seq, type=event.type, message=event.message, time=_time(event.time), data=dict(event.data)
    )


def _dataset_fields(dataset: Dataset) -> dict[str, Any]:
    report = dataset.report
    return {
        "id": dataset.id,
        "filename": dataset.filename,
        "size_bytes": dataset.size_bytes,
        "created": _time(dataset.created),
        "format": report.format,
        "kind": report.kind,
        "items": report.items,
        "classes": dict(report.classes),
        "shape": list(report.shape) if report.shape is not None else None,
        "columns": list(report.columns),
        "options": dict(dataset.options),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(mapping: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if mapping is None else dict(mapping)


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key[:80], list(known), 1)
    return f"unknown key {key[:80]!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def _refused_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
