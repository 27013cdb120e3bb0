"""Jobs through everything that can happen to them, with a fake trainer and a real database."""

# ruff: noqa: ASYNC110 - what other processes do can only be polled

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.adapters.job_database import JobDatabase
from service.domain.artifact import ModelKind
from service.domain.errors import Conflict, InvalidDataset, InvalidInput, JobNotFound, ModelNotFound, NotReady
from service.domain.jobs import Job, JobRequest, JobState, moved, tried_again
from tests.application.tuning_fakes import (
    FAILED,
    FINISHED,
    PHASES,
    STUCK,
    WHOLE,
    Bench,
    Models,
    end_of,
    event_of,
    manifest,
    phase,
    types_of,
)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.trainer.leaving.set()
    await bench.close()


# --- The way of a job


async def test_a_job_runs_to_its_end_and_its_history_tells_every_step(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning)
    assert (job.state, job.attempt) == (JobState.QUEUED, 0)
    bench.at_work(tuning)
    ended = await end_of(tuning, job)

    assert ended.state is JobState.SUCCEEDED
    assert (ended.version, ended.metrics, ended.gate, ended.recipe) == (
        3,
        {"accuracy": 0.97},
        {"verdict": "passed"},
        {"l2": 0.1},
    )
    assert ended.started is not None
    assert ended.finished is not None
    assert (ended.percent, ended.owner, ended.error, ended.attempt) == (100.0, None, None, 1)
    events = await tuning.jobs.events(job.id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    states = [event.type for event in events if event.type != "job.phase"]
    assert states == [f"job.{s}" for s in ("queued", "validating", "running", "evaluating", "publishing", "succeeded")]
    assert len([event for event in events if event.type == "job.phase"]) == len(PHASES)
    assert bench.observer.ends == [JobState.SUCCEEDED]
    await tuning.close()
    assert bench.trainer.areas == set()


async def test_the_trainer_is_told_all_it_needs(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning, head="petals")
    bench.at_work(tuning)
    await end_of(tuning, job)
    (task,) = bench.trainer.tasks
    assert (task.job_id, task.head, task.base_model, task.base_version) == (job.id, "petals", "iris", 1)
    assert (task.base_directory, task.current) == (Path("/repository/iris/1"), Path("/repository/petals/1"))
    assert task.dataset_file.read_text() == "good"
    assert task.repository == Path("/repository")


async def test_a_phase_late_in_the_order_passes_through_every_state_before_it(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning, [phase("export", 80), {"say": FINISHED}])
    bench.at_work(tuning)
    await end_of(tuning, job)
    states = ["job.queued", "job.validating", "job.running", "job.evaluating", "job.publishing"]
    assert await types_of(tuning, job) == [*states, "job.phase", "job.succeeded"]


async def test_a_job_whose_candidate_the_gate_refused_has_succeeded_without_a_version(bench: Bench) -> None:
    tuning = bench.service()
    refused = {**FINISHED, "version": None, "gate": {"verdict": "rejected"}}
    job = await bench.job(tuning, [phase("gate"), {"say": refused}])
    bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert (ended.state, ended.version, ended.gate) == (JobState.SUCCEEDED, None, {"verdict": "rejected"})


async def test_a_failure_told_by_the_trainer_is_final(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning, [phase("validate"), {"say": FAILED}])
    bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert ended.state is JobState.FAILED
    assert ended.error == {"code": "bad_recipe", "message": "no such key", "details": {"key": "l3"}}
    await tuning.close()
    assert (ended.attempt, bench.trainer.areas) == (1, set())


async def test_warnings_become_events(bench: Bench) -> None:
    tuning = bench.service()
    warning = {"event": "warning", "message": "two items are the same", "data": {"items": [1, 2]}}
    job = await bench.job(tuning, [phase("validate"), {"say": warning}, {"say": FINISHED}])
    bench.at_work(tuning)
    await end_of(tuning, job)
    (told,) = [event for event in await tuning.jobs.events(job.id) if event.type == "job.warning"]
    assert (told.message, told.data) == ("two items are the same", {"items": [1, 2]})


async def test_an_unknown_phase_moves_nothing_and_is_shown(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning, [phase("distill", 7), {"hang": True}])
    bench.at_work(tuning)
    await event_of(tuning, job, "job.phase", phase="distill")
    assert (await tuning.jobs.get(job.id)).state is JobState.VALIDATING


async def test_progress_is_stored_no_more_often_than_allowed_and_noted_once_a_phase(bench: Bench) -> None:
    counting = CountingStore(bench.database)
    tuning = bench.service(store=counting, progress_s=3600)
    ticks = [phase("features", percent / 10) for percent in range(200)]
    job = await bench.job(tuning, [*ticks, phase("probe", 40), {"say": FINISHED}])
    bench.at_work(tuning)
    await end_of(tuning, job)
    assert counting.progress_calls == 2
    assert (await types_of(tuning, job)).count("job.phase") == 2


async def test_jobs_run_in_the_order_they_came_and_no_more_at_once_than_allowed(bench: Bench) -> None:
    tuning = bench.service(concurrency=2)
    jobs = [await bench.job(tuning, STUCK, head=f"head{number}") for number in range(3)]
    bench.at_work(tuning)
    for job in jobs[:2]:
        await event_of(tuning, job, "job.phase", phase="features")
    assert (await tuning.jobs.get(jobs[2].id)).state is JobState.QUEUED
    await tuning.jobs.cancel(jobs[0].id)
    await event_of(tuning, jobs[2], "job.phase", phase="features")


# --- Crashes and losses


async def test_a_crashed_trainer_is_started_again(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning, [phase("features"), {"crash_before_run": 3}, *WHOLE])
    bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert (ended.state, ended.attempt, ended.error) == (JobState.SUCCEEDED, 3, None)
    assert (await types_of(tuning, job)).count("job.queued") == 3


async def test_a_job_that_only_crashes_fails_with_the_end_of_the_log(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning, [{"complain": "out of memory"}, phase("probe"), {"exit": 137}])
    bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert ended.error["code"] == "trainer_crashed"
    assert ended.error["details"] == {"status": 137, "log": "out of memory", "attempt": 5}
    assert len(bench.trainer.tasks) == 5


async def test_a_crashed_job_waits_longer_after_every_crash_and_the_queue_does_not_wait_for_it(bench: Bench) -> None:
    tuning = bench.service(pauses_s=(100.0, 400.0))
    job = await bench.job(tuning, [phase("validate"), {"exit": 1}])
    bench.at_work(tuning)
    after = 0
    for pause_s in (100.0, 400.0, 400.0):
        after = await event_of(tuning, job, "job.queued", after, pause_s=pause_s)
        waiting = await tuning.jobs.get(job.id)
        assert waiting.not_before is not None
        assert abs(waiting.not_before - bench.clock.now() - pause_s) < 30.0
        other = await bench.job(tuning, WHOLE, head="other")
        await end_of(tuning, other)
        assert await tuning.jobs.get(job.id) == waiting
        bench.clock.ahead += pause_s
    assert len(bench.trainer.runs[job.id]) == waiting.crashes == 3


async def test_a_job_that_moves_on_is_not_given_up_however_often_it_is_lost(bench: Bench) -> None:
    tuning = bench.service(most_attempts=2)
    job = await bench.job(tuning)
    for name in PHASES[1:]:
        held = bench.database.claim("dead", bench.clock.now())
        assert held is not None
        bench.database.progress(job.id, "dead", name, 10.0, None)
        bench.database.move(tried_again(bench.database.job(job.id), 0.0, (0.0,), "lost"))
    bench.database.claim("dead", 0.0)
    bench.at_work(tuning)
    assert (await end_of(tuning, job)).state is JobState.FAILED
    assert (await tuning.jobs.get(job.id)).attempt == len(PHASES)


async def test_a_trainer_that_falls_silent_is_stopped_and_started_again(bench: Bench) -> None:
    tuning = bench.service(silence_s=600.0)
    job = await bench.job(tuning, [phase("features"), {"crash_before_run": 1}, {"hang": True}])
    bench.at_work(tuning)
    await event_of(tuning, job, "job.phase", phase="features")
    bench.clock.ahead += 500.0
    await asyncio.sleep(0.2)
    (run,) = bench.trainer.runs[job.id]
    assert not run.told_to_stop.is_set()
    bench.clock.ahead += 200.0
    seq = await event_of(tuning, job, "job.queued", after=1)
    (event,) = await tuning.jobs.events(job.id, seq - 1, 1)
    assert event.message.startswith("the trainer said nothing for 600 s and was stopped; the job runs again")
    await event_of(tuning, job, "job.phase", after=seq, phase="features")


async def test_a_trainer_that_goes_on_talking_is_left_alone(bench: Bench) -> None:
    tuning = bench.service(silence_s=600.0)
    names = ("validate", "split", "features", "probe")
    acts = [act for name in names for act in (phase(name), {"pause": 0.1})]
    job = await bench.job(tuning, [*acts, {"say": FINISHED}])
    bench.at_work(tuning)
    for name in names:
        await event_of(tuning, job, "job.phase", phase=name)
        bench.clock.ahead += 400.0
    ended = await end_of(tuning, job)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)


