"""Requests that are answered without ASGI: small ones, to an address of which the application says what answers there.

ASGI hands a request over in parts and takes the answer in parts. Of a small prediction either has one part, and all the
handing over costs as much as answering it. What uvicorn calls a cycle, one request of a connection and its answer, is
kept here in the shape uvicorn knows, so that pipelining, shutting down and the limits go on as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.adapters.rest.asgi import Headers
from service.adapters.rest.reply import Reply

Work = Callable[[Headers, bytes], Reply | Coroutine[Any, Any, Reply]]
"""Answers a request of these headers and this body, at once or when awaited."""
Direct = Callable[[bytes], Work | None]
"""What answers a POST to a target as it stands in the request's first line, if that is answered like this."""

_MOST_BYTES = 16 * 1024
"""Bodies up to this are collected without being counted: all that connections may hold of them is less than 64 MiB."""
_MOST_DIGITS = 5
_MORE_TO_DO = frozenset({b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"})
_IN_ONE_WRITE = 64 * 1024


def is_small(headers: Headers) -> bool:
    """Whether a body says how long it is, is small, and nothing has to be done to it or about it first."""
    length = b""
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name in _MORE_TO_DO:
            return False
    return len(length) <= _MOST_DIGITS and length.isdigit() and int(length) <= _MOST_BYTES


class Exchange:
    """One request and its answer, in the place of uvicorn's cycle, whose attributes it has."""

    __slots__ = (
        "_connection",
        "_draining",
        "_headers",
        "_task",
        "_work",
        "body",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "response_started",
    )

    def __init__(
        self,
        connection: HttpToolsProtocol,
        work: Work,
        headers: Headers,
        keep_alive: bool,
        draining: Callable[[], bool],
    ) -> None:
        """``draining``: the server is about to end, and clients are to close their connections."""
        self._connection, self._work, self._headers, self._draining = connection, work, headers, draining
        self._task: asyncio.Task[None] | None = None
        self.body, self.more_body = b"", True
        self.keep_alive, self.disconnected = keep_alive, False
        self.response_started = self.response_complete = False

    @property
    def message_event(self) -> Exchange:
        """What uvicorn sets when more of the request is there, or the client has left."""
        return self

    def set(self) -> None:
        """Begin once the request is whole; stop when its client has left. It is told so after its answer, too."""
        if self.disconnected:
            if self._task is not None:
                self._task.cancel()
        elif not self.more_body and self._task is None and not self.response_complete:
            connection = self._connection
            answer = self._work(self._headers, self.body)
            if isinstance(answer, Reply) and self._may_send():
                self._send(answer)
                return
            self._task = connection.loop.create_task(self._answer(answer))
            connection.tasks.add(self._task)
            self._task.add_done_callback(connection.tasks.discard)

    def _may_send(self) -> bool:
        """Whether an answer can go out where the request was read: the client reads, and the connection stays."""
        return self.keep_alive and not self._connection.flow.write_paused and not self._draining()

    async def _answer(self, answer: Reply | Coroutine[Any, Any, Reply]) -> None:
        flow = self._connection.flow
        try:
            reply = answer if isinstance(answer, Reply) else await answer
            while flow.write_paused and not self.disconnected:
                await flow.drain()
        except asyncio.CancelledError:
            if not self.disconnected:  # the server ends, and waited as long as it would
                self._connection.transport.close()
            raise
        if not self.disconnected:
            # What came behind this request was accepted, too, and is told when it is answered.
            self.keep_alive = self.keep_alive and (not self._draining() or bool(self._connection.pipeline))
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        connection = self._connection
        parts = [STATUS_LINE[reply.status]]
        for name, value in connection.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in reply.headers:
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"content-length: %d\r\n\r\n" % len(reply.body))
        if len(reply.body) <= _IN_ONE_WRITE:
            parts.append(reply.body)
        connection.transport.write(b"".join(parts))
        if len(reply.body) > _IN_ONE_WRITE:
            connection.transport.write(reply.body)
        self.response_started = self.response_complete = True
        self.body = b""  # a connection that pauses keeps its last exchange
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()
