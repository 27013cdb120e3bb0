"""The check of labelled data as a child process, ``training check FILE --json``, and the making of one file of two.

Promises that a file which crashes the check, hangs it or blows it up harms nothing but the answer, and that a check
nobody waits for any more is killed. What makes data good is the trainer's to know.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

from service.adapters.trainers import groups
from service.domain.dataset import LABEL, Dataset, DatasetFormat, DatasetReport, Extended
from service.domain.errors import ModelFailed
from service.domain.progress import parsed
from service.domain.sample import SampleWish

T = TypeVar("T")
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

    async def check(
        self,
        file: Path,
        format: DatasetFormat | None,
        options: Mapping[str, str],
        sample: SampleWish | None = None,
    ) -> DatasetReport:
        """As the port says."""
        command = [*self._command, "check", str(file), "--json"]
        if format is not None:
            command.append(f"--format={format}")
        command.extend(f"--{name}={value}" for name, value in options.items())
        if sample is not None:
            command.append(f"--sample={sample.to_json()}")
        return await self._said(command, DatasetReport.from_dict)

    async def extend(
        self,
        old: Path,
        dataset: Dataset,
        new: Path,
        format: DatasetFormat | None,
        options: Mapping[str, str],
        into: Path,
    ) -> Extended:
        """As the port says."""
        command = [*self._command, "append", str(old), str(new), f"--out={into}"]
        command.append(f"--old-format={dataset.report.format}")
        if LABEL in dataset.options:
            command.append(f"--old-label={dataset.options[LABEL]}")
        if format is not None:
            command.append(f"--format={format}")
        command.extend(f"--{name}={value}" for name, value in options.items())
        return await self._said(command, _as_extended)

    async def _said(self, command: Sequence[str], read: Callable[[Mapping[str, Any]], T]) -> T:
        """What a child says of data, as JSON."""
        async with self._turns:
            # To files, not pipes: a child that says too much fills a disk's cache and not our memory.
            with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
                status = await self._run(command, said, complained)
                return _answer(status, said, complained, read)

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


def _answer(status: int, said: IO[bytes], complained: IO[bytes], read: Callable[[Mapping[str, Any]], T]) -> T:
    if status == 0:
        said.seek(0)
        try:
            return read(parsed(said.read(LARGEST_REPORT).decode()))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelFailed(f"the check of the data said what is no report: {_tail(complained)}") from error
    raise ModelFailed(f"the check of the data broke with status {status}: {_tail(complained)}")


def _as_extended(raw: Mapping[str, Any]) -> Extended:
    report = DatasetReport.from_dict(raw["report"])
    return Extended(report, dict(raw["options"]), int(raw["added"]), int(raw["known"]))


def _tail(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
    return file.read().decode(errors="replace").strip() or "it gave no reason"