async def test_the_observer_is_told_how_many_jobs_wait_and_run(bench: Bench) -> None:
    tuning = bench.service()
    jobs = [await bench.job(tuning, STUCK, head=f"head{number}") for number in range(3)]
    bench.at_work(tuning)
    await event_of(tuning, jobs[0], "job.phase", phase="features")
    await counted(bench, {JobState.QUEUED: 2, JobState.RUNNING: 1})
    for job in reversed(jobs):
        await tuning.jobs.cancel(job.id)
    await counted(bench, {})


async def counted(bench: Bench, counts: dict[JobState, int]) -> None:
    while bench.observer.counts[-1:] != [counts]:
        bench.observer.counted.clear()
        await bench.observer.counted.wait()


async def test_a_trainer_that_says_nothing_and_ends_well_has_crashed(bench: Bench) -> None:
    tuning = bench.service(most_attempts=1)
    job = await bench.job(tuning, [{"print": "hello"}])
    bench.at_work(tuning)
    assert (await end_of(tuning, job)).state is JobState.FAILED


async def test_a_trainer_that_cannot_be_started_counts_as_crashed(bench: Bench) -> None:
    bench.trainer.cannot_start = "no such program"
    tuning = bench.service(most_attempts=2)
    job = await bench.job(tuning)
    bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert ended.error is not None
    assert ended.error["details"] == {"log": "no such program", "attempt": 2}


