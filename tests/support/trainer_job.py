"""``python -m training job`` as a real process, and the task file it reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.domain.dataset import dataset_id
from service.domain.progress import TrainerEvent, from_line


@dataclass(frozen=True, slots=True)
class JobProcess:
    """``python -m training job`` at work, and what it has said."""

    process: subprocess.Popen[str]

    def events(self) -> list[TrainerEvent]:
        """Everything it says until it ends."""
        assert self.process.stdout is not None
        found = [from_line(line) for line in self.process.stdout]
        assert None not in found, "only events may stand on standard output"
        self.process.wait()
        return [event for event in found if event is not None]

    def next_event(self) -> TrainerEvent | None:
        """The next thing it says; None when it has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return from_line(line) if line else None

    def kill(self) -> None:
        """``kill -9`` of its whole group, and wait."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """Make it go if it is there, and close its pipes."""
        if self.process.poll() is None:
            self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def started(workdir: Path) -> JobProcess:
    """Start it as the service does: in a group of its own, with a standard input that stays open."""
    return JobProcess(
        subprocess.Popen(
            [sys.executable, "-m", "training", "job", str(workdir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    )


def write_task(workdir: Path, base: Path, file: Path, repository: Path, **changes: Any) -> dict[str, Any]:
    """A ``task.json`` as the service writes it."""
    from training.data.check import check

    report, _ = check(file)
    raw = {
        "job_id": "job-1",
        "head": "fives",
        "base_model": "digits",
        "base_version": 1,
        "base_directory": str(base),
        "dataset_file": str(file),
        "dataset": {
            "id": dataset_id(report.digest or "none"),
            "report": report.to_dict(),
            "filename": file.name,
            "size_bytes": file.stat().st_size,
            "created": 0.0,
            "options": {},
        },
        "repository": str(repository),
        "recipe": {},
        "current": None,
        **changes,
    }
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "task.json").write_text(json.dumps(raw))
    return raw
