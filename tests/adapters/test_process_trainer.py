"""The trainer as a child process, with a small program in its place; and the fake, held to the same contract."""

# ruff: noqa: ASYNC110, ASYNC220, ASYNC240 - a test may block its own loop, and what other processes do can only be polled

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from small_ray import small_ray

from service.adapters.trainers import ProcessDatasetChecker, ProcessTrainer, RayCluster, RayTrainer, groups
from service.adapters.trainers.run import ProcessRun
from service.application.ports import Trainer, TrainerRun, TrainerTask
from service.domain.artifact import InputKind, InputSpec
from service.domain.dataset import Dataset, DatasetFormat, DatasetReport
from service.domain.errors import ModelFailed
from service.domain.jobs import WAITING
from service.domain.progress import Failed, Finished, PhaseProgress, Placed, TrainerEvent, Warned, from_line
from service.domain.sample import SampleWish
from tests.application.tuning_fakes import FAILED, FINISHED, STUCK, WHOLE, FakeTrainer, phase

PROGRAM = (sys.executable, str(Path(__file__).with_name("trainer_program.py")))
REPORT = DatasetReport(DatasetFormat.CSV, InputKind.VECTOR, 2, {"a": 1, "b": 1}, (3,), ("x",), "d")


def task(acts: Sequence[Mapping[str, Any]], job_id: str = "job-1") -> TrainerTask:
    return TrainerTask(
        job_id=job_id,
        head="flowers",
        base_model="iris",
        base_version=2,
        base_directory=Path("/repository/iris/2"),
        dataset_file=Path("/state/datasets/ds-1.csv"),
        dataset=Dataset("ds-1", REPORT, "f.csv", 7, 1.5, {"label": "kind"}, "ds-1.csv"),
        repository=Path("/repository"),
        recipe={"acts": list(acts)},
    )


async def all_of(run: TrainerRun) -> list[TrainerEvent]:
    """What the trainer says; of one on a cluster without where it waited and was placed."""
    return [event async for event in run.events() if not _of_the_cluster(event)]


def _of_the_cluster(event: TrainerEvent) -> bool:
    return isinstance(event, Placed) or (isinstance(event, PhaseProgress) and event.phase == WAITING)


async def until(run: TrainerRun, kind: type[Any]) -> Any:
    async for event in run.events():
        if isinstance(event, kind) and not _of_the_cluster(event):
            return event
    raise AssertionError(f"it ended without {kind}")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.fixture
async def trainer(tmp_path: Path) -> ProcessTrainer:
    return ProcessTrainer(tmp_path / "jobs", PROGRAM, orphan_grace_s=0.2, orphan_limit_s=0.6)


@pytest.fixture
async def warm(tmp_path: Path) -> AsyncIterator[ProcessTrainer]:
    """One that keeps a trainer ready, once it is asked to."""
    trainer = ProcessTrainer(tmp_path / "jobs", PROGRAM, orphan_grace_s=0.2, orphan_limit_s=0.6, spares=1)
    yield trainer
    await trainer.close()


@pytest.fixture
async def ray(tmp_path: Path) -> AsyncIterator[RayTrainer]:
    with small_ray() as (_, url):
        trainer = RayTrainer(tmp_path / "jobs-at-ray", RayCluster(url, PROGRAM))
        yield trainer
        await trainer.close()


class TestContract:
    """What a fake and the real thing have in common."""

    @pytest.fixture(params=["fake", "process", "spare process", "ray"])
    async def either(
        self, request: pytest.FixtureRequest, trainer: ProcessTrainer, warm: ProcessTrainer, ray: RayTrainer
    ) -> Trainer:
        if request.param == "spare process":
            await warm.warm_up()
        return {"fake": FakeTrainer(), "process": trainer, "ray": ray}.get(request.param, warm)

    async def test_it_says_what_it_does_and_ends(self, either: Trainer) -> None:
        run = await either.start(task(WHOLE))
        *phases, last = await all_of(run)
        assert [event.phase for event in phases if isinstance(event, PhaseProgress)] == [
            act["say"]["phase"] for act in WHOLE[:-1]
        ]
        assert last == from_line(json.dumps(FINISHED))
        assert await run.ended() == 0
        assert await run.ended() == 0

    async def test_a_failure_ends_with_one(self, either: Trainer) -> None:
        run = await either.start(task([phase("validate"), {"say": FAILED}]))
        assert isinstance((await all_of(run))[-1], Failed)
        assert await run.ended() == 1

    async def test_a_crash_has_a_status_and_a_log(self, either: Trainer) -> None:
        run = await either.start(task([{"print": "chatter"}, {"complain": "no memory"}, {"exit": 7}]))
        assert await all_of(run) == []
        assert await run.ended() == 7
        assert sorted(run.log_tail().split("\n")[:2]) == ["chatter", "no memory"]

    async def test_killed_is_negative(self, either: Trainer) -> None:
        run = await either.start(task([{"crash_before_run": 2}]))
        assert await all_of(run) == []
        assert await run.ended() == -9

    async def test_it_stops_when_asked(self, either: Trainer) -> None:
        run = await either.start(task(STUCK))
        await until(run, PhaseProgress)
        await run.stop(30)
        assert await run.ended() == -15
        await run.stop(30)

    async def test_it_is_made_to_stop(self, either: Trainer) -> None:
        run = await either.start(task([{"ignore_sigterm": True}, *STUCK]))
        await until(run, PhaseProgress)
        await run.stop(0.05)
        assert await run.ended() == -9

    async def test_it_may_say_a_last_word(self, either: Trainer) -> None:
        run = await either.start(task([{"on_sigterm_say": FINISHED}, *STUCK]))
        await until(run, PhaseProgress)
        await run.stop(30)
        assert await run.ended() == 0
        assert isinstance(await until(run, Finished), Finished)

    async def test_it_leaves_a_work_area_until_that_is_discarded(self, either: Trainer) -> None:
        run = await either.start(task(WHOLE))
        await run.ended()
        assert list(either.left_behind()) == ["job-1"]
        for _ in range(2):
            either.discard("job-1")
        assert list(either.left_behind()) == []
        await either.reap("job-1")


