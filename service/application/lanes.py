"""The places where graphs run: a few threads, shared by every queue of every model, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class Lanes:
    """So many things run at once, and no more. Lives on one event loop."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = count
        self._waiting: deque[Callable[[], None]] = deque()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="lane")

    def ask(self, start: Callable[[], None]) -> None:
        """Call ``start`` when a lane is free for it: soon, if one is now, else in turn. It then holds the lane."""
        if self._free:
            self._free -= 1
            # Not at once: requests that the loop has read already, but not handled yet, are to come along.
            asyncio.get_running_loop().call_soon(start)
        else:
            self._waiting.append(start)

    def give_back(self) -> None:
        """The lane is free again."""
        self._free += 1
        if self._waiting:
            self.ask(self._waiting.popleft())

    def submit(self, work: Callable[[], Result]) -> asyncio.Future[Result]:
        """Run in a lane's thread. The caller holds a lane."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Wait for what is running and end the threads."""
        self._threads.shutdown(wait=True)
