"""Large requests are read beside the event loop, one after the other, so that small ones go on meanwhile.

The parsers hold the interpreter's lock: a thread does not make them run at the same time as the loop, but the loop has
its turn between their calls. What waits longest is measured in ``docs/compatibility.md``. One at a time, because what a
text becomes while it is read may be many times as large as the text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

Result = TypeVar("Result")
Given = TypeVarTuple("Given")

_LARGE = 256 * 1024
"""Bytes that take a millisecond or two to read: less is not worth the way to a thread and back."""


def is_quick(size: int) -> bool:
    """Whether work on so many bytes takes no longer than the way to a thread and back."""
    return size < _LARGE


class ReadingThread:
    """Where large requests are read."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read")

    async def run(self, size: int, work: Callable[[*Given], Result], *given: *Given) -> Result:
        """Do work on so many bytes: at once when they are few, else on the thread when it is its turn."""
        if is_quick(size):
            return work(*given)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *given)