async def test_a_trainer_that_finished_but_does_not_leave_is_made_to(bench: Bench) -> None:
    tuning = bench.service(grace_s=0.05)
    job = await bench.job(tuning, [*WHOLE, {"hang": True}])
    bench.at_work(tuning)
    # It says it finished, and hangs: nobody stops it but the one who waits for its end.
    await event_of(tuning, job, "job.phase", phase="publish")
    await tuning.jobs.cancel(job.id)
    assert (await end_of(tuning, job)).state is JobState.SUCCEEDED


async def test_a_job_whose_service_died_runs_again(bench: Bench) -> None:
    tuning = bench.service("second")
    job = await bench.job(tuning)
    bench.database.claim("first, which is dead", bench.clock.now())
    bench.clock.ahead = 11.0
    bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)
    assert job.id in bench.trainer.reaped


async def test_a_job_whose_service_lives_is_left_alone(bench: Bench) -> None:
    first, second = bench.service("first", heartbeat_s=0.01), bench.service("second")
    job = await bench.job(first, STUCK)
    bench.at_work(first)
    await event_of(first, job, "job.phase", phase="features")
    other = await bench.job(second, WHOLE, head="other")
    bench.at_work(second)
    await end_of(second, other)
    assert (await second.jobs.get(job.id)).owner == "first"
    assert len(bench.trainer.runs[job.id]) == 1


