"""What a worker and its parent say to each other, over a socket pair that nobody else has hold of.

Each message is a kind and a content, pickled: both ends are processes of one program, and what they exchange are its
own values.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from typing import Any, NamedTuple

_LENGTH = struct.Struct(">Q")


class Message(NamedTuple):
    """One thing said. ``number`` ties a question and its answer together."""

    kind: str
    content: Any = None
    number: int = 0


class Line:
    """One end of the pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, end: socket.socket) -> Line:
        """A line over one end of a socket pair."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    def say(self, kind: str, content: Any = None, number: int = 0) -> None:
        """Say something. Whether the other end still listens is not known."""
        if not self._writer.is_closing():
            message = pickle.dumps((kind, content, number))
            self._writer.write(_LENGTH.pack(len(message)) + message)

    async def hear(self) -> Message | None:
        """The next message; None when the other end is gone."""
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            return Message(*pickle.loads(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def close(self) -> None:
        """Send what was said, and hang up."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return  # the other end was quicker
