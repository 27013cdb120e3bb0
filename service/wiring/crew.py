"""Several workers behind the same ports: started, watched, replaced when one is lost, and stopped together.

The parent serves nothing and loads nothing. It keeps the ports reserved and the state directory locked for as long as
the crew lives, and carries what workers tell each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from dataclasses import dataclass, replace

from service.adapters.crew.hub import Hub, Member, Topic
from service.adapters.crew.last_configuration import RELOAD, LastConfiguration
from service.adapters.crew.merged_pages import CountedTogether
from service.adapters.crew.messages import Line
from service.adapters.crew.ports import reserved
from service.adapters.state_directory import StateDirectory
from service.settings import ServeSettings, SettingsError
from service.wiring.announcement import addresses, announce
from service.wiring.beginning import Beginning
from service.wiring.signals import stop_on_signals

log = logging.getLogger(__name__)

_SOON_S = 10.0
_MOST_IN_A_ROW = 5
"""Workers of one place that were lost soon after they began; then something is wrong that another will not mend."""
_SLACK_S = 10.0
_REFUSED = (1, 2)
"""With these a process ends that could not begin, having said why."""


class CrewLost(OSError):
    """The crew cannot go on."""


@dataclass(slots=True)
class _Place:
    """One of the crew's places, whoever has it now."""

    name: str
    lost_in_a_row: int = 0


class Crew:
    """The parent of ``settings.workers`` processes."""

    def __init__(self, settings: ServeSettings) -> None:
        """Reserve the ports and lock the state directory.

        Raises:
            OSError: a port or the state directory is taken.
            SettingsError: something is asked for that several processes cannot share.
        """
        if settings.grpc_socket:
            raise SettingsError("a Unix socket belongs to one process: leave out grpc_socket, or workers")
        self._reserved = [reserved(settings.host, port) for port in (settings.rest_port, settings.grpc_port)]
        rest, grpc = (one.getsockname()[1] for one in self._reserved)
        self.settings = replace(settings, rest_port=rest, grpc_port=grpc)
        self._state = StateDirectory(settings.state.resolve()) if settings.discover else None
        self._configuration = LastConfiguration()
        topics: dict[str, Topic] = {
            "graft": CountedTogether(),
            "tfserving": CountedTogether(),
            RELOAD: self._configuration,
        }
        self._hub = Hub(settings.workers, topics)
        self._processes: set[asyncio.subprocess.Process] = set()
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Keep every place filled until ``stop`` is set; then end all workers in order.

        Raises:
            CrewLost: a worker could not begin, or was lost again and again.
        """
        places = [_Place(f"worker {number}") for number in range(self.settings.workers)]
        keeping = [asyncio.create_task(self._keep(place)) for place in places]
        announcing = asyncio.create_task(self._announce())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([stopping, *keeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping = True
            for task in (stopping, announcing):
                task.cancel()
            self._signal(signal.SIGTERM)
            _, left = await asyncio.wait(keeping, timeout=self._longest_end_s)
            if left:
                log.error("%d workers do not end: they are killed", len(self._processes))
                self._signal(signal.SIGKILL)
            ends = await asyncio.gather(*keeping, return_exceptions=True)
            for one in self._reserved:
                one.close()
            if self._state is not None:
                self._state.release()
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    @property
    def _longest_end_s(self) -> float:
        """How long a worker may take to end: to drain, to finish requests, and to free its models."""
        return self.settings.drain_seconds + 2 * self.settings.shutdown_seconds + _SLACK_S

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    async def _announce(self) -> None:
        """Say on standard output where the crew listens, once all of it does."""
        await self._hub.whole.wait()
        announce(self.settings, *addresses(self.settings, self.settings.rest_port, self.settings.grpc_port))

    async def _keep(self, place: _Place) -> None:
        """Have a worker in this place until the crew stops. Raises: CrewLost."""
        late = False
        loop = asyncio.get_running_loop()
        while not self._stopping:
            began = loop.time()
            status, began_well = await self._one(place, late=late)
            if self._stopping:
                return
            if status in _REFUSED and not (late or began_well):
                raise CrewLost(f"{place.name} could not begin")
            late = True
            lasted_s = loop.time() - began
            place.lost_in_a_row = place.lost_in_a_row + 1 if lasted_s < _SOON_S else 1
            if place.lost_in_a_row >= _MOST_IN_A_ROW:
                raise CrewLost(f"{place.name} was lost {place.lost_in_a_row} times in a row soon after it began")
            pause_s = 0.0 if place.lost_in_a_row == 1 else 2.0 ** (place.lost_in_a_row - 2)
            log.error("%s was lost (status %s); another begins in %.0f s", place.name, status, pause_s)
            await asyncio.sleep(pause_s)

    async def _one(self, place: _Place, *, late: bool) -> tuple[int, bool]:
        """One worker's life: its exit status, negative for the signal that ended it, and whether it ever listened."""
        ours, theirs = socket.socketpair()
        lock = self._state.lock if self._state is not None else None
        shared = [theirs.fileno(), *([lock] if lock is not None else [])]
        command = [sys.executable, "-m", "service.wiring.worker", str(theirs.fileno())]
        process = await asyncio.create_subprocess_exec(*command, pass_fds=shared, stdin=asyncio.subprocess.DEVNULL)
        theirs.close()
        self._processes.add(process)
        log.info("%s is process %d", place.name, process.pid)
        if self._stopping:
            process.terminate()
        line = await Line.over(ours)
        member = Member(place.name, line)
        line.say("begin", Beginning(place.name, self.settings, late, lock, self._configuration.config))
        serving = asyncio.create_task(self._hub.serve(member))
        try:
            status = await process.wait()
            # What it said last may still be on its way.
            await serving
        finally:
            self._processes.discard(process)
            self._hub.gone(member)
            await line.close()
        return status, member.listens


async def serve(settings: ServeSettings) -> None:
    """Run a crew until SIGTERM or SIGINT."""
    await Crew(settings).run(stop_on_signals())
