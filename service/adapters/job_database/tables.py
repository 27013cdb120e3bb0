"""The tables, and how domain values become rows of them and come back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, MetaData, String, Table
from sqlalchemy.engine import RowMapping

from service.domain.dataset import Dataset, DatasetReport
from service.domain.jobs import Job, JobEvent, JobRequest, JobState

METADATA = MetaData()
JSON_VALUE = JSON(none_as_null=True)

datasets = Table(
    "datasets",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("report", JSON_VALUE, nullable=False),
    Column("filename", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
    Column("options", JSON_VALUE, nullable=False),
    Column("file", String(255), nullable=False),
)

jobs = Table(
    "jobs",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("head", String(64), nullable=False),
    Column("base", String(255), nullable=False),
    Column("dataset", String(64), nullable=False),  # no foreign key: an ended job outlives its dataset
    Column("asked_recipe", JSON_VALUE, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Double, nullable=False),
    Column("started", Double),
    Column("finished", Double),
    Column("phase", String(64)),
    Column("percent", Double, nullable=False),
    Column("eta_s", Double),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("reached", Integer, nullable=False),
    Column("not_before", Double),
    Column("cancel_requested", Boolean, nullable=False),
    Column("version", Integer),
    Column("metrics", JSON_VALUE),
    Column("gate", JSON_VALUE),
    Column("recipe", JSON_VALUE),
    Column("error", JSON_VALUE),
    Column("owner", String(255)),
    Column("heartbeat", Double),
    Column("last_seq", Integer, nullable=False),
    Column("idempotency_key", String(255), unique=True),
    Index("jobs_by_state", "state", "created", "id"),
    Index("jobs_by_age", "created", "id"),
    Index("jobs_by_head", "head", "created", "id"),
    Index("jobs_by_dataset", "dataset"),
)

events = Table(
    "events",
    METADATA,
    Column("job_id", String(64), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("type", String(64), nullable=False),
    Column("message", String, nullable=False),
    Column("time", Double, nullable=False),
    Column("data", JSON_VALUE, nullable=False),
)


def dataset_row(dataset: Dataset) -> dict[str, Any]:
    """A dataset as a row."""
    return {
        "id": dataset.id,
        "report": dataset.report.to_dict(),
        "filename": dataset.filename,
        "size_bytes": dataset.size_bytes,
        "created": dataset.created,
        "options": dict(dataset.options),
        "file": dataset.file,
    }


def as_dataset(row: RowMapping) -> Dataset:
    """A row as a dataset."""
    return Dataset(**{**row, "report": DatasetReport.from_dict(row["report"])})


def result_columns(job: Job) -> dict[str, Any]:
    """What a move writes. Who owns the job, and whether a cancel was asked for, others decide meanwhile."""
    return {
        "state": str(job.state),
        "finished": job.finished,
        "phase": job.phase,
        "percent": job.percent,
        "eta_s": job.eta_s,
        "attempt": job.attempt,
        "crashes": job.crashes,
        "reached": job.reached,
        "not_before": job.not_before,
        "version": job.version,
        "metrics": _plain(job.metrics),
        "gate": _plain(job.gate),
        "recipe": _plain(job.recipe),
        "error": _plain(job.error),
    }


def job_row(job: Job) -> dict[str, Any]:
    """A job as a row, without an event."""
    return {
        **result_columns(job),
        "id": job.id,
        "head": job.request.head,
        "base": job.request.base,
        "dataset": job.request.dataset,
        "asked_recipe": dict(job.request.recipe),
        "created": job.created,
        "started": job.started,
        "cancel_requested": job.cancel_requested,
        "owner": job.owner,
        "heartbeat": job.heartbeat,
        "last_seq": 0,
    }


def as_job(row: RowMapping) -> Job:
    """A row as a job."""
    values = dict(row)
    request = JobRequest(values.pop("head"), values.pop("base"), values.pop("dataset"), values.pop("asked_recipe"))
    del values["last_seq"], values["idempotency_key"]
    return Job(**{**values, "request": request, "state": JobState(values["state"])})


def event_row(event: JobEvent, seq: int) -> dict[str, Any]:
    """An event as a row, in its place."""
    return {
        "job_id": event.job_id,
        "seq": seq,
        "type": event.type,
        "message": event.message,
        "time": event.time,
        "data": dict(event.data),
    }


def as_event(row: RowMapping) -> JobEvent:
    """A row as an event."""
    return JobEvent(**row)


def _plain(mapping: Any) -> dict[str, Any] | None:
    return None if mapping is None else dict(mapping)
