"""Trainers on a cluster, over a small Ray with real processes: what is peculiar to them beside the contract of all."""

# ruff: noqa: ASYNC110 - a test may block its own loop, and what other processes do can only be polled

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_ray import SmallRay, small_ray

from service.adapters.trainers import RayCluster, RayTrainer
from service.application.ports import TrainerRun
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.jobs import WAITING
from service.domain.progress import Finished, PhaseProgress, Placed, TrainerEvent, Warned
from service.domain.work_area import TURN_LOST, give_turn, take_turn_back, whose_turn
from tests.adapters.test_process_trainer import PROGRAM, alive, task, until
from tests.application.tuning_fakes import STUCK, WHOLE
from training.turn import take_turn


@pytest.fixture
def cluster() -> Iterator[tuple[SmallRay, str]]:
    with small_ray() as found:
        yield found


@pytest.fixture
def ray(cluster: tuple[SmallRay, str]) -> SmallRay:
    return cluster[0]


@pytest.fixture
async def trainer(cluster: tuple[SmallRay, str], tmp_path: Path) -> AsyncIterator[RayTrainer]:
    trainer = RayTrainer(tmp_path / "jobs", RayCluster(cluster[1], PROGRAM), orphan_limit_s=20)
    yield trainer
    await trainer.close()


async def begun(run: TrainerRun, phase: str = "features") -> list[TrainerEvent]:
    """What it says until it is in a phase."""
    said = []
    async for event in run.events():
        said.append(event)
        if isinstance(event, PhaseProgress) and event.phase == phase:
            return said
    raise AssertionError(f"it ended without {phase}: {said}")


def at_work(tmp_path: Path, job_id: str = "job-1") -> int:
    return int((tmp_path / "jobs" / job_id / "lock").read_text())


async def test_ray_is_asked_for_what_a_trainer_needs_and_events_say_where_it_got_it(
    trainer: RayTrainer, ray: SmallRay
) -> None:
    run = await trainer.start(task(WHOLE))
    first, second, *_ = [event async for event in run.events()]
    assert isinstance(first, PhaseProgress)
    assert (first.phase, first.message) == (WAITING, "waits at Ray for 1 GPU and 1 CPU")
    ((name, job),) = ray.jobs.items()
    assert (job["entrypoint_num_gpus"], job["entrypoint_num_cpus"]) == (1, 1)
    assert job["metadata"] == {"graft_job": "job-1"}
    assert isinstance(second, Placed)
    assert (second.data["gpus"], second.data["node"], second.data["submission"]) == ("0", "node-1", name)
    assert (await run.ended(), job["status"]) == (0, "SUCCEEDED")


async def test_one_that_waits_for_a_gpu_is_stopped_at_once_and_never_begins(
    trainer: RayTrainer, ray: SmallRay, tmp_path: Path
) -> None:
    first = await trainer.start(task(STUCK))
    await begun(first)
    second = await trainer.start(task(STUCK, "job-2"))
    while len(ray.jobs) < 2:
        await asyncio.sleep(0.01)
    await second.stop(30)
    assert await second.ended() == -signal.SIGTERM
    await first.stop(0)
    ghost = next(job for name, job in ray.jobs.items() if name.startswith("job-2"))
    while ghost["status"] in ("PENDING", "RUNNING"):
        await asyncio.sleep(0.01)
    assert not (tmp_path / "jobs/job-2/runs").exists()


async def test_a_lost_machine_is_a_crash_and_the_next_turn_is_on_another(
    trainer: RayTrainer, ray: SmallRay, tmp_path: Path
) -> None:
    acts = [{"once": "first"}, *WHOLE]
    run = await trainer.start(task([STUCK[0], *acts]))
    await begun(run, "validate")
    first = at_work(tmp_path)
    ray.lose_node(next(iter(ray.jobs)))
    assert await run.ended() == -signal.SIGKILL
    assert not alive(first)
    again = await trainer.start(task([STUCK[0], *acts]))
    assert isinstance(await until(again, Finished), Finished)
    assert await again.ended() == 0
    assert len((tmp_path / "jobs/job-1/runs").read_text().split()) == 2


async def test_a_service_that_was_killed_leaves_one_that_the_next_makes_go(
    trainer: RayTrainer, cluster: tuple[SmallRay, str], tmp_path: Path
) -> None:
    lost = await trainer.start(task(STUCK))
    await begun(lost)
    before = at_work(tmp_path)
    other = RayTrainer(tmp_path / "jobs", RayCluster(cluster[1], PROGRAM))
    cluster[0].broken = True
    await other.reap("job-1")
    assert not alive(before)
    cluster[0].broken = False
    await other.close()
    await lost.ended()


async def test_a_ray_that_does_not_answer_is_waited_for_and_makes_one_job(trainer: RayTrainer, ray: SmallRay) -> None:
    ray.broken = True
    run = await trainer.start(task(WHOLE))
    warned: Warned = await until(run, Warned)
    assert "does not answer" in warned.message
    ray.broken = False
    assert isinstance(await until(run, Finished), Finished)
    assert await run.ended() == 0
    assert len(ray.jobs) == 1


async def test_a_ray_that_is_gone_for_good_keeps_no_trainer_from_finishing(trainer: RayTrainer, ray: SmallRay) -> None:
    run = await trainer.start(task([STUCK[0], {"pause": 0.5}, *WHOLE]))
    await begun(run, "validate")
    ray.broken = True
    assert isinstance(await until(run, Finished), Finished)
    assert await run.ended() == 0


