"""The outbox in the job database: filled with the ends of jobs, each taken out by one taker at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.adapters.job_database import JobDatabase
from service.domain.dataset import Dataset, DatasetFormat, DatasetReport
from service.domain.errors import Conflict
from service.domain.jobs import Job, JobEvent, JobRequest, JobState, moved

REPORT = DatasetReport(DatasetFormat.CSV, None, 3, {"a": 3}, (4,), digest="d")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    return str(request.getfixturevalue("postgres").database())


@pytest.fixture
def store(url: str) -> Iterator[JobDatabase]:
    store = JobDatabase(url, announces=True)
    store.add_dataset(Dataset("ds-1", REPORT, "f.csv", 10, 1.0, file="f"))
    yield store
    store.close()


def cancelled(store: JobDatabase, name: str, at: float = 10.0) -> Job:
    job = Job(name, JobRequest("flowers", "iris", "ds-1"), JobState.QUEUED, 1.0)
    store.add_job(job, JobEvent(name, "job.queued", "", 1.0), None)
    return store.move(moved(job, JobState.CANCELLED, at, "no"))


def test_an_end_is_in_it_as_soon_as_it_is_stored_and_until_it_is_dropped(store: JobDatabase) -> None:
    job = cancelled(store, "job-1")
    assert store.take(9.0, 60.0, 5) == [], "its time has not come"
    (taken,) = store.take(10.0, 60.0, 5)
    assert (taken.job, taken.event.type, taken.event.seq, taken.attempts) == (job, "job.cancelled", 2, 1)
    assert store.take(59.0, 99.0, 5) == [], "somebody has it"
    (again,) = store.take(60.0, 99.0, 5)
    assert (again.id, again.attempts) == (taken.id, 2)
    store.put_off(again, 200.0)
    assert store.take(199.0, 300.0, 5) == []
    (last,) = store.take(200.0, 300.0, 5)
    store.drop(last)
    assert store.take(1e9, 2e9, 5) == []


def test_a_move_that_was_not_made_and_one_that_ends_nothing_leave_nothing_in_it(store: JobDatabase) -> None:
    job = cancelled(store, "job-1")
    store.drop(store.take(10.0, 60.0, 5)[0])
    with pytest.raises(Conflict):
        store.move(moved(Job("job-1", job.request, JobState.QUEUED, 1.0), JobState.FAILED, 11.0, "late"))
    queued = Job("job-2", job.request, JobState.QUEUED, 1.0)
    store.add_job(queued, JobEvent("job-2", "job.queued", "", 1.0), None)
    claimed = store.claim("me", 5.0)
    assert claimed is not None
    store.move(moved(claimed, JobState.RUNNING, 6.0, "runs"), owner="me")
    assert store.take(1e9, 2e9, 5) == []


def test_it_is_empty_in_a_database_that_announces_nothing(url: str, store: JobDatabase) -> None:
    silent = JobDatabase(url)
    cancelled(silent, "job-1")
    silent.close()
    assert store.take(1e9, 2e9, 5) == []


def test_the_longest_waiting_come_first_and_no_more_than_asked_for(store: JobDatabase) -> None:
    for number in (3, 1, 2):
        cancelled(store, f"job-{number}", at=10.0 + number)
    assert {one.job.id for one in store.take(20.0, 60.0, 2)} == {"job-1", "job-2"}
    assert [one.job.id for one in store.take(20.0, 60.0, 2)] == ["job-3"]


def test_takers_at_once_never_get_the_same(store: JobDatabase) -> None:
    names = {f"job-{number}" for number in range(24)}
    for name in names:
        cancelled(store, name)

    def taker(_: int) -> list[str]:
        taken: list[str] = []
        while found := store.take(20.0, 60.0, 3):
            taken += [one.job.id for one in found]
        return taken

    with ThreadPoolExecutor(4) as threads:
        taken = [name for part in threads.map(taker, range(4)) for name in part]
    assert len(taken) == len(set(taken))
    assert set(taken) <= names
    rest = store.take(20.0, 60.0, 100)
    assert {*taken, *(one.job.id for one in rest)} == names


def test_what_is_forgotten_with_its_job_is_not_told(store: JobDatabase) -> None:
    cancelled(store, "job-1")
    store.forget_jobs(["job-1"])
    assert store.take(1e9, 2e9, 5) == []
