"""The job store over SQLAlchemy Core: one method a question, one transaction a method."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from service.adapters.job_database.connection import opened, transaction
from service.adapters.job_database.dataset_rows import DatasetRows
from service.adapters.job_database.direction_rows import DirectionRows
from service.adapters.job_database.outbox_rows import OutboxRows, put
from service.adapters.job_database.queue_rows import QueueRows
from service.adapters.job_database.schema import brought_up_to_date
from service.adapters.job_database.statements import ENDED, append, found, one_dataset, one_job, unheard
from service.adapters.job_database.tables import (
    as_event,
    as_job,
    events,
    job_row,
    jobs,
    result_columns,
)
from service.domain.errors import Conflict, JobNotFound, NotReady
from service.domain.jobs import Job, JobEvent, JobState, Move


class UnusableDatabase(NotReady, OSError):
    """The database cannot be worked with as it is; the text says which one, and what to do. An ``OSError`` as well,
    because a service that is only starting cannot go on without what its disk should hold.
    """


class JobDatabase(DatasetRows, QueueRows, OutboxRows, DirectionRows):
    """The ``JobStore``, ``Outbox`` and ``DirectionStore`` ports. Any method may be called from any thread."""

    def __init__(self, url: str, *, announces: bool = False) -> None:
        """Open the database, and bring its tables up to date. ``announces`` puts the ends of jobs into the outbox.

        Raises:
            InvalidInput: the URL is no database's.
            UnusableDatabase: it does not answer, is damaged, or is of a Graft that this one cannot follow.
        """
        self._announces = announces
        self._engine = opened(url)
        try:
            brought_up_to_date(self._engine)
        except NotReady as error:
            raise _unusable(self._engine, str(error)) from error

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    def add_job(self, job: Job, event: JobEvent, idempotency_key: str | None) -> Job:
        """As the port says."""
        try:
            with transaction(self._engine, writes=True) as connection:
                earlier = _job_of_key(connection, idempotency_key)
                if earlier is None:
                    found(one_dataset(connection, job.request.dataset, lock=True), job.request.dataset)
                    connection.execute(insert(jobs).values(**job_row(job), idempotency_key=idempotency_key))
                    append(connection, event)
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

    def made_of(self, head: str, base: str, dataset_id: str, most: int) -> Sequence[Job]:
        """As the port says."""
        alike = (jobs.c.dataset == dataset_id, jobs.c.head == head, jobs.c.base == base)
        succeeded = (jobs.c.state == str(JobState.SUCCEEDED), jobs.c.version.is_not(None))
        query = select(jobs).where(*alike, *succeeded).order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(most)
        with transaction(self._engine) as connection:
            return [as_job(row) for row in connection.execute(query).mappings()]

    def job(self, job_id: str) -> Job:
        """As the port says."""
        with transaction(self._engine) as connection:
            return one_job(connection, job_id)

    def jobs(self, state: JobState | None, head: str | None, after: str | None, limit: int) -> Sequence[Job]:
        """As the port says."""
        query = select(jobs).order_by(jobs.c.created.desc(), jobs.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(jobs.c.state == str(state))
        if head is not None:
            query = query.where(jobs.c.head == head)
        with transaction(self._engine) as connection:
            if after is not None:
                last = one_job(connection, after)
                query = query.where(tuple_(jobs.c.created, jobs.c.id) < (last.created, last.id))
            return [as_job(row) for row in connection.execute(query).mappings()]

    def events(self, job_id: str, after_seq: int, limit: int) -> Sequence[JobEvent]:
        """As the port says."""
        query = select(events).where(events.c.job_id == job_id, events.c.seq > after_seq)
        with transaction(self._engine) as connection:
            one_job(connection, job_id)
            return [as_event(row) for row in connection.execute(query.order_by(events.c.seq).limit(limit)).mappings()]

    def last_seq(self, job_id: str) -> int:
        """As the port says."""
        with transaction(self._engine) as connection:
            seq = connection.execute(select(jobs.c.last_seq).where(jobs.c.id == job_id)).scalar()
        if seq is None:
            raise JobNotFound(f"there is no job {job_id}")
        return int(seq)

    def move(self, move: Move, *, owner: str | None = None, unheard_since: float | None = None) -> Job:
        """As the port says."""
        values = {**result_columns(move.job), "started": move.job.started}
        if not move.job.state.active:
            values |= {"owner": None, "heartbeat": None}
        allowed = [jobs.c.id == move.job.id, jobs.c.state == str(move.before)]
        if owner is not None:
            allowed.append(jobs.c.owner == owner)
        if unheard_since is not None:
            allowed.append(unheard(unheard_since))
        with transaction(self._engine, writes=True) as connection:
            row = connection.execute(update(jobs).where(*allowed).values(values).returning(*jobs.c)).mappings().first()
            if row is None:
                stored = one_job(connection, move.job.id)
                raise Conflict(
                    f"job {stored.id} cannot go from {move.before} to {move.job.state}: "
                    f"it is {stored.state}{f', and at work in {stored.owner}' if stored.owner else ''}"
                )
            event = append(connection, move.event)
            if self._announces and move.job.state.terminal:
                put(connection, event)
            return as_job(row)

    def progress(self, job_id: str, owner: str, phase: str, percent: float, eta_s: float | None) -> None:
        """As the port says."""
        noting = update(jobs).where(jobs.c.id == job_id, jobs.c.owner == owner)
        with transaction(self._engine, writes=True) as connection:
            connection.execute(noting.values(phase=phase, percent=percent, eta_s=eta_s))

    def append(self, event: JobEvent, owner: str) -> JobEvent:
        """As the port says."""
        with transaction(self._engine, writes=True) as connection:
            return append(connection, event, jobs.c.owner == owner)

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
            .where(jobs.c.id == job_id, jobs.c.state.not_in(ENDED), jobs.c.cancel_requested.is_(False))
            .values(cancel_requested=True)
        )
        with transaction(self._engine, writes=True) as connection:
            if connection.execute(asking).rowcount:
                append(connection, event)
            return one_job(connection, job_id)


def _unusable(engine: Engine, why: str) -> UnusableDatabase:
    engine.dispose()
    place = engine.url.database if engine.dialect.name == "sqlite" else engine.url.render_as_string()
    advice = "restore it from a copy, or move it away to begin anew"
    return UnusableDatabase(f"the job database {place} cannot be used: {why}; {advice}")


def _job_of_key(connection: Connection, key: str | None) -> Job | None:
    if key is None:
        return None
    row = connection.execute(select(jobs).where(jobs.c.idempotency_key == key)).mappings().first()
    return as_job(row) if row is not None else None
