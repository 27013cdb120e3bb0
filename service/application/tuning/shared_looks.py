"""One look at the store for all who want the same one at the same moment: a thousand who watch a job are woken by one
ring, and each would read the same page of its history.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Seen = TypeVar("Seen")


class SharedLooks(Generic[Seen]):
    """For the event loop's thread only."""

    def __init__(self) -> None:
        self._wanted: dict[Hashable, asyncio.Task[Seen]] = {}

    async def look(self, at: Hashable, how: Callable[[], Awaitable[Seen]]) -> Seen:
        """What ``how`` finds ``at`` a place, by a look that begins after this call.

        Raises:
            What ``how`` raises.
        """
        task = self._wanted.get(at)
        if task is None:
            task = self._wanted[at] = asyncio.create_task(self._look(at, how))
        # Who stops waiting does not take it from the others.
        return await asyncio.shield(task)

    async def _look(self, at: Hashable, how: Callable[[], Awaitable[Seen]]) -> Seen:
        # Who comes from now on may have been woken by what this look does not see any more.
        del self._wanted[at]
        return await how()
