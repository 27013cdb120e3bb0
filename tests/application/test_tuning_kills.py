"""kill -9 of trainers and of whole services at random moments: every job ends once, rightly, and nothing is left."""

# ruff: noqa: ASYNC110 - a test may block its own loop, and what other processes do can only be polled

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from service.domain.jobs import Job, JobState
from tests.application.tuning_fakes import FINISHED, PHASES, Bench, end_of, phase, types_of
from tests.application.tuning_program import bench_in

ROOT = Path(__file__).parents[2]
SLOW: list[dict[str, Any]] = [
    *(act for name in PHASES for act in (phase(name), {"pause": 0.02})),
    {"start_another": "here"},
    {"say": FINISHED},
]


def processes_about(directory: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if str(directory / "jobs").encode() in b" ".join(command):
                found.append(int(entry.name))
    return found


async def assert_ended_once(bench: Bench, tuning: Any, job: Job) -> None:
    ended = await end_of(tuning, job)
    assert (ended.state, ended.version) == (JobState.SUCCEEDED, 3)
    types = await types_of(tuning, job)
    assert types[-1] == "job.succeeded"
    assert types.count("job.succeeded") == 1
    assert types.count("job.validating") == types.count("job.queued") == ended.attempt


@pytest.mark.timeout(120)
async def test_trainers_killed_at_twenty_moments(tmp_path: Path) -> None:
    chance = random.Random(7)
    bench = bench_in(tmp_path)
    tuning = bench.service(most_attempts=1000)
    bench.at_work(tuning)
    jobs = [await bench.job(tuning, SLOW)]
    kills = 0
    while kills < 20:
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        if (await tuning.jobs.get(jobs[-1].id)).state.terminal:
            jobs.append(await bench.job(tuning, SLOW))
        for pid in processes_about(tmp_path)[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                kills += 1
    for job in jobs:
        await assert_ended_once(bench, tuning, job)
    assert processes_about(tmp_path) == []
    await bench.close()
    assert list(bench.trainer.left_behind()) == []


@pytest.mark.timeout(180)
async def test_services_killed_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(11)
    bench = bench_in(tmp_path)
    door = bench.service("door")
    jobs = [await bench.job(door, SLOW, head=f"head{number}") for number in range(3)]

    def service() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.application.tuning_program", str(tmp_path)]
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        return child

    for _ in range(5):
        child = await asyncio.to_thread(service)
        await asyncio.sleep(chance.uniform(0.0, 0.8))
        child.kill()
        await asyncio.to_thread(child.communicate)
    last = await asyncio.to_thread(service)
    try:
        for job in jobs:
            await assert_ended_once(bench, door, job)
    finally:
        last.kill()
        await asyncio.to_thread(last.communicate)
        await bench.close()
    async with asyncio.timeout(10):  # they end by themselves, when they see that their service has
        while processes_about(tmp_path):
            await asyncio.sleep(0.05)
