"""Threads for what blocks, one kind apart from the other: looking, loading and freeing never wait for each other.

To load a graph is work of an engine, for seconds, and yields to requests. To put a head on a graph that is in memory
is half a millisecond of this interpreter's, whose lock requests wait for: a thread that yielded would keep it from them
for as long as the machine is busy with others.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

Result = TypeVar("Result")
Given = TypeVarTuple("Given")

_NICENESS = 10
"""Of a thread that loads graphs. Not the most there is: such a thread too holds the interpreter's lock now and then."""


class Workers:
    """The threads of the lifecycle."""

    def __init__(self, loads: int) -> None:
        """``loads`` is how many versions of either kind may load at once."""
        self._look = ThreadPoolExecutor(1, thread_name_prefix="look")
        self._load = ThreadPoolExecutor(loads, thread_name_prefix="load", initializer=_let_requests_go_first)
        self._graft = ThreadPoolExecutor(loads, thread_name_prefix="graft")
        self._free = ThreadPoolExecutor(2, thread_name_prefix="free")

    async def look(self, work: Callable[[*Given], Result], *given: *Given) -> Result:
        """Look at the repository. One after the other, in the order they were asked for."""
        return await asyncio.get_running_loop().run_in_executor(self._look, work, *given)

    async def load(self, work: Callable[[*Given], Result], *given: *Given) -> Result:
        """Load a version and its graph."""
        return await asyncio.get_running_loop().run_in_executor(self._load, work, *given)

    async def graft(self, work: Callable[[*Given], Result], *given: *Given) -> Result:
        """Load a version whose graph is in memory."""
        return await asyncio.get_running_loop().run_in_executor(self._graft, work, *given)

    async def free(self, work: Callable[[*Given], Result], *given: *Given) -> Result:
        """Free a version."""
        return await asyncio.get_running_loop().run_in_executor(self._free, work, *given)

    def begin_no_more_loads(self) -> None:
        """Cancel the loads that wait for a thread; those at work go on."""
        for pool in (self._load, self._graft):
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Wait for what is under way and end the threads."""
        for pool in (self._look, self._load, self._graft, self._free):
            pool.shutdown(wait=True)


def _let_requests_go_first() -> None:
    """Give this thread a lower priority, where the platform knows such a thing for threads.

    What a thread starts inherits this: an engine must not make its own threads on one of these.
    """
    if hasattr(os, "setpriority") and hasattr(threading, "get_native_id"):
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        except OSError:
            return  # not allowed here: loads compete with requests, and nothing breaks
