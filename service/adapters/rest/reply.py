"""Sending an answer: JSON, with gzip around it when the client takes that and it is worth the work."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Mapping

from service.adapters.rest.asgi import Scope, Send, header

_FROM_BYTES = 1024
_OFF_THE_LOOP_FROM = 1 << 17
"""Compressing this many bytes takes a millisecond or more, which others on the loop would feel."""
_LEVEL = 1


async def send_json(scope: Scope, send: Send, status: int, body: bytes, headers: Mapping[str, str], zip: bool) -> None:
    """Send a whole answer; ``zip`` allows gzip, the client's ``Accept-Encoding`` asks for it."""
    pairs = [(b"content-type", b"application/json")]
    pairs += [(name.encode(), value.encode()) for name, value in headers.items()]
    if zip and len(body) > _FROM_BYTES:
        pairs.append((b"vary", b"accept-encoding"))
        if takes_gzip(header(scope, b"accept-encoding")):
            body = await _zipped(body)
            pairs.append((b"content-encoding", b"gzip"))
    pairs.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


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