async def test_the_trainer_is_told_by_a_file(trainer: ProcessTrainer, tmp_path: Path) -> None:
    run = await trainer.start(task([{"exit": 0}]))
    await run.ended()
    told = json.loads((tmp_path / "jobs/job-1/task.json").read_text())
    assert told == {
        "job_id": "job-1",
        "head": "flowers",
        "base_model": "iris",
        "base_version": 2,
        "base_directory": "/repository/iris/2",
        "dataset_file": "/state/datasets/ds-1.csv",
        "dataset": {
            "id": "ds-1",
            "report": json.loads(json.dumps(REPORT.to_dict())),
            "filename": "f.csv",
            "size_bytes": 7,
            "created": 1.5,
            "options": {"label": "kind"},
        },
        "repository": "/repository",
        "recipe": {"acts": [{"exit": 0}]},
        "current": None,
        "outbox": None,
        "known_features": None,
    }


async def test_lines_may_be_long_and_bytes_odd(trainer: ProcessTrainer) -> None:
    long = {"event": "warning", "message": "x" * 3_000_000, "data": {}}
    acts = [{"say": long}, {"print": "y" * 300_000 + "\udcff"}, {"print": "\r\n\n"}, {"say": FINISHED}]
    run = await trainer.start(task(acts[:1] + acts[2:]))
    first, last = await all_of(run)
    assert isinstance(first, Warned)
    assert len(first.message) == 3_000_000
    assert isinstance(last, Finished)


async def test_it_leads_a_group_of_its_own_and_gives_way_to_serving(trainer: ProcessTrainer, tmp_path: Path) -> None:
    run = await trainer.start(task(STUCK))
    await until(run, PhaseProgress)
    pid = int((tmp_path / "jobs/job-1/lock").read_text())
    assert (os.getpgid(pid), os.getsid(pid)) == (pid, pid)
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    await run.stop(5)


async def test_what_it_holds_in_memory_is_known_until_it_is_gone(trainer: ProcessTrainer) -> None:
    light = await trainer.start(task(STUCK))
    await until(light, PhaseProgress)
    heavy = await trainer.start(task([{"hold_mb": 64}, *STUCK], "job-2"))
    await until(heavy, PhaseProgress)
    assert light.memory_bytes() > 1 << 20
    assert heavy.memory_bytes() - light.memory_bytes() > 60 << 20
    for run in (light, heavy):
        await run.stop(0)
        assert run.memory_bytes() == 0


async def test_one_that_was_suspended_is_made_to_stop(trainer: ProcessTrainer, tmp_path: Path) -> None:
    run = await trainer.start(task(STUCK))
    await until(run, PhaseProgress)
    group = int((tmp_path / "jobs/job-1/lock").read_text())
    groups.send(group, signal.SIGSTOP)
    while [member.state for member in groups.members(group)] != ["T"]:
        await asyncio.sleep(0.01)
    await run.stop(0.05)
    assert await run.ended() == -9


@pytest.mark.parametrize("end", ["by itself", "stopped"])
async def test_it_has_ended_only_when_all_it_started_has(trainer: ProcessTrainer, end: str) -> None:
    run = await trainer.start(task([{"start_another": "here"}, {"exit": 0} if end == "by itself" else {"hang": True}]))
    grandchild = (await until(run, Warned)).data["pid"]
    assert alive(grandchild)
    if end == "stopped":
        await run.stop(0.05)
    await run.ended()
    assert not alive(grandchild)


