"""HTTP for clients that are slow, broken or hostile: whatever they send or leave unsent, what it costs is bounded.

uvicorn's own protocol waits for the rest of a request for ever and keeps whatever its head brings. This one gives every
state of a connection a time and a size: the head, the body, the rest of a body that nobody wants, the pause between two
requests, an answer that nobody reads. It lives below the application, so its limits hold for every route alike.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.adapters.rest.direct import Direct, Exchange, Work, is_small

log = logging.getLogger(__name__)

_BYTES_A_SECOND = 16 * 1024
"""A body that keeps up with this may take as long as it needs, however large it is."""
_MOST_FIELDS = 200
_UNREAD_ANSWER_S = 30.0
"""How long an answer may lie unread without a byte of it being taken."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one connection, and all of them together, may take up."""

    read_s: float = 30.0
    """For a head to be there; for a body too, and a second more for every 16 KiB that it has brought."""
    keep_alive_s: float = 75.0
    most_head_bytes: int = 64 * 1024
    most_connections: int = 4096


class LimitedHttp(HttpToolsProtocol):
    """One connection. uvicorn makes one for each; ``protocol`` below binds the limits and what is answered directly."""

    def __init__(
        self, limits: HttpLimits, direct: Direct, draining: Callable[[], bool], *given: Any, **more: Any
    ) -> None:
        super().__init__(*given, **more)
        self._limits, self._direct, self._draining = limits, direct, draining
        self._exchange: Exchange | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        """When what is being waited for has to be there; None while nothing is."""
        self._pausing = False
        """Whether it is the next request, which need not come."""
        self._in_request = self._in_body = False
        """Whether part of a request is there that is not whole, and whether its head is."""
        self._head_bytes = self._fields = 0
        self._silent_bytes = 0
        """Came in since anything was made of them: an endless field, trailer or chunk extension."""
        self._again = False
        """Whether the parser is only told where it is."""
        self._fault: tuple[int, str] | None = None

    # --- What uvicorn and the parser tell -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.most_connections:
            self._refuse(503, f"there are {self._limits.most_connections} connections already; try again shortly")
        else:
            self._wait(self._limits.read_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        super().connection_lost(exc)
        if self._exchange is not None and not self._exchange.response_complete:
            # uvicorn has told the last request of those that came one behind the other, and only that.
            self._exchange.disconnected = True
            self._exchange.set()
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def data_received(self, data: bytes) -> None:
        """Take in what came, as far as it makes sense."""
        if self.transport.is_closing():
            return
        self._silent_bytes += len(data)
        self._parse(data)
        if self.parser is None or self.transport.is_closing():
            return
        if self._silent_bytes > self._limits.most_head_bytes:
            self._refuse(431, self._too_large())
        elif self._pausing:
            self._wait(self._limits.read_s)  # blank lines, which are no reason to wait for longer

    def _parse(self, data: bytes) -> None:
        """Feed the parser, which stops at a request that asks for another protocol. There is none here, and such a
        request is like any other: Java's client asks with each first request of a connection, body and all.
        """
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as stopped:
                data = data[stopped.args[0] :]
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return
            self.parser = httptools.HttpRequestParser(self)
            if self._in_body:
                self._again = True
                self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n\r\n" % self._framing())
                self._again = False

    def _framing(self) -> bytes:
        """The fields of the head that say where the body ends."""
        names = (b"content-length", b"transfer-encoding")
        return b"\r\n".join(b"%s: %s" % field for field in self.headers if field[0] in names)

    def on_message_begin(self) -> None:
        """A head begins."""
        if self._again:
            return
        # All that uvicorn makes of it besides is made when the head is there, where it is needed.
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._in_request = True
        self._head_bytes = self._fields = self._silent_bytes = 0
        self._wait(self._limits.read_s)

    def on_url(self, url: bytes) -> None:
        """Part of the address."""
        if self._again:
            return
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head, or of a trailer."""
        if self._again:
            return
        self._fields += 1
        self._count(len(name) + len(value))
        if not self._in_body:  # a trailer would else be taken for part of the head
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there; the body begins."""
        if self._again:
            return
        self._silent_bytes = 0
        self._in_body = True
        self._wait(self._limits.read_s)
        work = self._answered_directly()
        if work is not None:
            self.cycle = self._exchange = Exchange(  # type: ignore[assignment]
                self, work, self.headers, self.parser.should_keep_alive(), self._draining
            )
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.headers += headers
        self.url, self.expect_100_continue = url, expects
        super().on_headers_complete()

    def _answered_directly(self) -> Work | None:
        """What answers the request whose head is there, where ASGI need not be asked."""
        parser = self.parser
        if parser.get_method() != b"POST" or parser.get_http_version() != "1.1" or not is_small(self.headers):
            return None
        return self._direct(self.url) if self._idle() else None

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        self._silent_bytes = 0
        # What nobody wants any more has the time it has: it brings nobody anything.
        if self._due is not None and not self.cycle.response_complete:
            self._due += len(body) / _BYTES_A_SECOND
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole, or its body is still to be parsed."""
        if self.parser.should_upgrade() and self._framing() not in (b"", b"content-length: 0"):
            return
        self._silent_bytes = 0
        self._in_request = self._in_body = False
        self._due = None
        super().on_message_complete()
        if self._idle():  # it was answered before it was whole
            self._pause_begins()

    def on_response_complete(self) -> None:
        """The answer is written, though perhaps not sent."""
        self.server_state.total_requests += 1
        self._watch_unsent()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._in_body:
            # Nobody wants the rest of the body. It is passed over for a while: a client that sends all before it reads
            # would not see the answer if the connection closed in its face.
            self._wait(self._limits.read_s)
        elif not self._in_request:
            self._pause_begins()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP, or more of it than may be."""
        self._refuse(*(self._fault or (400, msg)))

    # --- Limits -------------------------------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        self._silent_bytes = 0
        self._head_bytes += size
        if self._head_bytes > self._limits.most_head_bytes or self._fields > _MOST_FIELDS:
            self._fault = (431, self._too_large())
            raise ValueError(self._fault[1])  # ends the parser, which ends in ``send_400_response``

    def _too_large(self) -> str:
        return f"a request's head may have {self._limits.most_head_bytes} bytes and {_MOST_FIELDS} fields"

    def _idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _pause_begins(self) -> None:
        self._wait(self._limits.keep_alive_s)
        self._pausing = True

    def _unsent(self) -> int:
        return self.transport.get_write_buffer_size()

    def _wait(self, seconds: float) -> None:
        """Something has to be there in so many seconds. One timer a connection serves all that it waits for: most is
        there long before, and the timer is only moved when it rings.
        """
        self._due = self.loop.time() + seconds
        self._pausing = False
        if self._timer is None or self._timer.when() > self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._due is None or self.transport.is_closing():
            return
        if self.flow.read_paused or (self._pausing and self._unsent()):
            self._due = max(self._due, self.loop.time() + 1.0)  # it is us who do not read, or it who still does
        left = self._due - self.loop.time()
        if left > 0:
            self._timer = self.loop.call_later(left, self._ring)
        elif not self._in_request or (self._in_body and self._idle()):
            self.transport.close()  # nothing was asked, or it was answered
        else:
            self._refuse(408, f"the request was not whole within {self._limits.read_s:g} s")

    def _watch_unsent(self) -> None:
        unsent = self._unsent()
        if unsent:
            self.loop.call_later(_UNREAD_ANSWER_S, self._look_at_unsent, unsent)

    def _look_at_unsent(self, before: int) -> None:
        """An answer that nobody reads is thrown away: a transport that closes would wait for its reader for ever."""
        if self._unsent() >= before:
            self.transport.abort()
        else:
            self._watch_unsent()

    def _refuse(self, status: int, why: str) -> None:
        """Answer, unless another answer is under way already, and close."""
        log.debug("refused a connection's request: %d %s", status, why)
        self._due = None
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            body = orjson.dumps({"error": why})
            again = b"retry-after: 1\r\n" if status == 503 else b""
            self.transport.write(
                STATUS_LINE[status]
                + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
                + again
                + b"connection: close\r\n\r\n"
                + body
            )
        self.transport.close()
        self._watch_unsent()


def protocol(limits: HttpLimits, direct: Direct, draining: Callable[[], bool]) -> Callable[..., LimitedHttp]:
    """What uvicorn makes its connections with."""
    return partial(LimitedHttp, limits, direct, draining)
