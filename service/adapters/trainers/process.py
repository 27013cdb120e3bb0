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
from service.adapters.trainers.spares import Spares
from service.application.ports import TrainerTask
from service.domain.errors import ModelFailed

TASK = "task.json"
LOG = "trainer.log"
LOCK = "lock"
ON_STDIN = "-"
"""In place of a work directory: it will be told on standard input."""


class ProcessTrainer:
    """The ``Trainer`` port on one machine."""

    def __init__(
        self,
        work_area: Path,
        command: Sequence[str] = (sys.executable, "-m", "training"),
        *,
        orphan_grace_s: float = 5.0,
        orphan_limit_s: float = 30.0,
        spares: int = 0,
    ) -> None:
        """``orphan_grace_s``: how long the trainer of a killed service may take to end by itself; ``orphan_limit_s``:
        after how long one that cannot be identified is an error; ``spares``: how many trainers are kept ready.
        """
        self._work_area = work_area.resolve()
        self._spares = Spares([*command, "job", ON_STDIN], spares)
        self._refills: set[asyncio.Task[None]] = set()
        self._command = tuple(command)
        self._orphan_grace_s = orphan_grace_s
        self._orphan_limit_s = orphan_limit_s
        work_area.mkdir(parents=True, exist_ok=True)

    async def warm_up(self) -> None:
        """Start the trainers that are kept ready."""
        await self._spares.fill()

    async def close(self) -> None:
        """End the trainers that are kept ready; those at work are their owners' to end."""
        for refill in self._refills:
            refill.cancel()
        await self._spares.close()

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
            run = self._ready_one(directory)
            if run is None:
                run = await ProcessRun.started([*self._command, "job", str(directory)], directory / LOG)
        except OSError as error:
            raise ModelFailed(f"the trainer cannot be started: {error}") from error
        refill = asyncio.create_task(self._refill_after(run))
        self._refills.add(refill)
        refill.add_done_callback(self._refills.discard)
        return run

    def _ready_one(self, directory: Path) -> ProcessRun | None:
        while (run := self._spares.take()) is not None:
            try:
                run.begin(directory, directory / LOG)
            except BrokenPipeError:
                continue  # it has just ended; nothing was begun
            return run
        return None

    async def _refill_after(self, run: ProcessRun) -> None:
        # Not at once: what the next job gains then, this one would lose, for they would share the cores.
        await run.ended()
        await self._spares.fill()


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
    return group > 1 and any(groups.has_open(member.pid, directory / LOCK) for member in groups.members(group))
