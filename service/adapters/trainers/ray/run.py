"""One trainer that Ray was given: handed over, waited for, followed through the work area, and seen gone.

Ray's word counts until the trainer has said its first; from then on the files and locks of the work area tell all, so a
job goes on whatever becomes of Ray's head.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from service.adapters.trainers.ray.jobs import RayCluster, RayJobs, RayRefused, RayUnreachable, Submission
from service.domain.jobs import WAITING
from service.domain.progress import PhaseProgress, Placed, TrainerEvent, Warned, from_line
from service.domain.work_area import (
    LOCK,
    LOG,
    RESIDENT,
    TURN_LOCK,
    events_of,
    give_turn,
    holder,
    status_in,
    take_turn_back,
)

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.2
LET_GO_S = 5.0
"""How long Ray may take to say that a trainer which is gone is gone. Of a machine that was lost it takes longer."""
LOG_TAIL = 4096
REFUSED = 2


class RayRun:
    """The ``TrainerRun`` port over one turn, or over several if Ray forgets or gives up what has not begun."""

    def __init__(self, jobs: RayJobs, cluster: RayCluster, directory: Path, job_id: str) -> None:
        """Begins at once. ``directory`` has the task in it, and nobody works there."""
        self._jobs = jobs
        self._cluster = cluster
        self._directory = directory
        self._job_id = job_id
        self._turn = ""
        self._handed_over = False
        self._told: asyncio.Queue[TrainerEvent | None] = asyncio.Queue()
        self._read = 0
        self._status: int | None = None
        self._reason = ""
        self._silent = False
        self._stopping = asyncio.Event()
        self._ended = asyncio.create_task(self._see_through())

    async def events(self) -> AsyncIterator[TrainerEvent]:
        """As the port says; before them all, that the job waits."""
        while (event := await self._told.get()) is not None:
            yield event

    async def ended(self) -> int:
        """As the port says."""
        return await asyncio.shield(self._ended)

    async def stop(self, grace_s: float) -> None:
        """As the port says. What has not begun gets no time: it would have to begin first."""
        if grace_s > 0 and self._read and not self._ended.done():
            await self._tell_ray_to_stop()
            await asyncio.wait({self._ended}, timeout=grace_s)
        if not self._ended.done():
            self._stopping.set()
            await asyncio.to_thread(take_turn_back, self._directory)
            await self._tell_ray_to_stop()
        await self.ended()

    def memory_bytes(self) -> int:
        """As the port says, as of a second ago."""
        if self._ended.done():
            return 0
        try:
            return int((self._directory / RESIDENT).read_text())
        except (OSError, ValueError):
            return 0  # it has not begun

    def log_tail(self) -> str:
        """As the port says; behind them, what Ray has to say."""
        try:
            with (self._directory / LOG).open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - LOG_TAIL))
                tail = file.read().decode(errors="replace").replace("\0", "")
        except FileNotFoundError:
            tail = ""
        return f"{tail}\n{self._reason}".strip()

    async def _see_through(self) -> int:
        self._say(PhaseProgress(WAITING, f"waits at Ray for {self._cluster.needs}", 0.0))
        try:
            while True:
                status = await self._looked()
                if status is not None:
                    break
                await asyncio.sleep(LOOK_EVERY_S)
            await self._until_let_go()
            return status
        finally:
            self._told.put_nowait(None)

    async def _looked(self) -> int | None:
        """How it ended, once it has."""
        try:
            if self._stopping.is_set():
                # Again: it may just have been given. From here on nobody begins.
                await asyncio.to_thread(take_turn_back, self._directory)
            # In this order: what was said before the locks were free is there to be read.
            free = not await asyncio.to_thread(held, self._directory)
            await self._hear()
        except OSError as error:
            log.warning("the work area of %s cannot be read now: %s", self._job_id, error)
            return None
        if free and (self._read or self._stopping.is_set()):
            gone = -signal.SIGKILL if self._read else -signal.SIGTERM
            return gone if self._status is None else self._status
        if self._read or self._stopping.is_set():
            return None
        return await self._asked()

    async def _hear(self) -> None:
        """Pass on what the trainer has said since the last time."""
        if not self._turn:
            return
        whole = await asyncio.to_thread(_whole_lines, events_of(self._directory, self._turn), self._read)
        self._read += len(whole)
        for line in whole.decode(errors="replace").split("\n")[:-1]:
            event = from_line(line)
            if isinstance(event, Placed):
                self._say(replace(event, data={**event.data, **await self._place()}))
            elif event is not None:
                self._say(event)
            else:
                self._status = status_in(line)

    async def _place(self) -> dict[str, str]:
        look = await self._look()
        node = {} if look is None or look.node is None else {"node": look.node}
        return {"submission": self._turn, **node}

    async def _asked(self) -> int | None:
        """Have Ray take it, and ask what became of it; an exit status when that is nothing."""
        try:
            if not self._handed_over:
                await self._hand_over()
            look = await self._jobs.look(self._turn)
        except RayUnreachable as error:
            self._doubt(f"Ray does not answer, and will be asked again: {error}")
            return None
        except RayRefused as error:
            self._reason = f"Ray refuses the job: {error}"
            return REFUSED
        self._silent = False
        if look is None or look.starved:
            # It has forgotten, or given up waiting; should it think better of it, that turn is over.
            self._turn, self._handed_over = "", False
        elif look.over:
            await self._hear()
            if not self._read:
                self._reason = look.message
                return look.exit_code or 1
        return None

    async def _hand_over(self) -> None:
        if not self._turn:
            # A name no turn had before, not even one of a database that is lost.
            self._turn = f"{self._job_id}.{uuid.uuid4().hex[:12]}"
        await asyncio.to_thread(give_turn, self._directory, self._turn)
        arguments = ["turn", str(self._directory), self._turn]
        await self._jobs.submit(self._turn, arguments, {"graft_job": self._job_id})
        self._handed_over = True

    async def _until_let_go(self) -> None:
        """The trainer is gone; wait until Ray has seen that, so that what it used is free."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + LET_GO_S
        while self._handed_over and loop.time() < give_up:
            look = await self._look()
            if look is None or look.over or look.status == "PENDING":
                break
            await asyncio.sleep(LOOK_EVERY_S)
        if self._status is None and not self._reason:
            look = await self._look()
            self._reason = look.message if look is not None else ""

    async def _look(self) -> Submission | None:
        try:
            return await self._jobs.look(self._turn)
        except (RayUnreachable, RayRefused) as error:
            log.warning("Ray does not say how %s is: %s", self._turn, error)
            return None

    async def _tell_ray_to_stop(self) -> None:
        if not self._turn:
            return
        try:
            await self._jobs.stop(self._turn)
        except (RayUnreachable, RayRefused) as error:
            log.warning("Ray was not told to stop %s: %s", self._turn, error)

    def _doubt(self, message: str) -> None:
        if not self._silent:
            self._silent = True
            log.warning("job %s: %s", self._job_id, message)
            self._say(Warned(message))

    def _say(self, event: TrainerEvent) -> None:
        self._told.put_nowait(event)


def held(directory: Path) -> bool:
    """Whether anyone works in a work area, or is about to. Blocks."""
    return holder(directory / TURN_LOCK) is not None or holder(directory / LOCK) is not None


def _whole_lines(file: Path, start: int) -> bytes:
    """What stands behind ``start``, up to the last end of a line; nothing when there is no file."""
    try:
        with file.open("rb") as opened:
            opened.seek(start)
            read = opened.read()
    except FileNotFoundError:
        return b""
    return read[: read.rfind(b"\n") + 1]
