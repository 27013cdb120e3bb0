"""Several services on one PostgreSQL: jobs are shared out, taken over, and end once, whoever or whatever is lost."""

# ruff: noqa: ASYNC110 - what other processes do can only be polled

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from postgres import Postgres

from service.application.tuning import Tuning
from service.domain.errors import NotReady
from service.domain.jobs import Job, JobState
from tests.application.test_tuning_kills import ROOT, SLOW, assert_ended_once, processes_about
from tests.application.tuning_fakes import Bench, event_of
from tests.application.tuning_program import bench_in


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
async def start(tmp_path: Path, url: str) -> AsyncIterator[Callable[[], Any]]:
    """Starts services, each a process of its own, that run jobs of the database."""
    async with AsyncExitStack() as ending:

        def started() -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", "tests.application.tuning_program", str(tmp_path), url]
            child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
            assert child.stdout is not None
            child.stdout.readline()
            return child

        async def start() -> subprocess.Popen[bytes]:
            child = await asyncio.to_thread(started)
            ending.callback(child.communicate)
            ending.callback(child.kill)
            return child

        yield start


async def owner_of(tuning: Tuning, job: Job) -> str:
    while (owner := (await tuning.jobs.get(job.id)).owner) is None:
        await asyncio.sleep(0.01)
    return owner


async def in_spite_of_cuts(ask: Callable[[], Any]) -> Any:
    while True:
        try:
            return await ask()
        except NotReady:
            await asyncio.sleep(0.01)


@pytest.mark.timeout(120)
async def test_a_job_of_a_killed_service_is_taken_over_by_another(
    tmp_path: Path, url: str, start: Callable[[], Any]
) -> None:
    bench = bench_in(tmp_path, url)
    door = bench.service("door")
    children = [await start(), await start()]
    by_name = {f"service-{child.pid}": child for child in children}
    job = await bench.job(door, [*SLOW[:-1], {"once": "stay"}, SLOW[-1]])
    await event_of(door, job, "job.phase", phase="publish")
    first = await owner_of(door, job)
    by_name.pop(first).kill()
    await assert_ended_once(bench, door, job)
    ended = await door.jobs.get(job.id)
    assert ended.attempt == 2
    assert [event.data["attempt"] for event in await door.jobs.events(job.id) if event.type == "job.validating"] == [
        1,
        2,
    ]
    await bench.close()
    async with asyncio.timeout(10):  # they end by themselves, when they see that their service has
        while processes_about(tmp_path):
            await asyncio.sleep(0.05)


@pytest.mark.timeout(180)
async def test_jobs_end_once_each_though_connections_are_cut_at_random(
    tmp_path: Path, url: str, postgres: Postgres, start: Callable[[], Any]
) -> None:
    chance = random.Random(3)
    bench = bench_in(tmp_path, url)
    door = bench.service("door")
    for _ in range(2):
        await start()
    jobs = [await bench.job(door, SLOW, head=f"head{number % 3}") for number in range(6)]
    cut = 0
    while cut < 30:
        await asyncio.sleep(chance.uniform(0.0, 0.1))
        cut += await asyncio.to_thread(postgres.cut, url, 2)
    for job in jobs:
        await in_spite_of_cuts(lambda job=job: assert_ended_once(bench, door, job))  # type: ignore[misc]
    assert {(await door.jobs.get(job.id)).state for job in jobs} == {JobState.SUCCEEDED}
    await bench.close()


async def test_a_lost_connection_is_told_and_heals(tmp_path: Path, url: str, postgres: Postgres) -> None:
    bench = Bench(tmp_path, database=url)
    tuning = bench.service("door")
    job = await bench.job(tuning)
    assert postgres.cut(url) >= 1
    assert (await tuning.jobs.get(job.id)).id == job.id, "an idle connection that was lost is replaced unseen"
    await bench.close()
