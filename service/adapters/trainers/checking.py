"""The check of labelled data as a child process: ``training check FILE --json``.

Promises that a file which crashes the check, hangs it or blows it up harms nothing but the answer, and that a check
nobody waits for any more is killed. What makes data good is the trainer's to know.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from service.adapters.trainers import groups
from service.domain.dataset import DatasetFormat, DatasetReport
from service.domain.errors import ModelFailed
from service.domain.progress import parsed

LARGEST_REPORT = 16 * 1024 * 1024
TAIL = 2000


class ProcessDatasetChecker:
    """The ``DatasetChecker`` port."""

    def __init__(
        self,
        command: Sequence[str] = (sys.executable, "-m", "training"),
        *,
        limit_s: float = 300.0,
        at_once: int = 2,
    ) -> None:
        """``limit_s``: how long one check may take; ``at_once``: how many run, while others wait for their turn."""
        self._command = tuple(command)
        self._limit_s = limit_s
        self._turns = asyncio.Semaphore(at_once)

    async def check(self, file: Path, format: DatasetFormat | None, options: Mapping[str, str]) -> DatasetReport:
        """As the port says."""
        command = [*self._command, "check", str(file), "--json"]
        if format is not None:
            command.append(f"--format={format}")
        command.extend(f"--{name}={value}" for name, value in options.items())
        async with self._turns:
            # To files, not pipes: a child that says too much fills a disk's cache and not our memory.
            with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
                status = await self._run(command, said, complained)
                return _report(status, said, complained)

    async def _run(self, command: Sequence[str], said: IO[bytes], complained: IO[bytes]) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=complained, start_new_session=True
            )
        except OSError as error:
            raise ModelFailed(f"the check of the data cannot be started: {error}") from error
        try:
            groups.be_nice(process.pid)
            async with asyncio.timeout(self._limit_s):
                return await process.wait()
        except TimeoutError as error:
            raise ModelFailed(f"the check of the data took more than {self._limit_s:.0f} s and was ended") from error
        finally:
            await asyncio.shield(asyncio.create_task(_gone(process)))


async def _gone(process: asyncio.subprocess.Process) -> None:
    groups.send(process.pid, groups.KILL)
    await process.wait()
    await groups.end(process.pid)


def _report(status: int, said: IO[bytes], complained: IO[bytes]) -> DatasetReport:
    if status == 0:
        said.seek(0)
        try:
            return DatasetReport.from_dict(parsed(said.read(LARGEST_REPORT).decode()))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelFailed(f"the check of the data said what is no report: {_tail(complained)}") from error
    raise ModelFailed(f"the check of the data broke with status {status}: {_tail(complained)}")


def _tail(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
    return file.read().decode(errors="replace").strip() or "it gave no reason"
