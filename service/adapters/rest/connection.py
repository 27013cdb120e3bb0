"""What a handler owes to the connection it answers on: a body no larger than it should be, and no work for a client
that has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from service.domain.errors import InvalidInput

T = TypeVar("T")


async def small_body(request: Request, most_bytes: int) -> bytes:
    """The whole body of a request that has no business being large.

    Raises:
        InvalidInput: it is, or the client left before it was whole.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most_bytes:
                raise InvalidInput(f"the body of this request may have {most_bytes} bytes")
    except ClientDisconnect as error:
        raise InvalidInput("the client left before the request was whole") from error
    return bytes(body)


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, whose request has been read to its end; when the client leaves, the work is cancelled.

    Raises:
        InvalidInput: the client left; nobody will read it.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise InvalidInput("the client left before its answer was there")
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