async def test_a_job_lost_too_often_fails(bench: Bench) -> None:
    tuning = bench.service(most_attempts=2)
    job = await bench.job(tuning)
    bench.database.claim("dead", 0.0)
    bench.database.move(tried_again(bench.database.job(job.id), 0.0, (0.0,), "lost"))
    bench.database.claim("dead", 0.0)
    bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert ended.error["code"] == "job_lost"
    assert bench.trainer.reaped == [job.id]


async def test_a_lost_job_with_a_cancel_asked_for_is_cancelled_and_not_run(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning)
    bench.database.claim("dead", 0.0)
    await tuning.jobs.cancel(job.id)
    bench.at_work(tuning)
    assert (await end_of(tuning, job)).state is JobState.CANCELLED
    assert bench.trainer.tasks == []
    assert job.id in bench.trainer.reaped


async def test_a_service_that_lost_a_job_stops_its_trainer_and_writes_nothing(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning, STUCK)
    bench.at_work(tuning)
    await event_of(tuning, job, "job.phase", phase="features")
    held = bench.database.job(job.id)
    bench.database.move(moved(held, JobState.QUEUED, bench.clock.now(), "thought lost"))
    taken = bench.database.claim("thief", bench.clock.now())
    assert taken is not None
    (run,) = bench.trainer.runs[job.id]
    await run.ended()
    before = await types_of(tuning, job)
    await tuning.close()
    assert bench.database.job(job.id).owner == "thief"
    assert [event.type for event in bench.database.events(job.id, 0, 100)] == before
    assert run.told_to_stop.is_set()


async def test_a_job_with_an_earlier_trainer_that_cannot_be_ended_waits(bench: Bench) -> None:
    bench.trainer.cannot_reap = "held by a stranger"
    tuning = bench.service(lost_after_s=0.2)
    job = await bench.job(tuning)
    bench.at_work(tuning)
    second = await event_of(tuning, job, "job.validating", attempt=2)
    assert bench.trainer.tasks == []
    bench.trainer.cannot_reap = None
    await event_of(tuning, job, "job.succeeded", after=second)


async def test_a_database_that_is_away_for_a_moment_costs_nothing(bench: Bench) -> None:
    tuning = bench.service(store=FlakyStore(bench.database))
    job = await bench.job(tuning)
    bench.at_work(tuning)
    assert (await end_of(tuning, job)).state is JobState.SUCCEEDED


# --- Bases


async def test_a_job_waits_for_its_base_to_answer(bench: Bench) -> None:
    tuning = bench.service(poll_s=0.01)
    job = await bench.job(tuning)
    base = bench.models.found.pop("iris")
    bench.at_work(tuning)
    await event_of(tuning, job, "job.validating")
    bench.models.found["iris"] = base
    assert (await end_of(tuning, job)).state is JobState.SUCCEEDED


async def test_a_job_whose_base_stays_away_fails(bench: Bench) -> None:
    tuning = bench.service(base_wait_s=0.05)
    job = await bench.job(tuning)
    del bench.models.found["iris"]
    bench.at_work(tuning)
    ended = await end_of(tuning, job)
    assert ended.error is not None
    assert (ended.state, ended.error["code"]) == (JobState.FAILED, "base_not_live")


async def test_a_job_that_waits_for_its_base_can_be_cancelled(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning)
    del bench.models.found["iris"]
    bench.at_work(tuning)
    await event_of(tuning, job, "job.validating")
    await tuning.jobs.cancel(job.id)
    assert (await end_of(tuning, job)).state is JobState.CANCELLED
    assert bench.trainer.tasks == []


# --- Cancel


async def test_a_queued_job_is_cancelled_at_once(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning)
    cancelled = await tuning.jobs.cancel(job.id)
    assert cancelled.state is JobState.CANCELLED
    with pytest.raises(Conflict, match="was cancelled"):
        await tuning.jobs.cancel(job.id)
    assert await types_of(tuning, job) == ["job.queued", "job.cancelled"]


