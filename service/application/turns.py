"""Loads take turns: versions of one graph load one after the other, as many in one go as a thread gets done in a few
milliseconds. The heads of a base are so many and so small that a thread and a task for each would cost more than they.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from service.application.online import Online
from service.application.ports import Listing

Outcome = Online | Exception
Agree = Callable[[Sequence[Listing], Sequence[Outcome]], Awaitable[None]]
"""Waits until others have these versions ready, or not, too."""
MOST_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Turn:
    """A version that is to be loaded, and who is told what came of it."""

    listing: Listing
    ended: Callable[[Outcome], None]


class Turns:
    """Versions on their way, by graph. Belongs to the event loop."""

    def __init__(
        self,
        load: Callable[[Sequence[Listing]], Awaitable[Sequence[Outcome]]],
        told: Callable[[], None],
        agree: Agree | None = None,
    ) -> None:
        """``load`` prepares the first of some versions of one graph, at least one, and says what came of each;
        ``told`` is called after everyone whose version that was has been told, which is when ``agree`` has been waited
        for, if there is somebody to agree with.
        """
        self._load, self._told, self._agree = load, told, agree
        self._waiting: dict[str, deque[Turn]] = {}
        self.under_way: set[asyncio.Task[None]] = set()

    def take(self, turn: Turn) -> None:
        """Load this version when those of the same graph that came before it are done."""
        graph = _graph(turn.listing)
        if graph in self._waiting:
            self._waiting[graph].append(turn)
            return
        self._waiting[graph] = deque([turn])
        self._start(self._in_turn(graph))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _in_turn(self, graph: str) -> None:
        waiting = self._waiting[graph]
        try:
            while waiting:
                await self._next(waiting)
        finally:
            del self._waiting[graph]

    async def _next(self, waiting: deque[Turn]) -> None:
        group = [waiting[at] for at in range(min(len(waiting), MOST_AT_ONCE))]
        try:
            outcomes = await self._load([turn.listing for turn in group])
        except Exception as error:  # noqa: BLE001 - whatever breaks a load is that version's, and must stay there
            outcomes = [error]
        prepared = [(waiting.popleft(), outcome) for outcome in outcomes]
        if self._agree is None:
            self._end(prepared)
        else:
            # The next are prepared meanwhile: of two processes that come to them in different orders, each would else
            # wait for what the other will only begin when its own wait is over.
            self._start(self._end_once_agreed(self._agree, prepared))

    async def _end_once_agreed(self, agree: Agree, prepared: Sequence[tuple[Turn, Outcome]]) -> None:
        try:
            await agree([turn.listing for turn, _ in prepared], [outcome for _, outcome in prepared])
        finally:
            self._end(prepared)

    def _end(self, prepared: Sequence[tuple[Turn, Outcome]]) -> None:
        for turn, outcome in prepared:
            turn.ended(outcome)
        self._told()


def _graph(listing: Listing) -> str:
    """What two versions share, if they load in turn."""
    manifest = listing.manifest
    if manifest is None:
        return str(listing.id)
    return manifest.base.digest if manifest.base else manifest.digest
