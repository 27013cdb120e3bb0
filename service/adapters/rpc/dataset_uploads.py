"""Labelled data over a client's stream, received as it comes: it goes to the disk piece by piece, never whole into
memory, and what is too large, too slow or not what was announced is refused as soon as that shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from service.domain.dataset import LABEL, TASK
from service.domain.errors import DeadlineExceeded, InvalidInput, UploadTooLarge
from service.pb.graft.v1 import tuning_pb2 as pb

LARGEST_CHUNK = 4 << 20
FLUSH = 1 << 20
SLOWEST = 16 << 10
"""Bytes a second: so slow a client may be, beyond its patience, before it is taken for one that never ends."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What one upload may cost: bytes, and the seconds that a client may take without sending any."""

    most_bytes: int
    patience_s: float = 30.0


Options = pb.UploadDatasetRequest.Options


def dataset_options(options: Options) -> dict[str, str]:
    """How the data is to be read, as far as it was said."""
    said = {LABEL: options.label, TASK: options.task}
    return {name: value for name, value in said.items() if value}


async def receive_upload(stream: AsyncIterator[pb.UploadDatasetRequest], into: Path, limits: UploadLimits) -> Options:
    """Receive a stream: its first message, which tells of the file, and into ``into`` all that follow.

    Raises:
        InvalidInput: it is not such a stream, or not as long as was announced.
        UploadTooLarge: it is longer than may be.
        DeadlineExceeded: its client is too slow.
        OSError: it cannot be written.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + limits.patience_s
    try:
        async with asyncio.timeout_at(give_up) as patience:
            options = await _first(stream, limits.most_bytes)
            received, pending = 0, bytearray()
            with await asyncio.to_thread(into.open, "wb") as file:
                async for message in stream:
                    pending += _chunk(message)
                    received += len(message.chunk)
                    _check(received, options, limits.most_bytes)
                    patience.reschedule(give_up + received / SLOWEST)
                    if len(pending) >= FLUSH:
                        await asyncio.to_thread(file.write, pending)
                        pending = bytearray()
                await asyncio.to_thread(file.write, pending)
    except TimeoutError as error:
        raise DeadlineExceeded("the upload comes too slowly: the server has stopped waiting for it") from error
    if options.HasField("size_bytes") and received != options.size_bytes:
        raise InvalidInput(f"the upload ended after {received} bytes, and {options.size_bytes} were announced")
    return options


async def _first(stream: AsyncIterator[pb.UploadDatasetRequest], most_bytes: int) -> Options:
    message = await anext(stream, None)
    if message is None or message.WhichOneof("part") != "options":
        raise InvalidInput("the first message of an upload has to hold its options")
    options = message.options
    if options.HasField("size_bytes"):
        if options.size_bytes < 0:
            raise InvalidInput("a file has no negative size_bytes")
        _check(options.size_bytes, options, most_bytes)
    return options


def _chunk(message: pb.UploadDatasetRequest) -> bytes:
    if message.WhichOneof("part") != "chunk":
        raise InvalidInput("after the first message of an upload every one has to hold a chunk of the file")
    if len(message.chunk) > LARGEST_CHUNK:
        raise InvalidInput(f"a chunk holds at most {LARGEST_CHUNK} bytes, and one has {len(message.chunk)}")
    return message.chunk


def _check(size: int, options: Options, most_bytes: int) -> None:
    if size > most_bytes:
        raise UploadTooLarge(f"the file is larger than this server accepts: {most_bytes} bytes")
    if options.HasField("size_bytes") and size > options.size_bytes:
        raise InvalidInput(f"more bytes come than the {options.size_bytes} that were announced")