async def test_a_queued_job_that_ran_before_is_cancelled_when_its_trainer_is_gone_for_certain(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning)
    bench.database.claim("dead", 0.0)
    bench.database.move(moved(bench.database.job(job.id), JobState.QUEUED, 0.0, "lost"))
    assert (await tuning.jobs.cancel(job.id)).state is JobState.CANCELLED
    assert bench.trainer.reaped == [job.id]


async def test_a_running_job_is_cancelled_only_when_its_processes_are_gone(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning, STUCK)
    bench.at_work(tuning)
    await event_of(tuning, job, "job.phase", phase="features")
    bench.trainer.leaving.clear()
    asked = await tuning.jobs.cancel(job.id)
    assert (asked.state, asked.cancel_requested) == (JobState.RUNNING, True)
    (run,) = bench.trainer.runs[job.id]
    await run.told_to_stop.wait()
    again = await tuning.jobs.cancel(job.id)
    assert (again.state, again.cancel_requested) == (JobState.RUNNING, True)
    bench.trainer.leaving.set()
    ended = await end_of(tuning, job)
    assert (ended.state, ended.error) == (JobState.CANCELLED, None)
    assert (await types_of(tuning, job)).count("job.cancel_requested") == 1
    await tuning.close()
    assert bench.trainer.areas == set()


async def test_a_trainer_that_finishes_before_it_is_stopped_has_finished(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning, [{"on_sigterm_say": FINISHED}, *STUCK])
    bench.at_work(tuning)
    await event_of(tuning, job, "job.phase", phase="features")
    await tuning.jobs.cancel(job.id)
    ended = await end_of(tuning, job)
    assert (ended.state, ended.version, ended.cancel_requested) == (JobState.SUCCEEDED, 3, True)


async def test_a_failure_told_on_being_stopped_is_a_cancel(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning, [{"on_sigterm_say": FAILED}, *STUCK])
    bench.at_work(tuning)
    await event_of(tuning, job, "job.phase", phase="features")
    await tuning.jobs.cancel(job.id)
    assert (await end_of(tuning, job)).state is JobState.CANCELLED


async def test_a_cancel_asked_of_another_process_is_honoured(bench: Bench) -> None:
    tuning, door = bench.service("worker"), bench.service("door")
    job = await bench.job(door, STUCK)
    bench.at_work(tuning)
    await event_of(door, job, "job.phase", phase="features")
    await door.jobs.cancel(job.id)
    assert (await end_of(door, job)).state is JobState.CANCELLED


# --- Stopping the service


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_a_service_that_stops_hands_its_job_back_and_the_next_finishes_it(bench: Bench, how: str) -> None:
    first = bench.service("first")
    job = await bench.job(first, [phase("features"), {"pause": 0.0}, {"hang": True}])
    work = bench.at_work(first)
    await event_of(first, job, "job.phase", phase="features")
    if how == "close":
        await first.close()
    else:
        work.cancel()
        await asyncio.wait({work})
    handed = bench.database.job(job.id)
    assert (handed.state, handed.attempt, handed.owner, handed.phase) == (JobState.QUEUED, 0, None, None)
    assert bench.trainer.areas == {job.id}

    second = bench.service("second")
    bench.at_work(second)
    await event_of(second, job, "job.phase", after=len(bench.database.events(job.id, 0, 100)), phase="features")
    assert (await second.jobs.get(job.id)).attempt == 1


async def test_watchers_are_let_go_when_the_service_stops(bench: Bench) -> None:
    tuning = bench.service(poll_s=3600)
    job = await bench.job(tuning)
    watch = tuning.jobs.watch(job.id)
    assert (await anext(watch)).type == "job.queued"
    waiting = asyncio.create_task(anext(watch, None))
    await asyncio.wait({waiting}, timeout=0.05)
    assert not waiting.done()
    await tuning.close()
    assert await waiting is None
    with pytest.raises(NotReady):
        await tuning.jobs.get(job.id)


