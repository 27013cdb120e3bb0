"""One trainer process at work: its lines as events, its end, and the proof that nothing of it is left."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from service.adapters.trainers import groups
from service.domain.progress import TrainerEvent, from_line

CHUNK = 64 * 1024
LONGEST_LINE = 16 * 1024 * 1024
LOG_TAIL = 4096
DRAIN_S = 1.0
"""How long what a gone trainer said may still be on its way; only a process that left the group keeps the pipe open."""


class ProcessRun:
    """The ``TrainerRun`` port over a child that leads a process group of its own."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        stdin: int,
        stdout: asyncio.StreamReader,
        transport: asyncio.ReadTransport,
        log: Path | None,
    ) -> None:
        self._process = process
        self._stdin = stdin
        self._stdout = stdout
        self._transport = transport
        self._log = log
        self._ended = asyncio.create_task(self._until_gone())

    @classmethod
    async def started(cls, command: Sequence[str], log: Path | None) -> ProcessRun:
        """Start a command whose standard error goes to the end of ``log``, or nowhere. Not to be cancelled.

        Raises:
            OSError: it cannot be started.
        """
        # The pipes are our own and not the event loop's: so the child's end is seen when it ends, and not when the last
        # process closes its output.
        reader = asyncio.StreamReader(limit=CHUNK)
        with ExitStack() as ours, ExitStack() as the_childs:
            child_in, stdin = os.pipe()
            the_childs.callback(os.close, child_in)
            ours.callback(os.close, stdin)
            stdout, child_out = os.pipe()
            the_childs.callback(os.close, child_out)
            with ExitStack() as nobodys:
                reading = nobodys.enter_context(os.fdopen(stdout, "rb", buffering=0))
                log_end = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                the_childs.callback(os.close, log_end)
                transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                    lambda: asyncio.StreamReaderProtocol(reader), reading
                )
                nobodys.pop_all()  # it is the transport's from here on, and must not be closed beside it
            ours.callback(transport.close)
            process = await asyncio.create_subprocess_exec(
                *command, stdin=child_in, stdout=child_out, stderr=log_end, start_new_session=True
            )
            ours.pop_all()
        groups.be_nice(process.pid)
        return cls(process, stdin, reader, transport, log)

    @property
    def alive(self) -> bool:
        """Whether the process has not ended, as far as is known."""
        return self._process.returncode is None

    def begin(self, directory: Path, log: Path) -> None:
        """Tell a trainer that was started without work where its work lies; it writes to ``log`` from then on.

        Raises:
            OSError: it is gone.
        """
        log.touch()
        os.write(self._stdin, f"{directory}\n".encode())
        self._log = log

    async def events(self) -> AsyncIterator[TrainerEvent]:
        """As the port says. Lines that are no events are appended to the log."""
        assert self._log is not None
        with self._log.open("ab", buffering=0) as chatter:
            async for line in _lines(self._stdout):
                event = from_line(line.decode(errors="replace"))
                if event is None:
                    chatter.write(line + b"\n")
                else:
                    yield event

    async def ended(self) -> int:
        """As the port says."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace_s: float) -> None:
        """As the port says."""
        if not self._ended.done() and grace_s > 0:
            groups.send(self._process.pid, signal.SIGTERM)
            await asyncio.wait({self._ended}, timeout=grace_s)
        if not self._ended.done():
            groups.send(self._process.pid, signal.SIGKILL)
        await self.ended()

    def memory_bytes(self) -> int:
        """As the port says."""
        return groups.resident_bytes(self._process.pid)

    def log_tail(self) -> str:
        """As the port says."""
        assert self._log is not None
        with self._log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL))
            return file.read().decode(errors="replace").replace("\0", "")

    async def _until_gone(self) -> int:
        status = await self._process.wait()
        await groups.end(self._process.pid)
        os.close(self._stdin)
        asyncio.get_running_loop().call_later(DRAIN_S, self._transport.close)
        return status


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length, without their ends; of one longer than any event could be, only the beginning."""
    held = bytearray()
    while chunk := await stream.read(CHUNK):
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            held += part
            yield bytes(held[:LONGEST_LINE])
            held.clear()
        held += rest[: max(0, LONGEST_LINE - len(held))]
    if held:
        yield bytes(held)
