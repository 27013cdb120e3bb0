"""A thread that kept the priority its process began with.

What a thread starts inherits its priority, and a loader's thread has lowered its own, so that loads give way to
requests. An engine that made its threads there would run requests at that low priority for good: beside other busy
threads, and be it those that refuse requests, it would get a tenth of a core. No thread may raise its priority again
without a privilege, so there has to be one that never lowered it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class OrdinaryThread:
    """Does work one after the other. Thread-safe."""

    def __init__(self) -> None:
        """Starts the thread, with the priority of the one that calls this."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ordinary")
        self._thread.submit(int).result()  # an executor starts its thread where it is first given work

    def call(self, work: Callable[[], T]) -> T:
        """Do this there, and return or raise what it does. Blocks."""
        return self._thread.submit(work).result()