async def end_of_watch(tuning: Any, job: Job) -> list[str]:
    return [event.type async for event in tuning.jobs.watch(job.id)]


async def test_what_killed_services_left_in_the_work_area_goes_unless_its_job_lives(bench: Bench) -> None:
    tuning = bench.service()
    ended = await bench.job(tuning, head="ended")
    await tuning.jobs.cancel(ended.id)
    waiting = await bench.job(tuning, STUCK)
    bench.trainer.areas |= {ended.id, waiting.id, "job-of-no-one"}
    bench.at_work(tuning)
    await event_of(tuning, waiting, "job.phase", phase="features")
    assert bench.trainer.areas == {waiting.id}


# --- Watching


async def test_a_watcher_goes_on_from_where_it_was_and_ends_with_the_job(bench: Bench) -> None:
    tuning = bench.service()
    job = await bench.job(tuning)
    bench.at_work(tuning)
    everything = [event.seq async for event in tuning.jobs.watch(job.id)]
    assert [event.seq async for event in tuning.jobs.watch(job.id, 5)] == everything[5:]
    assert [event.seq async for event in tuning.jobs.watch(job.id, everything[-1])] == []
    assert [event.seq async for event in tuning.jobs.watch(job.id, 10**6)] == []


async def test_a_watcher_sees_what_another_process_writes(bench: Bench) -> None:
    watcher, worker = bench.service("watcher"), bench.service("worker")
    job = await bench.job(watcher)
    watching = asyncio.create_task(end_of(watcher, job))
    bench.at_work(worker)
    assert (await watching).state is JobState.SUCCEEDED


async def test_many_watchers_of_a_job_cost_one_look_at_the_store(bench: Bench) -> None:
    counting = CountingStore(bench.database)
    watcher, worker = bench.service("watcher", store=counting, poll_s=0.01), bench.service("worker")
    job = await bench.job(watcher)
    watching = [asyncio.create_task(end_of_watch(watcher, job)) for _ in range(50)]
    read = None
    while counting.reads != read:  # until all have seen what there is, and look no more
        read, looks = counting.reads, counting.looks
        while counting.looks < looks + 10:
            await asyncio.sleep(0.01)
    assert counting.reads < 50 * 5
    bench.at_work(worker)
    histories = await asyncio.gather(*watching)
    assert {tuple(types) for types in histories} == {tuple(await types_of(watcher, job))}
    looks = counting.looks
    await asyncio.sleep(0.05)
    assert counting.looks == looks


async def test_nobody_watches_a_job_that_is_not(bench: Bench) -> None:
    tuning = bench.service()
    for name in ("job-0", "../../etc/passwd", "x" * 10_000, "\ud800", ""):
        with pytest.raises(JobNotFound):
            await end_of_watch(tuning, replace(await bench.job(tuning), id=name))


# --- What is refused


@pytest.mark.parametrize(
    "head", ["", ".hidden", "../up", "a/b", "A", "x" * 64, "-a", "a\n", "a.", "a b", "é", "\ud800", "a\0b", "..", "."]
)
async def test_a_head_cannot_be_called_so(bench: Bench, head: str) -> None:
    tuning = bench.service()
    dataset = await bench.dataset(tuning)
    with pytest.raises(InvalidInput, match="cannot name a head"):
        await tuning.jobs.submit(JobRequest(head, "iris", dataset.id))


async def test_a_request_that_cannot_succeed_is_refused_and_leaves_nothing(bench: Bench) -> None:
    tuning = bench.service()
    good, wide = await bench.dataset(tuning), await bench.dataset(tuning, "width 9")
    for error, request in [
        (ModelNotFound, JobRequest("flowers", "nobody", good.id)),
        (ModelNotFound, JobRequest("flowers", "foreign", good.id)),
        (InvalidInput, JobRequest("flowers", "petals", good.id)),
        (Conflict, JobRequest("iris", "iris", good.id)),
        (Conflict, JobRequest("foreign", "iris", good.id)),
        (InvalidDataset, JobRequest("flowers", "iris", wide.id)),
        (InvalidInput, JobRequest("flowers", "iris", good.id, {"l2": float("nan")})),
        (InvalidInput, JobRequest("flowers", "iris", good.id, {"l2": object()})),
        (InvalidInput, JobRequest("flowers", "iris", good.id, {"notes": "x" * 100_000})),
    ]:
        with pytest.raises(error):
            await tuning.jobs.submit(request)
    assert await tuning.jobs.list() == []


