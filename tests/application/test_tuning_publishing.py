"""What a trainer published reaches everyone before its job has succeeded, or the job says why not yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.domain.errors import NotReady
from service.domain.jobs import JobState
from tests.application.tuning_fakes import FINISHED, WHOLE, Bench, end_of, event_of, phase, types_of

REFUSED = [*WHOLE[:-1], {"say": {**FINISHED, "version": None}}]


class FakePublisher:
    """A store that says no so many times, and gives every job a number of its own."""

    def __init__(self, outboxes: Path, refusals: int = 0) -> None:
        self._outboxes, self.refusals = outboxes, refusals
        self.asked: list[tuple[str, str, int]] = []
        self.discarded: list[str] = []
        self.numbers: dict[str, int] = {}

    def outbox(self, job_id: str) -> Path:
        return self._outboxes / job_id

    def publish(self, job_id: str, model: str, version: int) -> int:
        self.asked.append((job_id, model, version))
        if self.refusals:
            self.refusals -= 1
            raise NotReady("the store is away")
        return self.numbers.setdefault(job_id, 41 + len(self.numbers))

    def discard(self, job_id: str) -> None:
        self.discarded.append(job_id)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.trainer.leaving.set()
    await bench.close()


async def test_a_jobs_version_is_the_one_it_has_for_everyone(bench: Bench, tmp_path: Path) -> None:
    publisher = FakePublisher(tmp_path)
    tuning = bench.service(publisher=publisher)
    job = await bench.job(tuning)
    bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert (ended.state, ended.version) == (JobState.SUCCEEDED, 41)
    assert bench.trainer.tasks[0].outbox == tmp_path / job.id
    assert publisher.asked == [(job.id, "flowers", 3)]
    await tuning.close()
    assert publisher.discarded == [job.id]


async def test_a_job_waits_for_the_store_and_says_so_once(bench: Bench, tmp_path: Path) -> None:
    tuning = bench.service(publisher=FakePublisher(tmp_path, refusals=3))
    job = await bench.job(tuning)
    bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert (ended.state, ended.version, ended.attempt) == (JobState.SUCCEEDED, 41, 1)
    assert (await types_of(tuning, job)).count("job.warning") == 1


async def test_a_job_without_a_version_publishes_nothing(bench: Bench, tmp_path: Path) -> None:
    publisher = FakePublisher(tmp_path)
    tuning = bench.service(publisher=publisher)
    job = await bench.job(tuning, REFUSED)
    bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert (ended.state, ended.version, publisher.asked) == (JobState.SUCCEEDED, None, [])


async def test_a_job_that_waits_for_the_store_can_be_cancelled(bench: Bench, tmp_path: Path) -> None:
    publisher = FakePublisher(tmp_path, refusals=10**6)
    tuning = bench.service(publisher=publisher)
    job = await bench.job(tuning)
    bench.at_work(tuning)
    await event_of(tuning, job, "job.warning")
    await tuning.jobs.cancel(job.id)
    ended = await end_of(tuning, job)
    assert (ended.state, ended.version) == (JobState.CANCELLED, None)
    await tuning.close()
    assert publisher.discarded == [job.id]


async def test_a_job_that_was_finished_but_not_published_is_published_by_whoever_takes_it_up(
    bench: Bench, tmp_path: Path
) -> None:
    publisher = FakePublisher(tmp_path, refusals=10**6)
    first = bench.service(publisher=publisher)
    job = await bench.job(first)
    bench.at_work(first)
    await event_of(first, job, "job.warning")
    await first.close()
    assert publisher.discarded == [], "what the trainer published is what the next one goes on from"
    publisher.refusals = 0
    second = bench.service("second", publisher=publisher)
    bench.at_work(second)
    ended = await end_of(second, job)
    assert (ended.state, ended.version) == (JobState.SUCCEEDED, 41)
    await second.close()
    assert publisher.discarded == [job.id]


async def test_a_failed_job_leaves_nothing_in_its_outbox(bench: Bench, tmp_path: Path) -> None:
    publisher = FakePublisher(tmp_path)
    tuning = bench.service(publisher=publisher)
    failed = {"event": "failed", "code": "bad", "message": "no", "details": {}}
    job = await bench.job(tuning, [phase("validate"), {"say": failed}])
    bench.at_work(tuning)
    assert (await end_of(tuning, job)).state is JobState.FAILED
    await tuning.close()
    assert (publisher.asked, publisher.discarded) == ([], [job.id])
