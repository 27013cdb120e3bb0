"""An answer in JSON, with gzip around it when the client takes that and it is worth the work."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass

from service.adapters.rest.asgi import Headers, Send, field

_FROM_BYTES = 1024
_OFF_THE_LOOP_FROM = 1 << 17
"""Compressing this many bytes takes a millisecond or more, which others on the loop would feel."""
_LEVEL = 1
JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. ``headers`` tell all about the body but its length."""

    status: int
    headers: Headers
    body: bytes

    async def send(self, send: Send) -> None:
        """Send it as ASGI has it."""
        headers = [*self.headers, (b"content-length", b"%d" % len(self.body))]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


async def reply(status: int, body: bytes, said: Headers, asked: Headers | None) -> Reply:
    """Make an answer that says so much beside its body. ``asked`` are the headers of the request, of which one may ask
    for gzip; None forbids it.
    """
    headers = [JSON, *said]
    if asked is not None and len(body) > _FROM_BYTES:
        headers.append((b"vary", b"accept-encoding"))
        if takes_gzip(field(asked, b"accept-encoding")):
            body = await _zipped(body)
            headers.append((b"content-encoding", b"gzip"))
    return Reply(status, headers, body)


def takes_gzip(accepted: str) -> bool:
    """Whether an ``Accept-Encoding`` names gzip, and not to refuse it."""
    for one in accepted.lower().split(","):
        coding, _, rest = one.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            weight = rest.strip().removeprefix("q=").strip()
            return not weight or weight.strip("0.") != ""
    return False


async def _zipped(body: bytes) -> bytes:
    if len(body) < _OFF_THE_LOOP_FROM:
        return gzip.compress(body, _LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
