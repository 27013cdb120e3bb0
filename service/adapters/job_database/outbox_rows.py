"""The outbox: which ends of jobs are still to be told, written in the transaction in which the job ends."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, delete, insert, select, update

from service.adapters.job_database.connection import transaction
from service.adapters.job_database.tables import as_event, as_job, events, jobs, outbox
from service.domain.announcements import Announcement
from service.domain.jobs import JobEvent


def put(connection: Connection, event: JobEvent) -> None:
    """Have the event told, once this transaction is committed."""
    row = {"job_id": event.job_id, "seq": event.seq, "attempts": 0, "not_before": event.time}
    connection.execute(insert(outbox).values(row))


class OutboxRows:
    """The ``Outbox`` port."""

    _engine: Engine

    def take(self, now: float, until: float, most: int) -> Sequence[Announcement]:
        """As the port says."""
        due = select(outbox.c.job_id).where(outbox.c.not_before <= now).order_by(outbox.c.not_before).limit(most)
        with transaction(self._engine) as connection:
            if connection.execute(due).first() is None:
                return []
        taking = (
            update(outbox)
            .where(outbox.c.job_id.in_(due.with_for_update(skip_locked=True)), outbox.c.not_before <= now)
            .values(not_before=until, attempts=outbox.c.attempts + 1)
            .returning(*outbox.c)
        )
        with transaction(self._engine, writes=True) as connection:
            taken = connection.execute(taking).mappings().all()
            return [_announcement(connection, row["job_id"], row["seq"], row["attempts"]) for row in taken]

    def put_off(self, announcement: Announcement, until: float) -> None:
        """As the port says."""
        later = update(outbox).where(outbox.c.job_id == announcement.job.id).values(not_before=until)
        with transaction(self._engine, writes=True) as connection:
            connection.execute(later)

    def drop(self, announcement: Announcement) -> None:
        """As the port says."""
        with transaction(self._engine, writes=True) as connection:
            connection.execute(delete(outbox).where(outbox.c.job_id == announcement.job.id))


def _announcement(connection: Connection, job_id: str, seq: int, attempts: int) -> Announcement:
    job = connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one()
    event = connection.execute(select(events).where(events.c.job_id == job_id, events.c.seq == seq)).mappings().one()
    return Announcement(as_job(job), as_event(event), attempts)