@pytest.mark.parametrize("how", ["forgotten", "starved"])
async def test_what_ray_drops_while_it_waits_is_handed_over_again(
    trainer: RayTrainer, ray: SmallRay, how: str, tmp_path: Path
) -> None:
    ray.gpus = 0
    run = await trainer.start(task(WHOLE))
    while not ray.jobs:
        await asyncio.sleep(0.01)
    with ray.lock:
        (dropped,) = ray.jobs
        if how == "forgotten":
            ray.forget()
        else:
            ray.jobs[dropped] |= {"status": "FAILED", "error_type": "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"}
    while not ray.jobs.keys() - {dropped}:
        await asyncio.sleep(0.01)
    ray.gpus = 1
    assert isinstance(await until(run, Finished), Finished)
    assert await run.ended() == 0
    assert len((tmp_path / "jobs/job-1/runs").read_text().split()) == 1


async def test_what_ray_refuses_ends_with_its_reason(trainer: RayTrainer, ray: SmallRay) -> None:
    ray.refuses = "no such resource"
    run = await trainer.start(task(WHOLE))
    assert await run.ended() == 2
    assert "no such resource" in run.log_tail()


async def test_a_trainer_that_is_not_there_ends_with_rays_word(cluster: tuple[SmallRay, str], tmp_path: Path) -> None:
    trainer = RayTrainer(tmp_path / "jobs", RayCluster(cluster[1], ("/no/such/python",)))
    run = await trainer.start(task(WHOLE))
    assert await run.ended() != 0
    assert run.log_tail().startswith("exit ")
    await trainer.close()


async def test_what_it_holds_in_memory_is_known_here(trainer: RayTrainer) -> None:
    run = await trainer.start(task([{"hold_mb": 64}, *STUCK]))
    await begun(run)
    while run.memory_bytes() < 60 << 20:
        await asyncio.sleep(0.05)
    await run.stop(0)
    assert run.memory_bytes() == 0


async def test_one_that_does_not_see_its_turn_is_over_is_an_error(
    cluster: tuple[SmallRay, str], tmp_path: Path
) -> None:
    trainer = RayTrainer(tmp_path / "jobs", RayCluster(cluster[1], PROGRAM), orphan_limit_s=2)
    run = await trainer.start(task([{"ignore_sigterm": True}, *STUCK]))
    await begun(run)
    os.kill(_launcher(cluster[0]), signal.SIGSTOP)
    with pytest.raises(ModelFailed, match="does not see"):
        await trainer.reap("job-1")
    os.kill(_launcher(cluster[0]), signal.SIGCONT)
    await trainer.reap("job-1")
    assert await run.ended() == -signal.SIGKILL
    await trainer.close()


def _launcher(ray: SmallRay) -> int:
    return next(iter(ray.processes.values())).pid


class TestTurn:
    """The launcher by itself."""

    @pytest.fixture
    def area(self, tmp_path: Path) -> Path:
        (tmp_path / "task.json").write_text(json.dumps({"recipe": {"acts": [{"exit": 3}]}}))
        return tmp_path

    def test_it_hands_on_how_the_trainer_ended(self, area: Path) -> None:
        give_turn(area, "t1")
        assert take_turn(area, "t1", PROGRAM) == 3
        assert (area / "events-t1.jsonl").read_text().splitlines()[-1] == '{"ended": 3}'

    @pytest.mark.parametrize("other", ["t2", None])
    def test_another_turn_begins_nothing(self, area: Path, other: str | None) -> None:
        if other:
            give_turn(area, other)
        assert take_turn(area, "t1", PROGRAM) == TURN_LOST
        assert not (area / "runs").exists()

    @pytest.mark.parametrize("how", ["its parent is gone", "its turn is taken back", "it is killed itself"])
    def test_no_trainer_outlives_its_turn(self, tmp_path: Path, how: str) -> None:
        (tmp_path / "task.json").write_text(json.dumps({"recipe": {"acts": STUCK}}))
        give_turn(tmp_path, "t1")
        launching = f"{shlex.join([*PROGRAM, 'turn', str(tmp_path), 't1'])} >/dev/null & echo $!; wait"
        with subprocess.Popen(launching, shell=True, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            launcher = int(parent.stdout.readline())
            events = tmp_path / "events-t1.jsonl"
            while not (events.exists() and "features" in events.read_text()):
                time.sleep(0.02)
            trainer = int((tmp_path / "lock").read_text())
            match how:
                case "its parent is gone":
                    parent.kill()
                case "its turn is taken back":
                    take_turn_back(tmp_path)
                case _:
                    os.kill(launcher, signal.SIGKILL)
            while alive(trainer) or alive(launcher):
                time.sleep(0.02)
        said = events.read_text().splitlines()[-1]
        assert said == '{"ended": -9}' or how == "it is killed itself"

    def test_a_job_that_is_over_is_not_begun_again(self, tmp_path: Path) -> None:
        assert take_turn(tmp_path / "gone", "t1", PROGRAM) == TURN_LOST
        assert not (tmp_path / "gone").exists()

    @pytest.mark.parametrize("name", ["", "../t", "a b", "x" * 201])
    def test_a_turns_name_is_fit_for_a_file(self, area: Path, name: str) -> None:
        with pytest.raises(ValueError, match="cannot name a turn"):
            give_turn(area, name)
        assert whose_turn(area) is None


@pytest.mark.parametrize(
    "settings",
    [
        {"url": "10.0.0.1:8265"},
        {"url": "http://"},
        {"url": "http://r\n"},
        {"url": "http://r:99999"},
        {"url": "http://r", "gpus": 1.5},
    ],
)
def test_what_cannot_be_a_cluster_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        RayCluster(command=(sys.executable,), **settings)
