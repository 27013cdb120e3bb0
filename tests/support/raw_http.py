"""The REST server over fakes, and connections to it that say exactly what a test wants said."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from serving_fakes import Bench, scaling_model

from service.adapters.rest.app import RestApplication, api
from service.adapters.rest.http_limits import HttpLimits
from service.adapters.rest.server import HttpServer
from service.adapters.rest.tfserving import TfServingDoor
from service.domain.batches import BatchLimits

READ_S = 0.4
PATIENCE_S = 15.0
ROWS = b'{"instances": [[1, 2, 3]]}'
ANSWER = {"predictions": [[3, 5, 7]]}
POST = b"POST /v1/models/m:predict HTTP/1.1\r\nHost: a\r\n"
NOBODY = POST.replace(b"models/m:", b"models/nobody:")
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def sized(body: bytes, head: bytes = POST) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def say(self, *parts: bytes, every_s: float = 0.0) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(every_s)

    async def answer(self) -> tuple[int, dict[str, object], bytes]:
        """Status, body and head of the next answer."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            assert length, head
            return int(head.split()[1]), json.loads(await self._reader.readexactly(int(length[1]))), head

    async def line(self) -> bytes:
        """The next line of what comes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._reader.readline()

    async def ended(self) -> bytes:
        """What came until the server closed the connection."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self._reader.read()
            except ConnectionResetError:
                return b""


class Place:
    """A REST server over fakes."""

    def __init__(self, limits: HttpLimits, most_bodies: int, batches: BatchLimits | None) -> None:
        self.bench = Bench(limits=batches)
        self.door = TfServingDoor(
            self.bench.predictor,
            self.bench.models,
            timeout_s=20,
            max_body_bytes=4_000_000,
            max_bodies_bytes=most_bodies,
        )
        self.draining = False
        app = RestApplication(self.door, api([]), lambda: self.draining)
        self.server = HttpServer(app, "127.0.0.1", 0, 1.0, limits)
        self._lines: list[Line] = []

    async def line(self) -> Line:
        self._lines.append(Line(*await asyncio.open_connection("127.0.0.1", self.server.port, limit=1 << 20)))
        return self._lines[-1]

    async def close(self) -> None:
        for line in self._lines:
            line.writer.close()
        await self.server.stop()
        await self.bench.close()


Make = Callable[..., Place]


@asynccontextmanager
async def places() -> AsyncIterator[Callable[..., object]]:
    """Makes places; all are gone in the end."""
    made: list[Place] = []

    async def one(most_bodies: int = 1 << 30, batches: BatchLimits | None = None, **limits: float) -> Place:
        given = HttpLimits(**{"read_s": READ_S, "keep_alive_s": 20.0, **limits})  # type: ignore[arg-type]
        place = Place(given, most_bodies, batches)
        made.append(place)
        place.bench.publish("m", 3, scaling_model(2))
        await place.bench.look()
        await place.server.start()
        return place

    yield one
    for place in made:
        await place.close()
