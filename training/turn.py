"""A job on a machine of a cluster: the trainer, started as its service would start it, for as long as it is its turn.

Promises that no trainer outlives its turn, or whoever started this process: a turn that is taken back ends within a
second, although the service cannot reach this machine. What is an event goes into a file, what is not into the log.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from service.domain.progress import Placed, from_line, to_line
from service.domain.work_area import (
    LOG,
    RESIDENT,
    TURN_LOCK,
    TURN_LOST,
    events_of,
    last_line,
    whose_turn,
    write_whole,
)

LOOK_EVERY_S = 0.5
DRAIN_S = 1.0
"""How long what a gone trainer said may still be on its way; only a process that left the group keeps the pipe open."""
_TRAINER = (sys.executable, "-m", "training")


def take_turn(directory: Path, turn: str, trainer: Sequence[str] = _TRAINER) -> int:
    """Run the job of a work area; the trainer's exit status as a shell has it, or ``TURN_LOST``."""
    parent = os.getppid()
    try:
        with _alone(directory / TURN_LOCK):
            if whose_turn(directory) != turn:
                return TURN_LOST
            with events_of(directory, turn).open("a", encoding="utf-8") as events:
                status = _Turn(directory, turn, parent, events).work([*trainer, "job", str(directory)])
    except FileNotFoundError:
        return TURN_LOST  # the job is over, and its work area gone
    return status if status >= 0 else 128 - status


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock, after waiting for whoever holds it now. The directory is not made: without it there is no job."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class _Turn:
    """One trainer at work. Used once."""

    def __init__(self, directory: Path, turn: str, parent: int, events: IO[str]) -> None:
        self._directory = directory
        self._turn = turn
        self._parent = parent
        self._events = events
        self._over = threading.Event()

    def work(self, command: Sequence[str]) -> int:
        """See a trainer through; its exit status, negative for a signal. All that it started is gone then."""
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        self._tell(to_line(Placed(f"begins on {socket.gethostname()}", {"host": socket.gethostname(), "gpus": gpus})))
        with (self._directory / LOG).open("ab", buffering=0) as log:
            # Its standard input is held open here, and so ends when this process does, however that goes.
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
            signal.signal(signal.SIGTERM, lambda *_: _send(process.pid, signal.SIGTERM))
            assert process.stdout is not None
            relaying = threading.Thread(target=self._relay, args=(process.pid, process.stdout, log), daemon=True)
            watching = threading.Thread(target=self._watch, args=(process.pid,), daemon=True)
            relaying.start()
            watching.start()
            status = process.wait()
            _send(process.pid, signal.SIGKILL)
            relaying.join(DRAIN_S)
            self._over.set()
            watching.join()
        self._tell(last_line(status))
        return status

    def _relay(self, group: int, said: IO[bytes], log: IO[bytes]) -> None:
        try:
            for line in said:
                event = from_line(line.decode(errors="replace"))
                if event is None:
                    log.write(line)
                else:
                    self._tell(to_line(event))
        except OSError:
            # Without a place to write to, as on a full disk, there is no use in going on.
            _send(group, signal.SIGKILL)
            raise

    def _watch(self, group: int) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            if os.getppid() != self._parent or whose_turn(self._directory) != self._turn:
                _send(group, signal.SIGKILL)
            with suppress(OSError):  # a figure that is missing once is there the next time
                write_whole(self._directory / RESIDENT, str(_resident_bytes(group)))

    def _tell(self, line: str) -> None:
        """For the service, and for whoever looks at the cluster's own log."""
        self._events.write(line + "\n")
        self._events.flush()
        os.fsync(self._events.fileno())
        print(line, flush=True)


def _send(group: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, what)


def _resident_bytes(group: int) -> int:
    """What is in memory of all processes of a group, where there is a /proc; what they share counts for each."""
    pages = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):  # it ended while we looked
            if int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[2]) == group:
                pages += int((entry / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
