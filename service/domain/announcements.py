"""Telling somebody outside that a job has ended: what is told, and when it is tried again."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.jobs import Job, JobEvent

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 3600.0
GIVE_UP_S = 24 * 3600.0
"""After so long since it happened nobody is told any more."""


class Undelivered(Exception):
    """Who was to be told did not say that he heard; the text says what he did instead."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event that ended a job, on its way."""

    job: Job
    event: JobEvent
    attempts: int
    """Including the one for which it was taken out."""

    @property
    def id(self) -> str:
        """The same at every attempt, so that who is told twice can notice."""
        return f"{self.event.job_id}-{self.event.seq}"


def next_attempt(announcement: Announcement, now: float) -> float | None:
    """When to try again after one more attempt failed: later each time; None, it is too late for that."""
    pause_s = min(_FIRST_PAUSE_S * 2 ** min(announcement.attempts - 1, 20), _LONGEST_PAUSE_S)
    return now + pause_s if now + pause_s <= announcement.event.time + GIVE_UP_S else None
