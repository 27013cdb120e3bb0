"""The tables, and how domain values become rows of them and come back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
)
from sqlalchemy.engine import RowMapping

from service.domain.budget import Budget
from service.domain.dataset import Dataset, DatasetReport
from service.domain.jobs import Job, JobEvent, JobRequest, JobState


class Text(TypeDecorator[str]):
    """Text as every database can hold it: PostgreSQL knows no NUL, and none of them half a character."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """What is stored, and looked for."""
        return value and value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


METADATA = MetaData()
JSON_VALUE = JSON(none_as_null=True)

datasets = Table(
    "datasets",
    METADATA,
    Column("id", Text(64), primary_key=True),
    Column("report", JSON_VALUE, nullable=False),
    Column("filename", Text(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created", Double, nullable=False),
    Column("options", JSON_VALUE, nullable=False),
    Column("file", Text(255), nullable=False),
    Column("parent", String(64)),
)

jobs = Table(
    "jobs",
    METADATA,
    Column("id", Text(64), primary_key=True),
    Column("head", Text(64), nullable=False),
    Column("base", Text(255), nullable=False),
    Column("dataset", Text(64), nullable=False),  # no foreign key: an ended job outlives its dataset
    Column("asked_recipe", JSON_VALUE, nullable=False),
    Column("state", Text(16), nullable=False),
    Column("created", Double, nullable=False),
    Column("started", Double),
    Column("finished", Double),
    Column("phase", Text(64)),
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
    Column("owner", Text(255)),
    Column("heartbeat", Double),
    Column("last_seq", Integer, nullable=False),
    Column("idempotency_key", Text(255), unique=True),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("on_success", Text(32), nullable=False, server_default="promote"),
    Column("max_seconds", Double),
    Column("max_memory_mb", Double),
    Column("claimed", Double),
    Index("jobs_by_state", "state", "created", "id"),
    Index("jobs_by_age", "created", "id"),
    Index("jobs_by_head", "head", "created", "id"),
    Index("jobs_by_dataset", "dataset"),
    Index("jobs_by_turn", "head", "claimed"),
    Index("jobs_by_end", "finished"),
)

events = Table(
    "events",
    METADATA,
    Column("job_id", Text(64), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("type", Text(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("time", Double, nullable=False),
    Column("data", JSON_VALUE, nullable=False),
)

outbox = Table(
    "outbox",
    METADATA,
    Column("job_id", Text(64), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Double, nullable=False),
    Index("outbox_by_turn", "not_before"),
)

directions = Table(
    "directions",
    METADATA,
    Column("model", Text(255), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("value", JSON_VALUE, nullable=False),
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
        "parent": dataset.parent,
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
        "priority": job.request.priority,
        "on_success": job.request.on_success,
        "max_seconds": job.request.budget.max_seconds,
        "max_memory_mb": job.request.budget.max_memory_mb,
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
    request = JobRequest(
        values.pop("head"),
        values.pop("base"),
        values.pop("dataset"),
        values.pop("asked_recipe"),
        values.pop("priority"),
        Budget(values.pop("max_seconds"), values.pop("max_memory_mb")),
        values.pop("on_success"),
    )
    del values["last_seq"], values["idempotency_key"], values["claimed"]
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
