"""Jobs as real processes: killed at every phase, left by their service, two at once, and failing on purpose."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer_job import JobProcess, write_task

from service.domain.jobs import PHASES
from service.domain.progress import Failed, Finished, PhaseProgress
from training.publish import versions
from training.verify import damage

Start = Callable[[Path], JobProcess]


def test_killed_at_every_phase_it_ends_well_with_one_version(
    base_repository, digits_file: Path, tmp_path: Path, start_job: Start
) -> None:
    work, repository = tmp_path / "work", tmp_path / "repo"
    # Fine-tuning that takes its time, so that it is killed in the middle and not when it is over.
    recipe = {"finetune": {"enabled": "always", "learning_rate": 1e-3, "steps": 100}}
    write_task(work, base_repository.base, digits_file, repository, recipe=recipe)
    announced: list[str] = []
    for phase in PHASES:
        job = start_job(work)
        while (event := job.next_event()) is not None:
            if isinstance(event, PhaseProgress):
                announced.append(event.phase)
                if event.phase == phase:
                    break
        job.kill()
        assert announced[-1] == phase, "a finished phase is not done again, and none is skipped"
    events = start_job(work).events()
    assert isinstance(events[-1], Finished)
    assert events[-1].version == 1
    home = repository / "fives"
    assert versions(home) == [1]
    assert damage(home / "1") is None
    assert [path.name for path in home.iterdir() if path.name.startswith(".")] == [".numbering.lock"]
    again = start_job(work).events()
    assert again == events[-1:]
    assert versions(home) == [1]


def test_end_of_input_ends_the_whole_group(
    base_repository, digits_file: Path, tmp_path: Path, start_job: Start
) -> None:
    write_task(tmp_path / "work", base_repository.base, digits_file, tmp_path / "repo")
    job = start_job(tmp_path / "work")
    assert isinstance(job.next_event(), PhaseProgress)
    assert job.process.stdin is not None
    job.process.stdin.close()
    assert job.process.wait(timeout=20) == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.killpg(job.process.pid, 0)


def test_sigterm_ends_it(base_repository, digits_file: Path, tmp_path: Path, start_job: Start) -> None:
    write_task(tmp_path / "work", base_repository.base, digits_file, tmp_path / "repo")
    job = start_job(tmp_path / "work")
    assert isinstance(job.next_event(), PhaseProgress)
    job.process.terminate()
    assert job.process.wait(timeout=20) == -signal.SIGTERM


def test_two_in_one_directory_do_not_both_run(
    base_repository, digits_file: Path, tmp_path: Path, start_job: Start
) -> None:
    work = tmp_path / "work"
    write_task(work, base_repository.base, digits_file, tmp_path / "repo")
    first = start_job(work)
    assert first.next_event() is not None
    assert int((work / "lock").read_text()) == first.process.pid
    second = start_job(work)
    assert isinstance(first.events()[-1], Finished)
    events = second.events()
    assert [type(event) for event in events] == [Finished], "the second found everything done"
    assert int((work / "lock").read_text()) == second.process.pid
    assert versions(tmp_path / "repo" / "fives") == [1]


def failed(job: JobProcess) -> Failed:
    event = job.events()[-1]
    assert isinstance(event, Failed)
    assert job.process.returncode == 1
    return event


def test_bad_data_fails_with_every_fault(base_repository, tmp_path: Path, start_job: Start) -> None:
    (tmp_path / "bad.csv").write_text("a,b,label\n1,x,p\n2,,p\n3,4,q\n3,5,q\n")
    write_task(tmp_path / "work", base_repository.base, tmp_path / "bad.csv", tmp_path / "repo")
    event = failed(start_job(tmp_path / "work"))
    assert event.code == "bad_data"
    assert {fault["place"] for fault in event.details["faults"]} >= {"row 2, column b", "row 3, column b"}
    assert event.details["fault_count"] == 3, "two cells, and the wrong width for the base"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"recipe": {"heda": {}}}, "bad_recipe"),
        ({"base_directory": "/nowhere"}, "bad_base"),
        ({"dataset_file": "/nowhere"}, "bad_task"),
        ({"surprise": 1}, "bad_task"),
        ({"head": "../elsewhere"}, "bad_task"),
    ],
)
def test_what_cannot_work_fails_at_once(
    base_repository, digits_file: Path, tmp_path: Path, start_job: Start, changes: dict[str, object], code: str
) -> None:
    write_task(tmp_path / "work", base_repository.base, digits_file, tmp_path / "repo", **changes)
    assert failed(start_job(tmp_path / "work")).code == code


def test_a_directory_without_a_task_fails(tmp_path: Path, start_job: Start) -> None:
    assert failed(start_job(tmp_path)).code == "bad_task"
