"""Questions over HTTP/1.1: one connection a client, kept open, opened again when the server has closed it."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast
from urllib.parse import urlsplit

import httptools

from service.adapters.load_test.loops import Unanswered
from service.adapters.load_test.plan import Question, Target

_DEFAULT_PORTS = {"http": 80, "https": 443}


class RestClient:
    """A connection to a REST door."""

    def __init__(self, target: Target) -> None:
        place = urlsplit(target.address)
        self._host, self._port = place.hostname or "", place.port or _DEFAULT_PORTS[place.scheme]
        self._ssl = ssl.create_default_context() if place.scheme == "https" else None
        headers = {"host": place.netloc, "content-type": "application/json", **target.headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._connection: _Connection | None = None
        self._written: dict[Question, bytes] = {}

    async def ask(self, question: Question) -> str | None:
        """Send and wait for the whole answer; None for 200, else the status. Raises: Unanswered."""
        if self._connection is None or not self._connection.usable:
            await self.close()
            loop = asyncio.get_running_loop()
            try:
                _, self._connection = await loop.create_connection(_Connection, self._host, self._port, ssl=self._ssl)
            except OSError as error:
                raise Unanswered("not connected") from error
        status = await self._connection.exchange(self._request(question))
        return None if status == 200 else str(status)

    def _request(self, question: Question) -> bytes:
        """The question as HTTP, written once."""
        written = self._written.get(question)
        if written is None:
            head = f"POST {question.path} HTTP/1.1\r\n{self._head}content-length: {len(question.body)}\r\n\r\n"
            written = self._written[question] = head.encode() + question.body
        return written

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.transport.abort()
            self._connection = None


class _Connection(asyncio.Protocol):
    """One connection; the parser calls its ``on_`` methods."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.usable = True
        self._answer: asyncio.Future[int] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have what asyncio.Transport has, and are none.
        self.transport = cast(asyncio.Transport, transport)

    def exchange(self, request: bytes) -> asyncio.Future[int]:
        """Send a request; its answer's status."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("no HTTP")

    def on_message_complete(self) -> None:
        """The whole answer is here, or only the permission to go on."""
        status = self._parser.get_status_code()
        if status < 200:
            return
        self.usable = self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("connection lost")

    def _fail(self, code: str) -> None:
        self.usable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Unanswered(code))
