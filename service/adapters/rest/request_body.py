"""The body of a request, whole and never larger than allowed: as it was sent, or inflated when it was sent as gzip.

A few bytes of gzip can stand for gigabytes. What is inflated is counted as it comes out, and no more is taken out than
may be kept.
"""

from __future__ import annotations

import zlib

from service.adapters.rest.asgi import Receive, Scope, header
from service.domain.errors import InvalidInput, UploadTooLarge

_GZIP = 16 + zlib.MAX_WBITS
_MOST_MEMBERS = 1000


async def read(scope: Scope, receive: Receive, most_bytes: int) -> bytes:
    """The whole body, inflated.

    Raises:
        UploadTooLarge: it is larger than ``most_bytes``, as sent or inflated.
        InvalidInput: it is no gzip though it says so, or is compressed otherwise, or the client left before its end.
    """
    encoding = header(scope, b"content-encoding").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise InvalidInput(f"Content-Encoding {encoding[:100]!r} is not supported; send gzip, or nothing of the kind")
    inflating = _Inflating(most_bytes) if "gzip" in encoding else None
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
        if inflating is None:
            chunks.append(chunk)
        else:
            inflating.take(chunk)
        if not message.get("more_body", False):
            break
    if inflating is not None:
        return inflating.whole()
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class _Inflating:
    """gzip on its way to what it stands for; it may consist of several members, one after the other."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._size = most_bytes, 0
        self._member = zlib.decompressobj(_GZIP)
        self._members = 0
        self._chunks: list[bytes] = []

    def take(self, chunk: bytes) -> None:
        """Raises: InvalidInput, UploadTooLarge."""
        while chunk:
            if not self._members or self._member.eof:
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise InvalidInput(f"the body is gzip of more than {_MOST_MEMBERS} members")
                self._member = zlib.decompressobj(_GZIP)
            try:
                # One more than may be kept, so that too many are noticed.
                out = self._member.decompress(chunk, self._most_bytes - self._size + 1)
            except zlib.error as error:
                raise InvalidInput(f"the body is not the gzip it says it is: {error}") from error
            self._size += len(out)
            if self._size > self._most_bytes:
                raise _too_large(self._most_bytes)
            self._chunks.append(out)
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def whole(self) -> bytes:
        """All of it. Raises: InvalidInput, its end is missing."""
        if self._members and not self._member.eof:
            raise InvalidInput("the body is gzip that ends before its end")
        return b"".join(self._chunks)


def _too_large(most_bytes: int) -> UploadTooLarge:
    return UploadTooLarge(f"the request is larger than {most_bytes} bytes, the limit of this server")