async def test_a_head_goes_by_its_name_when_its_last_version_was_fine_tuned(bench: Bench) -> None:
    tuning = bench.service()
    grown = manifest(ModelKind.HEAD)
    bench.models.found["roses"] = Models._listing("roses", replace(grown, kind=ModelKind.FULL, routes={}))
    dataset = await bench.dataset(tuning)
    assert (await tuning.jobs.submit(JobRequest("roses", "iris", dataset.id))).state is JobState.QUEUED
    bench.models.found["roses"] = Models._listing("roses", replace(grown, kind=ModelKind.FULL, base=None))
    with pytest.raises(Conflict):
        await tuning.jobs.submit(JobRequest("roses", "iris", dataset.id))


async def test_a_key_gives_the_same_job_again_and_refuses_another_request(bench: Bench) -> None:
    tuning = bench.service()
    dataset = await bench.dataset(tuning)
    request = JobRequest("flowers", "iris", dataset.id, {"l2": 1})
    first = await tuning.jobs.submit(request, "key")
    assert await tuning.jobs.submit(request, "key") == first
    base = bench.models.found.pop("iris")
    assert await tuning.jobs.submit(request, "key") == first
    bench.models.found["iris"] = base
    with pytest.raises(Conflict, match="used before"):
        await tuning.jobs.submit(replace(request, head="other"), "key")
    for key in ("", "x" * 256, "a\nb", "é"):
        with pytest.raises(InvalidInput):
            await tuning.jobs.submit(request, key)
    assert len(await tuning.jobs.list()) == 1


async def test_lists_page_by_page_and_refuse_tokens_that_are_none(bench: Bench) -> None:
    tuning = bench.service()
    jobs = [await bench.job(tuning, head=f"head{number % 2}") for number in range(5)]
    newest_first = [job.id for job in reversed(jobs)]
    first = await tuning.jobs.list(limit=2)
    second = await tuning.jobs.list(after=first[-1].id, limit=10)
    assert [job.id for job in (*first, *second)] == newest_first
    assert len(await tuning.jobs.list(head="head1")) == 2
    await tuning.jobs.cancel(jobs[0].id)
    assert [job.id for job in await tuning.jobs.list(JobState.CANCELLED)] == [jobs[0].id]
    for bad in (
        {"after": "job-unknown"},
        {"after": "'; drop table jobs"},
        {"limit": 0},
        {"limit": 501},
        {"head": "../"},
    ):
        with pytest.raises(InvalidInput):
            await tuning.jobs.list(**bad)


class CountingStore:
    """A store that counts how often progress is written, events are read, and news are looked for."""

    def __init__(self, store: JobDatabase) -> None:
        self._store = store
        self.progress_calls = self.reads = self.looks = 0

    def events(self, *args: Any) -> Any:
        self.reads += 1
        return self._store.events(*args)

    def last_seq(self, job_id: str) -> int:
        self.looks += 1
        return self._store.last_seq(job_id)

    def progress(self, *args: Any) -> None:
        self.progress_calls += 1
        self._store.progress(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class FlakyStore:
    """A store of which every second call of each writing method fails, the first one too."""

    def __init__(self, store: JobDatabase) -> None:
        self._store = store
        self._failed: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name not in {"move", "append", "beat", "progress", "claim", "lost"}:
            return method

        def flaky(*args: Any, **kwargs: Any) -> Any:
            if name not in self._failed:
                self._failed.add(name)
                raise NotReady("the database is away")
            self._failed.discard(name)
            return method(*args, **kwargs)

        return flaky
