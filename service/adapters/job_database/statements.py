"""What several rooms of the database ask of it, inside a transaction of theirs."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, or_, select, update

from service.adapters.job_database.tables import as_dataset, as_job, datasets, event_row, events, jobs
from service.domain.dataset import Dataset
from service.domain.errors import Conflict, DatasetNotFound, JobNotFound
from service.domain.jobs import Job, JobEvent, JobState

ACTIVE = [str(state) for state in JobState if state.active]
ENDED = [str(state) for state in JobState if state.terminal]


def one_dataset(connection: Connection, dataset_id: str, *, lock: bool = False) -> Dataset | None:
    """The dataset, if it is there; with ``lock`` nobody deletes it before this transaction ends."""
    query = select(datasets).where(datasets.c.id == dataset_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return as_dataset(row) if row is not None else None


def found(dataset: Dataset | None, dataset_id: str) -> Dataset:
    """Raises: DatasetNotFound, it is not there."""
    if dataset is None:
        raise DatasetNotFound(f"there is no dataset {dataset_id}")
    return dataset


def one_job(connection: Connection, job_id: str) -> Job:
    """Raises: JobNotFound."""
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().first()
    if row is None:
        raise JobNotFound(f"there is no job {job_id}")
    return as_job(row)


def unheard(since: float) -> ColumnElement[bool]:
    """Of a job, that its owner was not heard of since then."""
    return or_(jobs.c.heartbeat.is_(None), jobs.c.heartbeat < since)


def append(connection: Connection, event: JobEvent, *conditions: ColumnElement[bool]) -> JobEvent:
    """Give the event its place in its job's history. The job's row counts them, so two writers cannot take one place.

    Raises:
        Conflict: the job does not meet the conditions.
    """
    counting: Any = update(jobs).where(jobs.c.id == event.job_id, *conditions).values(last_seq=jobs.c.last_seq + 1)
    seq = connection.execute(counting.returning(jobs.c.last_seq)).scalar()
    if seq is None:
        raise Conflict(f"job {event.job_id} is another owner's")
    row = event_row(event, seq)
    connection.execute(insert(events).values(row))
    return JobEvent(**row)
