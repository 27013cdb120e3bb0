"""What bounds jobs: the queue, budgets, work that is not needed, and how long what is over is kept."""

# ruff: noqa: ASYNC110 - what a service does by itself can only be polled

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.application.ports import Listing
from service.domain.artifact import ModelKind
from service.domain.budget import Budget
from service.domain.errors import Conflict, DatasetNotFound, InvalidInput, JobNotFound, ModelNotFound
from service.domain.jobs import WAITING, Job, JobRequest, JobState
from service.domain.versions import VersionId
from tests.application.tuning_fakes import (
    FINISHED,
    PLACED,
    STUCK,
    WHOLE,
    Bench,
    end_of,
    event_of,
    manifest,
    phase,
    types_of,
)

DAY_S = 86_400.0


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.close()


async def request(bench: Bench, tuning: Any, acts: Any = WHOLE, text: str = "good", **asked: Any) -> JobRequest:
    dataset = await bench.dataset(tuning, text)
    return JobRequest("flowers", "iris", dataset.id, {"acts": list(acts)}, **asked)


def publish(bench: Bench, job: Job, base_digest: str = "digest") -> None:
    """Let the version be there that the job says it made."""
    made = manifest(ModelKind.HEAD)
    assert made.base is not None
    made = replace(made, base=replace(made.base, digest=base_digest), provenance={"job_id": job.id})
    bench.models.found["flowers"] = Listing(VersionId("flowers", 3), Path("/repository/flowers/3"), "stamp", made)


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.01)


# --- The queue


async def test_a_queued_job_has_a_place_and_a_running_one_has_none(bench: Bench) -> None:
    tuning = bench.service()
    first = await bench.job(tuning, STUCK, "a")
    second, third = await bench.job(tuning, STUCK, "a"), await bench.job(tuning, STUCK, "b")
    urgent = await tuning.jobs.submit(replace(first.request, head="c", priority=1))
    jobs = [first, second, third, urgent]
    assert await tuning.jobs.places(jobs) == {urgent.id: 1, first.id: 2, third.id: 3, second.id: 4}
    bench.at_work(tuning)
    await event_of(tuning, urgent, "job.phase", phase="features")
    now = [await tuning.jobs.get(job.id) for job in jobs]
    assert await tuning.jobs.places(now) == {first.id: 1, third.id: 2, second.id: 3}
    assert await tuning.jobs.places([now[3]]) == {}


async def test_a_priority_out_of_bounds_is_refused(bench: Bench) -> None:
    tuning = bench.service()
    for priority in (101, -101):
        with pytest.raises(InvalidInput, match="from -100 to 100"):
            await tuning.jobs.submit(await request(bench, tuning, priority=priority))


# --- Budgets


async def test_a_job_that_takes_too_long_fails_and_its_trainer_is_gone(bench: Bench) -> None:
    tuning = bench.service()
    bench.at_work(tuning)
    job = await tuning.jobs.submit(await request(bench, tuning, STUCK, budget=Budget(max_seconds=60)))
    await event_of(tuning, job, "job.phase", phase="features")
    bench.clock.ahead += 61
    ended = await end_of(tuning, job)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert ended.error["code"] == "budget_exceeded"
    assert (ended.error["details"]["bound"], ended.error["details"]["allowed"]) == ("max_seconds", 60)
    assert ended.error["details"]["used"] > 60
    assert bench.trainer.runs[job.id][0].told_to_stop.is_set()
    assert job.id not in bench.trainer.areas


async def test_waiting_for_a_machine_uses_up_no_time_and_is_no_silence(bench: Bench) -> None:
    tuning = bench.service(silence_s=600.0)
    bench.at_work(tuning)
    acts = [phase(WAITING), {"pause": 0.2}, phase("features"), {"pause": 0.2}, {"say": FINISHED}]
    job = await tuning.jobs.submit(await request(bench, tuning, acts, budget=Budget(max_seconds=60)))
    await event_of(tuning, job, "job.phase", phase=WAITING)
    bench.clock.ahead += 700
    await event_of(tuning, job, "job.phase", phase="features")
    bench.clock.ahead += 30
    ended = await end_of(tuning, job)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)
    assert ended.started is not None
    assert ended.started >= job.created + 700


async def test_after_waiting_for_a_machine_time_counts_again(bench: Bench) -> None:
    tuning = bench.service()
    bench.at_work(tuning)
    acts = [phase(WAITING), {"say": PLACED}, *STUCK]
    job = await tuning.jobs.submit(await request(bench, tuning, acts, budget=Budget(max_seconds=60)))
    await event_of(tuning, job, "job.placed", node="n1")
    await event_of(tuning, job, "job.phase", phase="features")
    bench.clock.ahead += 61
    ended = await end_of(tuning, job)
    assert ended.error is not None
    assert ended.error["code"] == "budget_exceeded"


async def test_a_job_that_takes_too_much_memory_fails(bench: Bench) -> None:
    tuning = bench.service()
    bench.at_work(tuning)
    acts = [*STUCK[:-1], {"hold_mb": 300}, {"hang": True}]
    job = await tuning.jobs.submit(await request(bench, tuning, acts, budget=Budget(max_memory_mb=200)))
    ended = await end_of(tuning, job)
    assert ended.error is not None
    assert ended.error["details"] == {"bound": "max_memory_mb", "allowed": 200.0, "used": 300.0}


