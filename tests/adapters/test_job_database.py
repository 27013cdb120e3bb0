"""The job store over SQLite and over PostgreSQL, with many threads and processes at it."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from service.adapters.job_database import JobDatabase
from service.domain.artifact import InputKind
from service.domain.budget import Budget
from service.domain.dataset import Dataset, DatasetFormat, DatasetReport
from service.domain.errors import Conflict, DatasetNotFound, JobNotFound
from service.domain.faults import Fault
from service.domain.jobs import Job, JobEvent, JobRequest, JobState, moved, tried_again

REPORT = DatasetReport(
    DatasetFormat.CSV, InputKind.VECTOR, 4, {"b": 2, "a": 2}, (3,), ("x", "y"), "d", warnings=(Fault("w", "m", "p"),)
)
DATASET = Dataset("ds-1", REPORT, "flowers é.csv", 5 * 2**30, 100.0, {"label": "kind"}, "ds-1.csv")
NEW = JobEvent("", "job.queued", "queued", 1.0)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    return str(request.getfixturevalue("postgres").database())


@pytest.fixture
def store(url: str) -> Iterator[JobDatabase]:
    store = JobDatabase(url)
    store.add_dataset(DATASET)
    yield store
    store.close()


def added(store: JobDatabase, name: str = "job-1", created: float = 1.0, key: str | None = None) -> Job:
    job = Job(name, JobRequest("flowers", "iris", "ds-1", {"l2": [1, {"a": None}]}), JobState.QUEUED, created)
    return store.add_job(job, replace(NEW, job_id=name), key)


def running(store: JobDatabase, name: str = "job-1") -> Job:
    added(store, name)
    job = store.claim("me", 5.0)
    assert job is not None
    return store.move(moved(job, JobState.RUNNING, 6.0, "runs"), owner="me")


def seqs(store: JobDatabase, name: str = "job-1") -> list[tuple[int, str]]:
    return [(event.seq, event.type) for event in store.events(name, 0, 1000)]


def test_what_is_stored_comes_back_the_same(store: JobDatabase, url: str) -> None:
    held = running(store, "job-2")
    job = added(store)
    result = {"version": 2, "metrics": {"a": 0.5}, "gate": {"v": [1]}, "recipe": {"x": "é"}, "error": None}
    done = store.move(moved(held, JobState.SUCCEEDED, 9.0, "done", data={"n": 1}, **result), owner="me")
    other = JobDatabase(url)
    assert other.dataset("ds-1") == DATASET
    assert list(other.dataset("ds-1").report.classes) == ["b", "a"]
    assert other.job("job-1") == store.job("job-1")
    assert other.job("job-1").request == job.request
    assert other.job("job-2") == done
    assert (done.version, done.gate, done.started, done.finished, done.owner) == (2, {"v": [1]}, 5.0, 9.0, None)
    assert other.events("job-2", 3, 10)[0].data == {"from": "running", "n": 1}
    other.close()


def test_what_is_not_there_is_said_not_to_be(store: JobDatabase) -> None:
    for call in (store.dataset, store.delete_dataset):
        with pytest.raises(DatasetNotFound):
            call("ds-0")
    for ask in (
        lambda: store.job("job-0"),
        lambda: store.events("job-0", 0, 1),
        lambda: store.last_seq("job-0"),
        lambda: store.jobs(None, None, "job-0", 1),
        lambda: store.request_cancel("job-0", replace(NEW, job_id="job-0")),
        lambda: store.move(moved(Job("job-0", JobRequest("", "", ""), JobState.QUEUED, 0), JobState.FAILED, 0, "")),
    ):
        with pytest.raises(JobNotFound):
            ask()
    assert (store.claim("me", 0.0), store.beat("job-0", "me", 0.0), store.job_of_key("k")) == (None, None, None)
    with pytest.raises(DatasetNotFound):
        store.add_job(
            Job("job-1", JobRequest("h", "b", "ds-0"), JobState.QUEUED, 0), replace(NEW, job_id="job-1"), None
        )
    with pytest.raises(JobNotFound):
        store.job("job-1")


def test_hostile_text_is_only_text(store: JobDatabase) -> None:
    evil = "'; DROP TABLE jobs; --\0"
    with pytest.raises(JobNotFound):
        store.job(evil)
    assert store.jobs(None, evil, None, 10) == []
    added(store, key=evil)
    found = store.job_of_key(evil)
    assert found is not None
    assert found.id == "job-1"


def test_a_dataset_is_stored_once(store: JobDatabase) -> None:
    assert store.add_dataset(replace(DATASET, filename="other", file="other.csv")) == DATASET
    newer = replace(DATASET, id="ds-2", created=200.0)
    store.add_dataset(newer)
    assert store.datasets() == [newer, DATASET]


def test_a_dataset_whose_content_is_lost_is_replaced_once(store: JobDatabase) -> None:
    mended, late = replace(DATASET, file="mended.csv", created=150.0), replace(DATASET, file="late.csv")
    assert store.replace_dataset(mended, DATASET.file) == mended
    assert store.replace_dataset(late, DATASET.file) == mended
    assert store.dataset("ds-1") == mended
    store.delete_dataset("ds-1")
    assert store.replace_dataset(late, DATASET.file) == late


def test_a_dataset_that_a_living_job_needs_is_not_deleted(store: JobDatabase) -> None:
    held = running(store)
    with pytest.raises(Conflict, match="job-1"):
        store.delete_dataset("ds-1")
    store.move(moved(held, JobState.FAILED, 7.0, "failed"))
    assert store.delete_dataset("ds-1") == DATASET
    assert store.job("job-1").state is JobState.FAILED


def test_a_key_is_one_job(store: JobDatabase) -> None:
    first = added(store, "job-1", key="k")
    assert added(store, "job-2", key="k") == first
    other = Job("job-3", JobRequest("other", "iris", "ds-1"), JobState.QUEUED, 0)
    with pytest.raises(Conflict):
        store.add_job(other, replace(NEW, job_id="job-3"), "k")
    assert [job.id for job in store.jobs(None, None, None, 10)] == ["job-1"]
    assert seqs(store) == [(1, "job.queued")]
    added(store, "job-4")
    added(store, "job-5")


def test_a_key_is_one_job_also_when_asked_for_at_once(store: JobDatabase) -> None:
    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(lambda n: added(store, f"job-{n}", key="k"), range(16)))
    assert len({job.id for job in jobs}) == len(store.jobs(None, None, None, 100)) == 1


def test_jobs_are_listed_newest_first_page_by_page(store: JobDatabase) -> None:
    for number in range(6):
        added(store, f"job-{number}", created=float(number // 2))
    pages, after = [], None
    while page := store.jobs(None, None, after, 2):
        pages += [job.id for job in page]
        after = page[-1].id
    assert pages == [f"job-{number}" for number in (5, 4, 3, 2, 1, 0)]
    store.claim("me", 0.0)
    assert [job.id for job in store.jobs(JobState.VALIDATING, "flowers", None, 9)] == ["job-0"]
    assert store.jobs(None, "other", None, 9) == []


def test_the_oldest_is_claimed_first_and_the_claim_is_a_move(store: JobDatabase) -> None:
    added(store, "job-b", created=2.0)
    added(store, "job-a", created=1.0)
    job = store.claim("me", 5.0)
    assert job is not None
    assert (job.id, job.state, job.attempt, job.owner) == ("job-a", JobState.VALIDATING, 1, "me")
    assert (job.started, job.heartbeat) == (5.0, 5.0)
    assert seqs(store, "job-a") == [(1, "job.queued"), (2, "job.validating")]


def test_a_job_that_is_to_wait_is_not_claimed_before_its_time(store: JobDatabase) -> None:
    held = running(store)
    store.move(tried_again(held, 10.0, (5.0,), "crashed"), owner="me")
    added(store, "job-2", created=2.0)
    waiting = store.job("job-1")
    assert (waiting.crashes, waiting.reached, waiting.not_before) == (1, 0, 15.0)
    claimed = [store.claim("me", now) for now in (14.9, 14.9, 15.0)]
    assert [job.id if job else None for job in claimed] == ["job-2", None, "job-1"]
    assert claimed[2] is not None
    assert claimed[2].not_before is None


def test_jobs_that_have_not_ended_are_counted(store: JobDatabase) -> None:
    assert store.counts() == {}
    held = running(store)
    for number in (2, 3):
        added(store, f"job-{number}")
    assert store.counts() == {JobState.QUEUED: 2, JobState.RUNNING: 1}
    store.move(moved(held, JobState.FAILED, 7.0, "failed"))
    assert store.counts() == {JobState.QUEUED: 2}


def claim_all(url: str) -> list[str]:
    store = JobDatabase(url)
    claimed = []
    while (job := store.claim("me", 0.0)) is not None:
        claimed.append(job.id)
    store.close()
    return claimed


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_many_claim_at_once_and_no_job_is_claimed_twice(store: JobDatabase, url: str, kind: str) -> None:
    names = [f"job-{number}" for number in range(100)]
    for name in names:
        added(store, name)
    spawn = multiprocessing.get_context("spawn")
    pool = ThreadPoolExecutor(16) if kind == "threads" else ProcessPoolExecutor(4, mp_context=spawn)
    with pool:
        claimed = [name for part in pool.map(claim_all, [url] * 16) for name in part]
    assert sorted(claimed) == sorted(names)


def open_and_add(url: str) -> int:
    store = JobDatabase(url)
    store.add_dataset(DATASET)
    store.close()
    return 1


def test_many_may_open_a_new_database_at_once(url: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(open_and_add, [url] * 6)) == 6


def test_a_move_needs_the_state_it_starts_from(store: JobDatabase) -> None:
    held = running(store)
    to_evaluating = moved(held, JobState.EVALUATING, 7.0, "evaluates")
    store.move(to_evaluating, owner="me")
    before = seqs(store)
    with pytest.raises(Conflict, match="it is evaluating"):
        store.move(to_evaluating, owner="me")
    assert seqs(store) == before


def test_a_former_owner_can_do_nothing(store: JobDatabase) -> None:
    held = running(store)
    store.move(moved(held, JobState.QUEUED, 7.0, "lost"))
    taken = store.claim("thief", 8.0)
    assert taken is not None
    before = store.job("job-1"), seqs(store)
    assert store.beat("job-1", "me", 99.0) is None
    store.progress("job-1", "me", "probe", 50.0, None)
    with pytest.raises(Conflict):
        store.append(replace(NEW, job_id="job-1"), "me")
    with pytest.raises(Conflict):
        store.move(moved(taken, JobState.FAILED, 9.0, "mine"), owner="me")
    assert (store.job("job-1"), seqs(store)) == before


def test_a_move_keeps_what_others_decide(store: JobDatabase) -> None:
    held = running(store)
    store.request_cancel("job-1", JobEvent("job-1", "job.cancel_requested", "", 7.0))
    store.beat("job-1", "me", 50.0)
    stored = store.move(moved(held, JobState.EVALUATING, 8.0, "evaluates"), owner="me")
    assert (stored.cancel_requested, stored.heartbeat, stored.owner) == (True, 50.0, "me")


def test_a_cancel_is_asked_for_once(store: JobDatabase) -> None:
    held = running(store)
    event = JobEvent("job-1", "job.cancel_requested", "", 7.0)
    assert store.request_cancel("job-1", event).cancel_requested
    assert store.request_cancel("job-1", event).cancel_requested
    assert [type for _, type in seqs(store)].count("job.cancel_requested") == 1
    store.move(moved(held, JobState.CANCELLED, 8.0, "gone"))
    added(store, "job-2")
    store.move(moved(store.job("job-2"), JobState.CANCELLED, 8.0, "gone"))
    assert not store.request_cancel("job-2", replace(event, job_id="job-2")).cancel_requested


def test_only_the_unheard_of_are_lost(store: JobDatabase) -> None:
    held = running(store)
    added(store, "job-2")
    assert store.lost(5.0) == []
    assert [job.id for job in store.lost(5.1)] == ["job-1"]
    store.beat("job-1", "me", 20.0)
    assert store.lost(19.0) == []
    back = moved(held, JobState.QUEUED, 21.0, "lost")
    with pytest.raises(Conflict):
        store.move(back, unheard_since=19.0)
    assert store.move(back, unheard_since=20.5).owner is None


def test_events_have_one_order_whoever_writes_them(store: JobDatabase) -> None:
    running(store)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: store.append(JobEvent("job-1", f"e{n}", "", 0.0), "me"), range(40)))
    assert [seq for seq, _ in seqs(store)] == list(range(1, 44))
    assert store.last_seq("job-1") == 43
    assert [event.seq for event in store.events("job-1", 40, 2)] == [41, 42]


def test_progress_is_noted(store: JobDatabase) -> None:
    running(store)
    store.progress("job-1", "me", "probe", 41.5, 3.0)
    job = store.job("job-1")
    assert (job.phase, job.percent, job.eta_s, job.state) == ("probe", 41.5, 3.0, JobState.RUNNING)


def waits(store: JobDatabase, name: str, head: str, created: float, priority: int = 0) -> None:
    request = JobRequest(head, "iris", "ds-1", {}, priority)
    store.add_job(Job(name, request, JobState.QUEUED, created), replace(NEW, job_id=name), None)


def test_jobs_are_claimed_in_the_order_that_the_queue_says(store: JobDatabase) -> None:
    chance = random.Random(5)
    for number in range(40):
        waits(store, f"job-{number}", chance.choice("abc"), float(chance.randrange(10)), chance.choice([-1, 0, 0, 7]))
    now = 100.0
    for _ in range(3):  # so that heads have had their turns when the order is asked for
        store.claim("me", now := now + 1)
    foreseen, claimed = list(store.queue(now)), []
    assert len(foreseen) == 37
    while (job := store.claim("me", now := now + 1)) is not None:
        claimed.append(job.id)
    assert claimed == foreseen
    assert store.queue(now) == []


def test_a_job_that_pauses_has_no_place_in_the_queue(store: JobDatabase) -> None:
    held = running(store)
    store.move(tried_again(held, 10.0, (5.0,), "crashed"), owner="me")
    assert (store.queue(14.0), store.queue(15.0)) == ([], ["job-1"])


def test_priority_and_budget_come_back(store: JobDatabase) -> None:
    request = JobRequest("flowers", "iris", "ds-1", {}, -7, Budget(1.5, 200))
    store.add_job(Job("job-1", request, JobState.QUEUED, 1.0), replace(NEW, job_id="job-1"), "k")
    assert store.job("job-1").request == request
    louder = Job("job-2", replace(request, priority=9), JobState.QUEUED, 1.0)
    with pytest.raises(Conflict):
        store.add_job(louder, replace(NEW, job_id="job-2"), "k")


def ended(store: JobDatabase, name: str, at: float, state: JobState = JobState.SUCCEEDED, **result: object) -> Job:
    added(store, name, created=at - 1)
    job = store.claim("me", at)
    assert job is not None
    return store.move(moved(job, state, at, "over", **result), owner="me")


def test_who_made_a_version_of_the_same_is_known(store: JobDatabase) -> None:
    ended(store, "job-1", 10.0, version=1)
    ended(store, "job-2", 20.0, version=2)
    ended(store, "job-3", 30.0)
    ended(store, "job-4", 40.0, JobState.FAILED)
    assert [job.id for job in store.made_of("flowers", "iris", "ds-1", 9)] == ["job-2", "job-1"]
    assert [job.id for job in store.made_of("flowers", "iris", "ds-1", 1)] == ["job-2"]
    for other in (("f", "iris", "ds-1"), ("flowers", "i", "ds-1"), ("flowers", "iris", "ds-2")):
        assert store.made_of(*other, 9) == []


def test_ended_jobs_are_found_by_age_and_forgotten_with_their_events(store: JobDatabase) -> None:
    for number, at in enumerate((30.0, 10.0, 10.0, 20.0)):
        ended(store, f"job-{number}", at)
    running(store, "job-9")
    first = store.ended_jobs(25.0, None, 2)
    assert [job.id for job in first] == ["job-1", "job-2"]
    assert [job.id for job in store.ended_jobs(25.0, first[-1], 2)] == ["job-3"]
    assert store.forget_jobs(["job-1", "job-3", "job-9", "job-0 or 1=1", "none"]) == 2
    assert [job.id for job in store.jobs(None, None, None, 9)] == ["job-0", "job-2", "job-9"]
    assert store.forget_jobs([]) == 0
    with pytest.raises(JobNotFound):
        store.events("job-1", 0, 9)


def test_a_dataset_is_forgotten_when_no_job_names_it(store: JobDatabase) -> None:
    store.add_dataset(replace(DATASET, id="ds-2", file="ds-2.csv"))
    store.add_dataset(replace(DATASET, id="ds-3", file="ds-3.csv", created=999.0))
    ended(store, "job-1", 10.0)
    (unused,) = store.unused_datasets(500.0)
    assert unused.id == "ds-2"
    assert not store.forget_dataset(DATASET)
    assert not store.forget_dataset(replace(unused, file="another upload's"))
    assert store.forget_dataset(unused)
    assert not store.forget_dataset(unused)
    store.forget_jobs(["job-1"])
    assert [dataset.id for dataset in store.unused_datasets(500.0)] == ["ds-1"]


def test_text_that_no_database_holds_is_stored_as_near_as_can_be(store: JobDatabase) -> None:
    running(store)
    store.append(JobEvent("job-1", "job.warning", "a\0b \ud800", 1.0, {"file": "\0"}), "me")
    last = store.events("job-1", 3, 9)[0]
    assert (last.message, last.data) == ("a\N{REPLACEMENT CHARACTER}b ?", {"file": "\0"})
    held = store.job("job-1")
    store.move(moved(held, JobState.FAILED, 9.0, "\0", error={"message": "\0"}), owner="me")
    assert store.job("job-1").error == {"message": "\0"}
