"""The job store over SQLAlchemy Core: one method a question, one transaction a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, insert, inspect, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from service.adapters.job_database.connection import opened, transaction
from service.adapters.job_database.tables import (
    METADATA,
    as_dataset,
    as_event,
    as_job,
    dataset_row,
    datasets,
    event_row,
    events,
    job_row,
    jobs,
    result_columns,
)
from service.domain.dataset import Dataset
from service.domain.errors import Conflict, DatasetNotFound, JobNotFound, NotReady
from service.domain.jobs import Job, JobEvent, JobState, Move

_ACTIVE = [str(state) for state in JobState if state.active]
_ENDED = [str(state) for state in JobState if state.terminal]


class UnusableDatabase(NotReady, OSError):
    """The database cannot be worked with as it is; the text says which one, and what to do. An ``OSError`` as well,
    because a service that is only starting cannot go on without what its disk should hold.
    """


class JobDatabase:
    """The ``JobStore`` port. Any method may be called from any thread."""

    def __init__(self, url: str) -> None:
        """Open the database and make the tables it lacks.

        Raises:
            InvalidInput: the URL is no database's.
            UnusableDatabase: it does not answer, is damaged, or is of another version of Graft.
        """
        self._engine = opened(url)
        try:
            with transaction(self._engine, writes=True) as connection:
                METADATA.create_all(connection)
                missing = _missing_columns(connection)
        except NotReady as error:
            raise _unusable(self._engine, str(error)) from error
        if missing:
            raise _unusable(self._engine, f"it is of another version of Graft and has no {', '.join(missing)}")

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    # --- datasets

    def add_dataset(self, dataset: Dataset) -> Dataset:
        """As the port says."""
        try:
            with transaction(self._engine, writes=True) as connection:
                known = _one_dataset(connection, dataset.id)
                if known is not None:
                    return known
                connection.execute(insert(datasets).values(dataset_row(dataset)))
                return dataset
        except IntegrityError:  # another writer's came between; SQLite's cannot
            return self.dataset(dataset.id)

    def replace_dataset(self, dataset: Dataset, lost_file: str) -> Dataset:
        """As the port says."""
        lost = (datasets.c.id == dataset.id, datasets.c.file == lost_file)
        with transaction(self._engine, writes=True) as connection:
            connection.execute(update(datasets).where(*lost).values(dataset_row(dataset)))
        return self.add_dataset(dataset)

    def dataset(self, dataset_id: str) -> Dataset:
        """As the port says."""
        with transaction(self._engine) as connection:
            return _found(_one_dataset(connection, dataset_id), dataset_id)

    def datasets(self) -> Sequence[Dataset]:
        """As the port says."""
        query = select(datasets).order_by(datasets.c.created.desc(), datasets.c.id.desc())
        with transaction(self._engine) as connection:
            return [as_dataset(row) for row in connection.execute(query).mappings()]

    def delete_dataset(self, dataset_id: str) -> Dataset:
        """As the port says."""
        needing = select(jobs.c.id).where(jobs.c.dataset == dataset_id, jobs.c.state.not_in(_ENDED)).limit(1)
        with transaction(self._engine, writes=True) as connection:
            dataset = _found(_one_dataset(connection, dataset_id, lock=True), dataset_id)
            job_id = connection.execute(needing).scalar()
            if job_id is not None:
                raise Conflict(f"dataset {dataset_id} is needed by job {job_id}")
            connection.execute(datasets.delete().where(datasets.c.id == dataset_id))
            return dataset

    # --- jobs

    def add_job(self, job: Job, event: JobEvent, idempotency_key: str | None) -> Job:
        """As the port says."""
        try:
            with transaction(self._engine, writes=True) as connection:
                earlier = _job_of_key(connection, idempotency_key)
                if earlier is None:
                    _found(_one_dataset(connection, job.request.dataset, lock=True), job.request.dataset)
                    connection.execute(insert(jobs).values(**job_row(job), idempotency_key=idempotency_key))
                    _append(connection, event)
                    return job
        except IntegrityError:  # another writer's came between, with the same key; SQLite's cannot
            earlier = self.job_of_key(idempotency_key or "")
            if earlier is None:
                raise
        if earlier.request != job.request:
            raise Conflict(f"the idempotency key was used before, for another request: that is job {earlier.id}")
        return earlier

    def job_of_key(self, idempotency_key: str) -> Job | None:
        """As the port says."""
        with transaction(self._engine) as connection:
            return _job_of_key(connection, idempotency_key)

    def job(self, job_id: str) -> Job:
        """As the port says."""
        with transaction(self._engine) as connection:
            return _one_job(connection, job_id)

    def jobs(self, state: JobState | None, head: str | None, after: str | None, limit: int) -> Sequence[Job]:
        """As the port says."""
        query = select(jobs).order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(jobs.c.state == str(state))
        if head is not None:
            query = query.where(jobs.c.head == head)
        with transaction(self._engine) as connection:
            if after is not None:
                last = _one_job(connection, after)
                query = query.where(tuple_(jobs.c.created, jobs.c.id) < (last.created, last.id))
            return [as_job(row) for row in connection.execute(query).mappings()]

    def events(self, job_id: str, after_seq: int, limit: int) -> Sequence[JobEvent]:
        """As the port says."""
        query = select(events).where(events.c.job_id == job_id, events.c.seq > after_seq)
        with transaction(self._engine) as connection:
            _one_job(connection, job_id)
            return [as_event(row) for row in connection.execute(query.order_by(events.c.seq).limit(limit)).mappings()]

    def last_seq(self, job_id: str) -> int:
        """As the port says."""
        with transaction(self._engine) as connection:
            seq = connection.execute(select(jobs.c.last_seq).where(jobs.c.id == job_id)).scalar()
        if seq is None:
            raise JobNotFound(f"there is no job {job_id}")
        return int(seq)

    def claim(self, owner: str, now: float) -> Job | None:
        """As the port says."""
        oldest = (
            select(jobs.c.id)
            .where(jobs.c.state == str(JobState.QUEUED), or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now))
            .order_by(jobs.c.created, jobs.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        taking = (
            update(jobs)
            .where(jobs.c.id == oldest.scalar_subquery(), jobs.c.state == str(JobState.QUEUED))
            .values(
                state=str(JobState.VALIDATING),
                owner=owner,
                heartbeat=now,
                started=func.coalesce(jobs.c.started, now),
                attempt=jobs.c.attempt + 1,
                not_before=None,
            )
            .returning(*jobs.c)
        )
        with transaction(self._engine, writes=True) as connection:
            row = connection.execute(taking).mappings().first()
            if row is None:
                return None
            job = as_job(row)
            data = {"from": str(JobState.QUEUED), "attempt": job.attempt}
            _append(connection, JobEvent(job.id, f"job.{job.state}", f"attempt {job.attempt} begins", now, data))
            return job

    def move(self, move: Move, *, owner: str | None = None, unheard_since: float | None = None) -> Job:
        """As the port says."""
        values = result_columns(move.job)
        if not move.job.state.active:
            values |= {"owner": None, "heartbeat": None}
        allowed = [jobs.c.id == move.job.id, jobs.c.state == str(move.before)]
        if owner is not None:
            allowed.append(jobs.c.owner == owner)
        if unheard_since is not None:
            allowed.append(_unheard(unheard_since))
        with transaction(self._engine, writes=True) as connection:
            row = connection.execute(update(jobs).where(*allowed).values(values).returning(*jobs.c)).mappings().first()
            if row is None:
                stored = _one_job(connection, move.job.id)
                raise Conflict(
                    f"job {stored.id} cannot go from {move.before} to {move.job.state}: "
                    f"it is {stored.state}{f', and at work in {stored.owner}' if stored.owner else ''}"
                )
            _append(connection, move.event)
            return as_job(row)

    def progress(self, job_id: str, owner: str, phase: str, percent: float, eta_s: float | None) -> None:
        """As the port says."""
        noting = update(jobs).where(jobs.c.id == job_id, jobs.c.owner == owner)
        with transaction(self._engine, writes=True) as connection:
            connection.execute(noting.values(phase=phase, percent=percent, eta_s=eta_s))

    def append(self, event: JobEvent, owner: str) -> JobEvent:
        """As the port says."""
        with transaction(self._engine, writes=True) as connection:
            return _append(connection, event, jobs.c.owner == owner)

    def beat(self, job_id: str, owner: str, now: float) -> Job | None:
        """As the port says."""
        beating = update(jobs).where(jobs.c.id == job_id, jobs.c.owner == owner).values(heartbeat=now)
        with transaction(self._engine, writes=True) as connection:
            row = connection.execute(beating.returning(*jobs.c)).mappings().first()
            return as_job(row) if row is not None else None

    def request_cancel(self, job_id: str, event: JobEvent) -> Job:
        """As the port says."""
        asking = (
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state.not_in(_ENDED), jobs.c.cancel_requested.is_(False))
            .values(cancel_requested=True)
        )
        with transaction(self._engine, writes=True) as connection:
            if connection.execute(asking).rowcount:
                _append(connection, event)
            return _one_job(connection, job_id)

    def counts(self) -> Mapping[JobState, int]:
        """As the port says."""
        query = select(jobs.c.state, func.count()).where(jobs.c.state.not_in(_ENDED)).group_by(jobs.c.state)
        with transaction(self._engine) as connection:
            return {JobState(state): count for state, count in connection.execute(query)}

    def lost(self, stale_before: float) -> Sequence[Job]:
        """As the port says."""
        query = select(jobs).where(jobs.c.state.in_(_ACTIVE), _unheard(stale_before)).order_by(jobs.c.created)
        with transaction(self._engine) as connection:
            return [as_job(row) for row in connection.execute(query).mappings()]


def _missing_columns(connection: Connection) -> Sequence[str]:
    looking = inspect(connection)
    return [
        f"{table.name}.{name}"
        for table in METADATA.sorted_tables
        for name in sorted({*table.columns.keys()} - {column["name"] for column in looking.get_columns(table.name)})
    ]


def _unusable(engine: Engine, why: str) -> UnusableDatabase:
    engine.dispose()
    place = engine.url.database if engine.dialect.name == "sqlite" else engine.url.render_as_string()
    advice = "restore it from a copy, or move it away to begin anew"
    return UnusableDatabase(f"the job database {place} cannot be used: {why}; {advice}")


def _one_dataset(connection: Connection, dataset_id: str, *, lock: bool = False) -> Dataset | None:
    query = select(datasets).where(datasets.c.id == dataset_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return as_dataset(row) if row is not None else None


def _found(dataset: Dataset | None, dataset_id: str) -> Dataset:
    if dataset is None:
        raise DatasetNotFound(f"there is no dataset {dataset_id}")
    return dataset


def _one_job(connection: Connection, job_id: str) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().first()
    if row is None:
        raise JobNotFound(f"there is no job {job_id}")
    return as_job(row)


def _job_of_key(connection: Connection, key: str | None) -> Job | None:
    if key is None:
        return None
    row = connection.execute(select(jobs).where(jobs.c.idempotency_key == key)).mappings().first()
    return as_job(row) if row is not None else None


def _unheard(since: float) -> ColumnElement[bool]:
    return or_(jobs.c.heartbeat.is_(None), jobs.c.heartbeat < since)


def _append(connection: Connection, event: JobEvent, *conditions: ColumnElement[bool]) -> JobEvent:
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
