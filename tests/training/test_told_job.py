"""A trainer that is kept ready: it imports first, and is told its work directory afterwards."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from trainer_job import JobProcess, started, write_task

from service.domain.progress import Finished
from training.publish import versions


@pytest.fixture
def ready() -> Iterator[JobProcess]:
    """One that waits."""
    job = started(Path("-"))
    yield job
    job.end()


def test_it_does_the_job_it_is_told_of(base_repository, digits_file: Path, tmp_path: Path, ready: JobProcess) -> None:
    work = tmp_path / "work"
    write_task(work, base_repository.base, digits_file, tmp_path / "repo")
    assert ready.process.stdin is not None
    ready.process.stdin.write(f"{work}\n")
    ready.process.stdin.flush()
    events = ready.events()
    assert isinstance(events[-1], Finished)
    assert versions(tmp_path / "repo" / "fives") == [1]
    assert ready.process.wait(timeout=20) == 0
    assert (work / "trainer.log").exists(), "what it has to say besides events goes there"


def test_it_goes_when_its_service_does(ready: JobProcess) -> None:
    assert ready.process.stdin is not None
    ready.process.stdin.close()
    assert ready.process.wait(timeout=20) == -signal.SIGKILL
