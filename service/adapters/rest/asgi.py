"""The words of ASGI, which the predict path speaks without a framework in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]


def header(scope: Scope, name: bytes) -> str:
    """All that a request says under this name, which is in small letters; empty when it says nothing."""
    return field(scope["headers"], name)


def field(headers: Headers, name: bytes) -> str:
    """The same of headers alone."""
    return b",".join([value for known, value in headers if known == name]).decode("latin-1")
