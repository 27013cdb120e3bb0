"""A worker's place among others: what it tells them through their parent, and what it learns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from itertools import count
from typing import Any

from service.adapters.crew.messages import Line, Message
from service.domain.errors import NotReady
from service.domain.versions import Readiness

Answer = Callable[[Any], Awaitable[Any]]


class Membership:
    """Implements the companions port, for the other workers. For the event loop's thread only."""

    def __init__(self, line: Line, *, late: bool) -> None:
        """``late``: the others answer already, and this worker is to join them only once it can, too."""
        self._line, self.late = line, late
        self.appointed = asyncio.Event()
        """Set when this worker is the one that runs jobs."""
        self._answers: dict[str, Answer] = {}
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._waiting: dict[str, asyncio.Event] = {}
        self._told: Readiness | None = None
        self._others = Readiness(False, ("the other workers have not been heard of yet",))
        self._numbers = count(1)
        self._answering: set[asyncio.Task[None]] = set()
        self._alone = False

    async def follow(self) -> None:
        """Act on what the parent says, until it is gone or the line closed."""
        while (message := await self._line.hear()) is not None:
            self._take(message)
        self._alone = True
        for waiting in self._waiting.values():
            waiting.set()
        for asked in self._asked.values():
            asked.set_exception(NotReady("the service is stopping"))
        self._asked.clear()

    def _take(self, message: Message) -> None:
        match message.kind:
            case "go":
                for edition in message.content:
                    if edition in self._waiting:
                        self._waiting.pop(edition).set()
            case "crew":
                self._others = message.content
            case "appointed":
                self.appointed.set()
            case "asked":
                task = asyncio.create_task(self._answer(message))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case "answered":
                asked = self._asked.pop(message.number, None)
                if asked is not None and not asked.done():
                    asked.set_result(message.content)

    async def _answer(self, message: Message) -> None:
        topic, content = message.content
        self._line.say("answer", await self._answers[topic](content), message.number)

    # --- Companions ---------------------------------------------------------------------------------------------------

    async def agree(self, editions: Collection[str], failed: Collection[str]) -> None:
        """Wait until the others have these editions ready or failed, too; the parent sees to it that it is not long."""
        waits = {edition: asyncio.Event() for edition in editions}
        if self._alone:
            return
        self._waiting |= waits
        self._line.say("prepared", (frozenset(editions), frozenset(failed)))
        for wait in waits.values():
            await wait.wait()

    def forget(self, edition: str) -> None:
        """It is gone: it would have to be prepared again."""
        self._line.say("forget", edition)

    # --- The service --------------------------------------------------------------------------------------------------

    def tell(self, readiness: Readiness) -> None:
        """Let the others know whether this worker is ready."""
        if readiness != self._told:
            self._told = readiness
            self._line.say("readiness", readiness)

    def listens(self) -> None:
        """This worker takes connections from now on."""
        self._line.say("listens")

    def readiness(self, mine: Readiness) -> Readiness:
        """That of all."""
        return self._others if mine.ready else mine

    def answers(self, topic: str, answer: Answer) -> None:
        """What to do when a worker, this one too, asks everybody about a topic."""
        self._answers[topic] = answer

    async def ask_all(self, topic: str, content: Any = None, patience_s: float = 5.0) -> Any:
        """What everybody answers, this worker too, as the parent puts it together; those that end meanwhile or take
        longer are left out. Raises: NotReady.
        """
        if self._alone:
            raise NotReady("the service is stopping")
        number = next(self._numbers)
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        self._line.say("ask", (topic, content, patience_s), number)
        try:
            return await asked
        finally:
            self._asked.pop(number, None)

    async def leave(self, pages: Any) -> None:
        """Say goodbye, with the last of what was counted."""
        self._line.say("leaving", pages)
        await self._line.close()
