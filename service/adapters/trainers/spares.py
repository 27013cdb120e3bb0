"""Trainers started ahead of their work: importing TensorFlow takes longer than many a head takes to fit.

Each is a process that has imported everything and waits to be told its work directory; each does one job and ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from service.adapters.trainers.run import ProcessRun

_log = logging.getLogger(__name__)


class Spares:
    """So many waiting trainers at most."""

    def __init__(self, command: Sequence[str], count: int) -> None:
        """``command`` starts one that reads its work directory from standard input."""
        self._command = tuple(command)
        self._count = count
        self._waiting: list[ProcessRun] = []
        self._filling = asyncio.Lock()
        self._closed = False

    def take(self) -> ProcessRun | None:
        """One that waits, or None. It is the caller's from here on."""
        while self._waiting:
            run = self._waiting.pop(0)
            if run.alive:
                return run
            _log.warning("a trainer that was kept ready has ended by itself")
        return None

    async def fill(self) -> None:
        """Start as many as are missing. What cannot be started is logged: a job then starts its own, and says why."""
        async with self._filling:
            while not self._closed and len(self._waiting) < self._count:
                starting = asyncio.create_task(ProcessRun.started(self._command, None))
                try:
                    self._waiting.append(await asyncio.shield(starting))
                except asyncio.CancelledError:
                    self._waiting.append(await starting)
                    raise
                except OSError as error:
                    _log.warning("no trainer can be kept ready: %s", error)
                    return

    async def close(self) -> None:
        """End those that wait; no more are started."""
        self._closed = True
        async with self._filling:
            waiting, self._waiting = self._waiting, []
            for run in waiting:
                await run.stop(0)