async def test_a_process_that_left_the_group_does_not_keep_events_from_ending(trainer: ProcessTrainer) -> None:
    run = await trainer.start(task([{"start_another": "elsewhere"}, {"exit": 0}]))
    events = await all_of(run)
    assert await run.ended() == 0
    escaped = next(event.data["pid"] for event in events if isinstance(event, Warned))
    os.kill(escaped, signal.SIGKILL)


async def test_a_program_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    trainer = ProcessTrainer(tmp_path, ["/no/such/program"])
    with pytest.raises(ModelFailed, match="cannot be started"):
        await trainer.start(task(WHOLE))
    await asyncio.sleep(0)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


async def test_a_start_that_fails_half_way_keeps_no_descriptors(trainer: ProcessTrainer, tmp_path: Path) -> None:
    (tmp_path / "jobs/job-1/trainer.log").mkdir(parents=True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ModelFailed, match="cannot be started"):
        await trainer.start(task(WHOLE))
    await asyncio.sleep(0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("room", range(5))
async def test_a_start_without_descriptors_left_keeps_none(trainer: ProcessTrainer, tmp_path: Path, room: int) -> None:
    (tmp_path / "jobs/job-1").mkdir(parents=True)
    log = tmp_path / "trainer.log"
    used = {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}
    free = [number for number in range(max(used) + 10) if number not in used][room]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            await ProcessRun.started([*PROGRAM, "job", str(tmp_path)], log)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    await asyncio.sleep(0)
    assert {int(entry.name) for entry in Path("/proc/self/fd").iterdir()} == used


async def test_a_start_that_nobody_waits_for_leaves_nothing(trainer: ProcessTrainer, tmp_path: Path) -> None:
    starting = asyncio.create_task(trainer.start(task(STUCK)))
    while not (tmp_path / "jobs/job-1/task.json").exists():
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    runs = tmp_path / "jobs/job-1/runs"
    assert not any(alive(int(pid)) for pid in (runs.read_text().split() if runs.exists() else ()))


def children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


async def test_a_trainer_kept_ready_does_the_next_job_and_another_takes_its_place(
    warm: ProcessTrainer, tmp_path: Path
) -> None:
    before = children()
    await warm.warm_up()
    await warm.warm_up()
    (ready,) = children() - before
    run = await warm.start(task(WHOLE))
    assert isinstance((await all_of(run))[-1], Finished)
    assert (tmp_path / "jobs/job-1/runs").read_text() == f"{ready}\n"
    assert await run.ended() == 0
    while not (after := children() - before) or ready in after:
        await asyncio.sleep(0.01)
    await warm.close()
    assert not any(alive(pid) for pid in after)


async def test_a_trainer_kept_ready_that_died_costs_nothing_but_time(warm: ProcessTrainer, tmp_path: Path) -> None:
    before = children()
    await warm.warm_up()
    (ready,) = children() - before
    os.kill(ready, signal.SIGKILL)
    run = await warm.start(task(WHOLE))
    assert isinstance((await all_of(run))[-1], Finished)
    assert str(ready) not in (tmp_path / "jobs/job-1/runs").read_text()


async def test_what_cannot_be_kept_ready_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = ProcessTrainer(tmp_path, ["/no/such/program"], spares=1)
    await trainer.warm_up()
    assert "no trainer can be kept ready" in caplog.text
    await trainer.close()


async def test_a_trainer_that_was_kept_ready_is_known_as_an_orphan(warm: ProcessTrainer, tmp_path: Path) -> None:
    """Its command line does not name its work directory; the lock it holds does."""
    await warm.warm_up()
    run = await warm.start(task([{"deaf": True}, *STUCK]))
    await until(run, PhaseProgress)
    other = ProcessTrainer(tmp_path / "jobs", PROGRAM, orphan_grace_s=0.1, orphan_limit_s=5)
    await other.reap("job-1")
    assert await run.ended() == -9


@pytest.fixture
async def orphan(trainer: ProcessTrainer, tmp_path: Path) -> AsyncIterator[subprocess.Popen[str]]:
    """A trainer of a service that was killed, which has not noticed."""
    workdir = tmp_path / "jobs/job-1"
    workdir.mkdir(parents=True)
    (workdir / "task.json").write_text(json.dumps({"recipe": {"acts": [{"deaf": True}, *STUCK]}}))
    command = [*PROGRAM, "job", str(workdir)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout is not None
    assert await asyncio.to_thread(child.stdout.readline)
    # Somebody has to collect it once it is dead, as its own service, or init, would.
    collecting = threading.Thread(target=child.wait)
    collecting.start()
    yield child
    groups.send(child.pid, signal.SIGKILL)
    await asyncio.to_thread(collecting.join)
    child.stdout.close()


async def test_an_orphan_that_stays_is_killed_before_another_starts(
    trainer: ProcessTrainer, orphan: subprocess.Popen[str], tmp_path: Path
) -> None:
    run = await trainer.start(task(WHOLE))
    assert not alive(orphan.pid)
    assert isinstance((await all_of(run))[-1], Finished)
    assert len((tmp_path / "jobs/job-1/runs").read_text().split()) == 2


async def test_an_orphan_that_leaves_is_waited_for(
    trainer: ProcessTrainer, orphan: subprocess.Popen[str], tmp_path: Path
) -> None:
    patient = ProcessTrainer(tmp_path / "jobs", PROGRAM, orphan_grace_s=3600, orphan_limit_s=3600)
    reaping = asyncio.create_task(patient.reap("job-1"))
    await asyncio.wait({reaping}, timeout=0.1)
    assert not reaping.done()
    os.kill(orphan.pid, signal.SIGKILL)
    await reaping


async def test_a_holder_that_cannot_be_identified_is_not_killed(
    trainer: ProcessTrainer, orphan: subprocess.Popen[str], tmp_path: Path
) -> None:
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        (tmp_path / "jobs/job-1/lock").write_text(str(stranger.pid))
        with pytest.raises(ModelFailed, match="cannot be identified"):
            await trainer.start(task(WHOLE))
        assert alive(stranger.pid)
        assert alive(orphan.pid)
        for text in ("", "1", "0", "-1", "not a number"):
            (tmp_path / "jobs/job-1/lock").write_text(text)
            with pytest.raises(ModelFailed):
                await trainer.reap("job-1")
    finally:
        stranger.kill()
        await asyncio.to_thread(stranger.wait)


class TestCheck:
    """The check of data, by the same program."""

    @pytest.fixture
    def checker(self) -> ProcessDatasetChecker:
        return ProcessDatasetChecker(PROGRAM)

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "upload"

    async def test_a_report_comes_back(self, checker: ProcessDatasetChecker, file: Path) -> None:
        file.write_text(json.dumps(REPORT.to_dict()))
        assert await checker.check(file, None, {}) == REPORT

    async def test_options_cannot_become_others(self, checker: ProcessDatasetChecker, file: Path) -> None:
        file.write_text("options")
        with pytest.raises(ModelFailed, match=r"--json.*--format=csv.*--label=--output=/etc/passwd"):
            await checker.check(file, DatasetFormat.CSV, {"label": "--output=/etc/passwd"})

    async def test_a_wish_for_a_sample_reaches_the_check(self, checker: ProcessDatasetChecker, file: Path) -> None:
        file.write_text("options")
        wish = SampleWish(file.with_name("a 'sample'"), InputSpec(InputKind.VECTOR, (2,), columns=("a", "b")))
        with pytest.raises(ModelFailed) as told:
            await checker.check(file, None, {}, wish)
        (given,) = [one for one in json.loads(str(told.value).partition(": ")[2]) if one.startswith("--sample=")]
        assert SampleWish.from_json(given.removeprefix("--sample=")) == wish

    @pytest.mark.parametrize("said", ["", "junk", "{}", "[" * 100_000, '{"format": "exe"}', "7"])
    async def test_what_is_no_report_is_told_of(self, checker: ProcessDatasetChecker, file: Path, said: str) -> None:
        file.write_text(said)
        with pytest.raises(ModelFailed, match="no report"):
            await checker.check(file, None, {})

    async def test_a_crash_is_told_of_with_its_reason(self, checker: ProcessDatasetChecker, file: Path) -> None:
        file.write_text("crash")
        with pytest.raises(ModelFailed, match=r"status -11: it broke here"):
            await checker.check(file, None, {})

    async def test_it_takes_no_longer_than_it_may(self, file: Path) -> None:
        file.write_text("hang")
        with pytest.raises(ModelFailed, match="took more than"):
            await ProcessDatasetChecker(PROGRAM, limit_s=0.3).check(file, None, {})
        note = file.parent / "checking"
        assert not (note.exists() and alive(int(note.read_text())))

    async def test_it_ends_when_nobody_waits_for_it(self, file: Path) -> None:
        file.write_text("hang")
        checking = asyncio.create_task(ProcessDatasetChecker(PROGRAM).check(file, None, {}))
        note = file.parent / "checking"
        while not (note.exists() and note.read_text()):
            await asyncio.sleep(0.01)
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
        assert not alive(int(note.read_text()))

    async def test_a_program_that_is_not_there_is_told_of(self, file: Path) -> None:
        file.write_text("x")
        with pytest.raises(ModelFailed, match="cannot be started"):
            await ProcessDatasetChecker(["/no/such/program"]).check(file, None, {})
