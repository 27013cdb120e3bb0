"""Who works on what: the queue, claims, what was lost, what is over and forgotten."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import (
    ColumnElement,
    Engine,
    FromClause,
    ScalarSelect,
    Subquery,
    and_,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)

from service.adapters.job_database.connection import transaction
from service.adapters.job_database.statements import ACTIVE, ENDED, append, unheard
from service.adapters.job_database.tables import as_job, jobs
from service.domain.job_queue import Waiting, order
from service.domain.jobs import Job, JobEvent, JobState


class QueueRows:
    """The part of the ``JobStore`` port that supervisors ask for."""

    _engine: Engine

    def claim(self, owner: str, now: float) -> Job | None:
        """As the port says."""
        # The order is that of ``job_queue.order``. PostgreSQL passes over what another service is just claiming.
        first = (
            select(jobs.c.id)
            .where(_claimable(now))
            .order_by(jobs.c.priority.desc(), _served(jobs).asc().nulls_first(), jobs.c.created, jobs.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        taking = (
            update(jobs)
            .where(jobs.c.id == first.scalar_subquery(), jobs.c.state == str(JobState.QUEUED))
            .values(
                state=str(JobState.VALIDATING),
                owner=owner,
                heartbeat=now,
                claimed=now,
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
            append(connection, JobEvent(job.id, f"job.{job.state}", f"attempt {job.attempt} begins", now, data))
            return job

    def queue(self, now: float) -> Sequence[str]:
        """As the port says."""
        query = select(jobs.c.id, jobs.c.head, jobs.c.priority, jobs.c.created).where(_claimable(now))
        with transaction(self._engine) as connection:
            waiting = [Waiting(*row) for row in connection.execute(query)]
            turns = connection.execute(select(_turns(now))).tuples().all()
        return order(waiting, {head: served for head, served in turns if served is not None})

    def counts(self) -> Mapping[JobState, int]:
        """As the port says."""
        query = select(jobs.c.state, func.count()).where(jobs.c.state.not_in(ENDED)).group_by(jobs.c.state)
        with transaction(self._engine) as connection:
            return {JobState(state): count for state, count in connection.execute(query)}

    def lost(self, stale_before: float) -> Sequence[Job]:
        """As the port says."""
        query = select(jobs).where(jobs.c.state.in_(ACTIVE), unheard(stale_before)).order_by(jobs.c.created)
        with transaction(self._engine) as connection:
            return [as_job(row) for row in connection.execute(query).mappings()]

    def ended_jobs(self, before: float, after: Job | None, most: int) -> Sequence[Job]:
        """As the port says."""
        query = select(jobs).where(jobs.c.finished < before, jobs.c.state.in_(ENDED))
        if after is not None:
            query = query.where(tuple_(jobs.c.finished, jobs.c.id) > (after.finished, after.id))
        with transaction(self._engine) as connection:
            rows = connection.execute(query.order_by(jobs.c.finished, jobs.c.id).limit(most)).mappings()
            return [as_job(row) for row in rows]

    def forget_jobs(self, ids: Collection[str]) -> int:
        """As the port says."""
        gone = delete(jobs).where(jobs.c.id.in_(ids), jobs.c.state.in_(ENDED))
        with transaction(self._engine, writes=True) as connection:
            return connection.execute(gone).rowcount


def _turns(now: float) -> Subquery:
    """When each head with a job in the queue was served last: one look into an index for each of them."""
    heads = select(jobs.c.head).where(_claimable(now)).distinct().subquery()
    return select(heads.c.head, _served(heads).label("served")).subquery()


def _served(of: FromClause) -> ScalarSelect[float]:
    others = jobs.alias()
    return select(func.max(others.c.claimed)).where(others.c.head == of.c.head).scalar_subquery()


def _claimable(now: float) -> ColumnElement[bool]:
    return and_(jobs.c.state == str(JobState.QUEUED), or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now))
