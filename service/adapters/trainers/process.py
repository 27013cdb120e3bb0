"""A trainer as a child process: ``training job WORKDIR``, told by a file, telling by its standard output.

Promises that a trainer and everything it started is gone before it is called ended, and that a second one for the same
job begins only after the first is gone, also when that was another service's which was killed. The child holds a lock
on its work directory, and ends when its standard input does, which is when the service ends, however it ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.adapters.trainers import groups
from service.adapters.trainers.run import ProcessRun
from service.application.ports import TrainerTask
from service.domain.errors import ModelFailed

TASK = "task.json"
LOG = "trainer.log"
LOCK = "lock"


class ProcessTrainer:
    """The ``Trainer`` port on one machine."""

    def __init__(
        self,
        work_area: Path,
        command: Sequence[str] = (sys.executable, "-m", "training"),
        *,
        orphan_grace_s: float = 5.0,
        orphan_limit_s: float = 30.0,
    ) -> None:
        """``orphan_grace_s``: how long the trainer of a killed service may take to end by itself; ``orphan_limit_s``:
        after how long one that cannot be identified is an error.
        """
        self._work_area = work_area.resolve()  # a trainer of ours is known by this path in its command line
        self._command = tuple(command)
        self._orphan_grace_s = orphan_grace_s
        self._orphan_limit_s = orphan_limit_s
        work_area.mkdir(parents=True, exist_ok=True)

    async def start(self, task: TrainerTask) -> ProcessRun:
        """As the port says."""
        await self.reap(task.job_id)
        starting = asyncio.create_task(self._start(task))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            run = await starting
            await run.stop(0)
            raise

    async def reap(self, job_id: str) -> None:
        """As the port says."""
        directory = self._work_area / job_id
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (group := _holder(directory / LOCK)) is not None:
            waited = loop.time() - began
            if waited > self._orphan_grace_s and _is_ours(group, directory):
                await groups.end(group)
            elif waited > self._orphan_limit_s:
                raise ModelFailed(f"the work area of {job_id} is held by a process that cannot be identified")
            await asyncio.sleep(groups.LOOK_EVERY_S)

    def discard(self, job_id: str) -> None:
        """As the port says."""
        directory = self._work_area / job_id
        if directory.is_dir():
            shutil.rmtree(directory)

    def left_behind(self) -> Collection[str]:
        """As the port says."""
        return [entry.name for entry in self._work_area.iterdir() if entry.is_dir()]

    async def _start(self, task: TrainerTask) -> ProcessRun:
        directory = self._work_area / task.job_id
        try:
            await asyncio.to_thread(_write_task, directory, task)
            return await ProcessRun.started([*self._command, "job", str(directory)], directory / LOG)
        except OSError as error:
            raise ModelFailed(f"the trainer cannot be started: {error}") from error


def _write_task(directory: Path, task: TrainerTask) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = directory / f".{TASK}"
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(_as_json(task), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(directory / TASK)


def _as_json(task: TrainerTask) -> Mapping[str, Any]:
    dataset = task.dataset
    return {
        "job_id": task.job_id,
        "head": task.head,
        "base_model": task.base_model,
        "base_version": task.base_version,
        "base_directory": str(task.base_directory),
        "dataset_file": str(task.dataset_file),
        "dataset": {
            "id": dataset.id,
            "report": dataset.report.to_dict(),
            "filename": dataset.filename,
            "size_bytes": dataset.size_bytes,
            "created": dataset.created,
            "options": dict(dataset.options),
        },
        "repository": str(task.repository),
        "recipe": dict(task.recipe),
        "current": str(task.current) if task.current else None,
    }


def _holder(lock: Path) -> int | None:
    """The process that says it holds the lock (0 when it has not said yet); None when nobody holds it."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        written = os.pread(descriptor, 32, 0).strip()
        return int(written) if written.isdigit() else 0
    else:
        return None
    finally:
        os.close(descriptor)


def _is_ours(group: int, directory: Path) -> bool:
    """Whether the group is a trainer's of this work directory: a number alone might be anybody's by now."""
    return group > 1 and any(str(directory) in member.command for member in groups.members(group))
