"""Jobs as real processes: killed at every phase, left by their service, two at once, and failing on purpose."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from labelled_data import png, write_zip
from trainer_job import JobProcess, write_task

from service.domain.artifact import MANIFEST, Manifest
from service.domain.jobs import PHASES
from service.domain.progress import Failed, Finished, PhaseProgress, Warned
from training.builtin import digits
from training.publish import versions
from training.verify import damage

Start = Callable[[Path], JobProcess]


def test_killed_at_every_phase_it_ends_well_with_one_version(
    base_repository, digits_file: Path, tmp_path: Path, start_job: Start
) -> None:
    work, repository = tmp_path / "work", tmp_path / "repo"
    write_task(work, base_repository.base, digits_file, repository)
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


def test_a_job_says_all_it_does_and_compares_with_the_current_version(
    base_repository, tmp_path: Path, start_job: Start
) -> None:
    images, target = digits(5, 9)
    entries = [
        (f"{label}/{n}.png", png(image[:, :, 0])) for n, (image, label) in enumerate(zip(images, target, strict=True))
    ]
    file = write_zip(tmp_path / "digits.zip", entries[:600])
    repository = tmp_path / "repo"
    write_task(tmp_path / "one", base_repository.base, file, repository)
    events = start_job(tmp_path / "one").events()
    first = events[-1]
    assert isinstance(first, Finished)
    assert list(dict.fromkeys(e.phase for e in events if isinstance(e, PhaseProgress))) == list(PHASES)
    percents = [e.percent for e in events if isinstance(e, PhaseProgress)]
    assert percents == sorted(percents)
    assert percents[0] >= 0
    assert percents[-1] <= 100
    assert first.gate["verdict"] == "passed"
    assert first.metrics["accuracy"] > 0.9
    assert first.recipe["head"]["l2"] > 0
    assert first.recipe["base"]["cut"] in {"flatten", "dense"}

    current = str(repository / "fives" / "1")
    write_task(tmp_path / "two", base_repository.base, file, repository, job_id="job-2", current=current)
    job = start_job(tmp_path / "two")
    second = job.events()[-1]
    assert job.process.returncode == 0
    assert isinstance(second, Finished)
    assert second.version == 2
    assert second.metrics["baselines"]["current"] == first.metrics["accuracy"]
    checks = {check["name"]: check for check in second.gate["checks"]}
    assert checks["not_worse_than_current"]["passed"]
    manifests = [Manifest.from_json((repository / "fives" / n / MANIFEST).read_text()) for n in "12"]
    assert [manifest.job_id for manifest in manifests] == ["job-1", "job-2"]


def test_a_useless_candidate_is_not_published(base_repository, tmp_path: Path, start_job: Start) -> None:
    random = np.random.default_rng(0)
    # Labels that have nothing to do with the images, and one class in four of five items: nothing beats the majority.
    np.savez(
        tmp_path / "noise.npz",
        x=random.integers(0, 256, (500, 8, 8, 1)),
        y=(random.uniform(size=500) < 0.2).astype(int),
    )
    write_task(tmp_path / "work", base_repository.base, tmp_path / "noise.npz", tmp_path / "repo")
    job = start_job(tmp_path / "work")
    last = job.events()[-1]
    assert job.process.returncode == 0
    assert isinstance(last, Finished)
    assert last.gate["verdict"] == "rejected"
    assert last.version is None
    assert versions(tmp_path / "repo" / "fives") == []


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
    ],
)
def test_what_cannot_work_fails_at_once(
    base_repository, digits_file: Path, tmp_path: Path, start_job: Start, changes: dict[str, object], code: str
) -> None:
    write_task(tmp_path / "work", base_repository.base, digits_file, tmp_path / "repo", **changes)
    assert failed(start_job(tmp_path / "work")).code == code


def test_a_directory_without_a_task_fails(tmp_path: Path, start_job: Start) -> None:
    assert failed(start_job(tmp_path)).code == "bad_task"


def test_another_task_in_the_same_directory_starts_anew(
    base_repository, digits_file: Path, tmp_path: Path, start_job: Start
) -> None:
    work = tmp_path / "work"
    write_task(work, base_repository.base, digits_file, tmp_path / "repo", recipe={"head": {"l2": 1.0}})
    first = start_job(work).events()[-1]
    write_task(work, base_repository.base, digits_file, tmp_path / "repo", job_id="j2", recipe={"head": {"l2": 100.0}})
    second = start_job(work).events()[-1]
    assert isinstance(first, Finished)
    assert isinstance(second, Finished)
    assert (first.recipe["head"]["l2"], second.recipe["head"]["l2"]) == (1.0, 100.0)
    assert (first.version, second.version) == (1, 2)
    assert len(list((work / "state").iterdir())) == 1


def test_notes_become_warnings(base_repository, tmp_path: Path, start_job: Start) -> None:
    images, target = digits(5, 6)
    np.savez(tmp_path / "small.npz", x=images[:40] / 255.0, y=target[:40])
    write_task(tmp_path / "work", base_repository.base, tmp_path / "small.npz", tmp_path / "repo", current="/gone")
    events = start_job(tmp_path / "work").events()
    said = " ".join(event.message for event in events if isinstance(event, Warned))
    assert "0..255" in said
    assert "not compared with the current version" in said
    assert isinstance(events[-1], Finished)
    assert json.dumps(events[-1].metrics)
