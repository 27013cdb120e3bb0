"""The body of a request, whole and never larger than allowed: as it was sent, or inflated when it was sent as gzip.

A few bytes of gzip can stand for gigabytes. What is inflated is counted as it comes out, and no more is taken out than
may be kept. What all requests together hold is counted too, and who would exceed that is told to come back later.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.adapters.rest.asgi import Receive, Scope, header
from service.adapters.rest.reading_thread import ReadingThread
from service.domain.errors import InvalidInput, Overloaded, UploadTooLarge

_GZIP = 16 + zlib.MAX_WBITS
_MOST_MEMBERS = 1000
_STEP = 1 << 24
"""Inflated at a time: no more than this is there before it is asked whether there is room for it."""


_LARGE = 64 * 1024
"""From this size a body is not even taken in before it is known that somebody can answer it."""


class Room:
    """How much of all bodies may be in memory at once, over all connections. Thread-safe."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held = 0
        self._lock = threading.Lock()

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """One request's part of it: to be called with every further number of bytes, all free again at the end.

        Raises:
            Overloaded: there is no room for as many now. Who is alone here has room for anything.
        """
        mine = 0

        def take(count: int) -> None:
            nonlocal mine
            with self._lock:
                if self._held > mine and self._held + count > self._most_bytes:
                    raise Overloaded(f"other requests fill the {self._most_bytes} bytes that there are for bodies")
                self._held += count
                mine += count

        try:
            yield take
        finally:
            with self._lock:
                self._held -= mine


async def read(
    scope: Scope,
    receive: Receive,
    most_bytes: int,
    take: Callable[[int], None],
    before_large: Callable[[], None],
    thread: ReadingThread,
) -> bytes:
    """The whole body, inflated. ``before_large`` is asked once before more than a little is taken in, and may refuse.

    Raises:
        UploadTooLarge: it is larger than ``most_bytes``, as sent or inflated.
        Overloaded: there is no room for it.
        InvalidInput: it is no gzip though it says so, or is compressed otherwise, or the client left before its end.
    """
    encoding = header(scope, b"content-encoding").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise InvalidInput(f"Content-Encoding {encoding[:100]!r} is not supported; send gzip, or nothing of the kind")
    inflating = _Inflating(most_bytes, take) if "gzip" in encoding else None
    declared = header(scope, b"content-length")
    asked = False
    if declared.isdecimal() and len(declared) < 20 and int(declared) > _LARGE:
        before_large()
        asked = True
        if int(declared) > most_bytes:
            raise _too_large(most_bytes)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("the client left before its request was complete")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > most_bytes:
            raise _too_large(most_bytes)
        if size > _LARGE and not asked:
            before_large()
            asked = True
        if inflating is None:
            take(len(chunk))
            chunks.append(chunk)
        else:
            # A chunk becomes up to a thousand times as much.
            await thread.run(1000 * len(chunk), inflating.take, chunk)
        if not message.get("more_body", False):
            break
    if inflating is not None:
        return inflating.whole()
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class _Inflating:
    """gzip on its way to what it stands for; it may consist of several members, one after the other."""

    def __init__(self, most_bytes: int, take: Callable[[int], None]) -> None:
        self._most_bytes, self._size, self._take = most_bytes, 0, take
        self._member = zlib.decompressobj(_GZIP)
        self._members = 0
        self._chunks: list[bytes] = []

    def take(self, chunk: bytes) -> None:
        """Raises: InvalidInput, UploadTooLarge, Overloaded."""
        while chunk:
            if not self._members or self._member.eof:
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise InvalidInput(f"the body is gzip of more than {_MOST_MEMBERS} members")
                self._member = zlib.decompressobj(_GZIP)
            try:
                # One more than may be kept, so that too many are noticed.
                out = self._member.decompress(chunk, min(_STEP, self._most_bytes - self._size + 1))
            except zlib.error as error:
                raise InvalidInput(f"the body is not the gzip it says it is: {error}") from error
            self._size += len(out)
            if self._size > self._most_bytes:
                raise _too_large(self._most_bytes)
            self._take(len(out))
            self._chunks.append(out)
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def whole(self) -> bytes:
        """All of it. Raises: InvalidInput, its end is missing."""
        if self._members and not self._member.eof:
            raise InvalidInput("the body is gzip that ends before its end")
        return b"".join(self._chunks)


def _too_large(most_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(f"the request is larger than {most_bytes} bytes, the limit of this server")
