"""A job's history as server-sent events: each with its number, so that a client which lost the connection goes on from
where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request

from service.adapters.rest.tuning_answers import event_answer
from service.domain.errors import InvalidInput
from service.domain.jobs import JobEvent

MEDIA_TYPE = "text/event-stream"
HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
BEAT = b": still here\n\n"
BEAT_S = 15.0
LARGEST_SEQ = 2**31 - 1


def is_wanted(request: Request) -> bool:
    """Whether the client would rather have a stream than a page."""
    return MEDIA_TYPE in request.headers.get("accept", "").lower()


def resumes_after(request: Request, otherwise: int) -> int:
    """The number of the last event the client has seen.

    Raises:
        InvalidInput: its ``Last-Event-ID`` is none of ours.
    """
    last = request.headers.get("last-event-id")
    if last is None:
        return otherwise
    if not (last.isascii() and last.isdigit() and len(last) < 12 and int(last) <= LARGEST_SEQ):
        raise InvalidInput(f"the Last-Event-ID {last[:40]!r} is no event's number")
    return int(last)


async def stream(events: AsyncIterator[JobEvent], beat_s: float) -> AsyncIterator[bytes]:
    """Events as they come; between them, every ``beat_s`` seconds, a comment that keeps the connection from being
    taken for dead.
    """
    coming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=beat_s)
            if not coming.done():
                yield BEAT
                continue
            event = coming.result()
            if event is None:
                return
            yield f"id: {event.seq}\nevent: {event.type}\ndata: {event_answer(event).model_dump_json()}\n\n".encode()
            coming = asyncio.ensure_future(anext(events, None))
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
