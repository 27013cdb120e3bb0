"""Bells by topic: whoever waits for news of a job, or of the queue, is woken the moment this process writes some.

A bell says only that something may have changed, never what: the truth is in the store, and listeners look there. So a
ring too many is harmless, and what other processes write is found by looking again after a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

QUEUE = "queue"
"""The topic of jobs that may be waiting, or places that may be free."""
ENDED = "ended"
"""The topic of jobs that have ended."""


class Bell:
    """One listener's bell. It remembers a ring until the next wait."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake the listener."""
        self._rung.set()

    async def wait(self, at_most_s: float | None = None) -> None:
        """Wait for a ring, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._rung.wait()
        self._rung.clear()


class Notices:
    """All bells of one process. For the event loop's thread only."""

    def __init__(self) -> None:
        self._bells: dict[str, set[Bell]] = {}
        self.closed = False

    @contextmanager
    def listening(self, topic: str) -> Iterator[Bell]:
        """A bell that rings for the topic; listen first, then look, and nothing is missed."""
        bell = Bell()
        self._bells.setdefault(topic, set()).add(bell)
        try:
            yield bell
        finally:
            bells = self._bells[topic]
            bells.discard(bell)
            if not bells:
                del self._bells[topic]

    def ring(self, topic: str) -> None:
        """Wake all who listen to the topic."""
        for bell in self._bells.get(topic, ()):
            bell.ring()

    def close(self) -> None:
        """Wake everybody for the last time; who finds ``closed`` set stops waiting."""
        self.closed = True
        for topic in list(self._bells):
            self.ring(topic)
