"""When telling of a job's end is tried again."""

from __future__ import annotations

from service.domain.announcements import GIVE_UP_S, Announcement, next_attempt
from service.domain.jobs import Job, JobEvent, JobRequest, JobState

JOB = Job("job-1", JobRequest("h", "b", "ds-1"), JobState.SUCCEEDED, 0.0)


def announcement(attempts: int) -> Announcement:
    return Announcement(JOB, JobEvent("job-1", "job.succeeded", "", 100.0, {}, 7), attempts)


def test_each_attempt_comes_later_up_to_an_hour() -> None:
    pauses = [next_attempt(announcement(attempts), 1000.0) for attempts in range(1, 14)]
    assert [at and at - 1000 for at in pauses] == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]
    assert next_attempt(announcement(10**6), 1000.0) == 4600.0


def test_a_day_later_it_is_given_up() -> None:
    assert next_attempt(announcement(1), 100.0 + GIVE_UP_S - 5) is not None
    assert next_attempt(announcement(1), 100.0 + GIVE_UP_S - 4) is None


def test_its_name_does_not_change_from_attempt_to_attempt() -> None:
    assert announcement(1).id == announcement(9).id == "job-1-7"