async def test_a_job_within_its_budget_is_left_alone(bench: Bench) -> None:
    tuning = bench.service()
    bench.at_work(tuning)
    acts = [{"hold_mb": 100}, *WHOLE]
    job = await tuning.jobs.submit(await request(bench, tuning, acts, budget=Budget(600, 200)))
    assert (await end_of(tuning, job)).state is JobState.SUCCEEDED


# --- Training that is not needed


async def made(bench: Bench, tuning: Any, **asked: Any) -> Job:
    ordered = await tuning.jobs.order(await request(bench, tuning, **asked))
    assert not ordered.reused
    return await end_of(tuning, ordered.job)


async def test_what_was_made_of_the_same_is_the_answer(bench: Bench) -> None:
    tuning = bench.service()
    bench.at_work(tuning)
    job = await made(bench, tuning)
    publish(bench, job)
    for again in (job.request, replace(job.request, recipe=job.recipe), replace(job.request, priority=3)):
        ordered = await tuning.jobs.order(again)
        assert (ordered.job, ordered.reused) == (job, True)
    ordered = await tuning.jobs.order(job.request, require_new=True)
    assert not ordered.reused
    assert ordered.job.id != job.id


async def test_what_was_made_of_something_else_is_not_the_answer(bench: Bench) -> None:
    tuning = bench.service()
    bench.at_work(tuning)
    job = await made(bench, tuning)
    publish(bench, job)
    other_data = (await bench.dataset(tuning, "other")).id
    for other in (
        replace(job.request, dataset=other_data),
        replace(job.request, head="roses"),
        replace(job.request, recipe={**job.request.recipe, "seed": 1}),
        replace(job.request, recipe={}),
    ):
        assert not (await tuning.jobs.order(other)).reused


async def test_a_version_that_is_gone_or_of_another_base_is_not_the_answer(bench: Bench) -> None:
    tuning = bench.service()
    bench.at_work(tuning)
    job = await made(bench, tuning)
    assert not (await tuning.jobs.order(job.request)).reused, "its version is not there"
    publish(bench, job, base_digest="another base")
    assert not (await tuning.jobs.order(job.request)).reused
    publish(bench, replace(job, id="job-of-another"))
    assert not (await tuning.jobs.order(job.request)).reused


async def test_an_idempotency_key_is_asked_first(bench: Bench) -> None:
    tuning = bench.service()
    bench.at_work(tuning)
    job = await made(bench, tuning)
    publish(bench, job)
    asked = replace(job.request, priority=1)
    first = await tuning.jobs.order(asked, "key", require_new=True)
    again = await tuning.jobs.order(asked, "key")
    assert (again.job.id, again.reused) == (first.job.id, False)
    with pytest.raises(Conflict):
        await tuning.jobs.order(job.request, "key")
    with pytest.raises(ModelNotFound):
        await tuning.jobs.order(replace(job.request, base="nobody"))


# --- Forgetting


async def test_old_jobs_are_forgotten_and_those_whose_version_is_there_are_not(bench: Bench) -> None:
    tuning = bench.service(keep_jobs_s=90 * DAY_S, keep_datasets_s=30 * DAY_S, sweep_s=0.0)
    bench.at_work(tuning)
    gone = await made(bench, tuning, text="old data")
    kept = await made(bench, tuning, text="data of what is served")
    publish(bench, kept)
    unused = await bench.dataset(tuning, "never used")
    bench.clock.ahead += 91 * DAY_S
    young = await bench.dataset(tuning, "new data")

    async def swept() -> bool:
        return len(await tuning.jobs.list()) == 1 and len(await tuning.datasets.all()) == 2

    await until(swept)
    assert (await types_of(tuning, kept))[-1] == "job.succeeded"
    with pytest.raises(JobNotFound):
        await tuning.jobs.get(gone.id)
    for lost in (gone.request.dataset, unused.id):
        with pytest.raises(DatasetNotFound):
            await tuning.datasets.get(lost)
    there = {(await tuning.datasets.get(id)).file for id in (kept.request.dataset, young.id)}
    assert {path.name for path in (bench.directory / "datasets").iterdir()} == there


async def test_nothing_is_forgotten_before_the_repository_was_read(bench: Bench) -> None:
    bench.models.looked = False
    tuning = bench.service(keep_jobs_s=1.0, sweep_s=0.0)
    bench.at_work(tuning)
    job = await made(bench, tuning)
    publish(bench, job)
    bench.clock.ahead += DAY_S
    seen = len(bench.observer.counts)
    await until(lambda: asyncio.sleep(0, len(bench.observer.counts) > seen + 3))
    assert (await tuning.jobs.get(job.id)).id == job.id


async def test_without_a_term_everything_is_kept(bench: Bench) -> None:
    tuning = bench.service(sweep_s=0.0)
    bench.at_work(tuning)
    job = await made(bench, tuning)
    bench.clock.ahead += 10_000 * DAY_S
    seen = len(bench.observer.counts)
    await until(lambda: asyncio.sleep(0, len(bench.observer.counts) > seen + 3))
    assert (await tuning.jobs.get(job.id)).id == job.id
