"""Nobody works for a client that has left: its request is cancelled where it stands, as gRPC does by itself."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from service.adapters.rest.asgi import Receive

_LOOK_AFTER_S = 0.02
"""Most requests are answered before, and the watch costs them one timer that never rings."""


class WhileConnected:
    """``with WhileConnected(receive):`` around the work for a request that has been read to its end.

    When the client leaves meanwhile, the block is cancelled and ends without an error; ``left`` then says so.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[Any] | None = None
        self._watch: asyncio.Task[None] | None = None
        self.left = False

    def __enter__(self) -> WhileConnected:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(_LOOK_AFTER_S, self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        if not self.left or self._task is None:
            return False
        # Whoever else cancelled this task meanwhile still means it.
        return self._task.uncancel() == 0 and kind is not None and issubclass(kind, asyncio.CancelledError)

    def _begin(self) -> None:
        self._watch = asyncio.get_running_loop().create_task(self._watched())
        # A connection that cannot even be watched is the server's to report, at the next read.
        self._watch.add_done_callback(lambda watch: watch.cancelled() or watch.exception())

    async def _watched(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        assert self._task is not None
        self.left = True
        self._task.cancel()
