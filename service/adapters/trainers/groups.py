"""Process groups: signalling all that a child started, and knowing for certain that all of it is gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LOOK_EVERY_S = 0.02
NICEST = 19
KILL = signal.SIGKILL
_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Member:
    """A process of a group, as /proc tells."""

    pid: int
    state: str
    command: str

    @property
    def dead(self) -> bool:
        """Whether only its entry in the process table is left, for a parent to collect."""
        return self.state in "ZX"


def send(group: int, what: signal.Signals) -> None:
    """Signal every process of a group; nothing happens when there is none."""
    with suppress(ProcessLookupError):
        os.killpg(group, what)


def exists(group: int) -> bool:
    """Whether any process of the group can still do anything.

    Where the service is the first process of a container, or nothing there collects orphans, the dead stay in the
    process table for ever, and a signal still reaches them. They are collected when they are ours, and not counted.
    """
    with suppress(ChildProcessError):
        while os.waitpid(-group, os.WNOHANG) != (0, 0):
            pass
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return not _PROC.is_dir() or any(not member.dead for member in members(group))


def members(group: int) -> Iterator[Member]:
    """The processes of a group, where there is a /proc."""
    for entry in _PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError):  # it ended while we looked
            # "pid (name) state ppid pgrp ...", and a name may hold anything, spaces and brackets too
            state, _, pgrp = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(pgrp) == group:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield Member(int(entry.name), state, command)


def resident_bytes(group: int) -> int:
    """What is in memory of all processes of a group, where there is a /proc; what they share counts for each."""
    pages = 0
    for member in members(group):
        with suppress(OSError, IndexError):  # it has ended meanwhile
            pages += int((_PROC / str(member.pid) / "statm").read_text().split()[1])
    return pages * _PAGE


def has_open(pid: int, file: Path) -> bool:
    """Whether a process has this file open, where there is a /proc and it may be looked at."""
    try:
        return any(entry.readlink() == file for entry in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False  # it has ended, or is another user's


async def end(group: int) -> None:
    """Kill what is left of a group, and return when nothing is."""
    send(group, KILL)
    while exists(group):
        await asyncio.sleep(LOOK_EVERY_S)
        send(group, KILL)  # a process may have forked between being listed and being hit


def be_nice(pid: int) -> None:
    """Let a child just started, and all it will start, run only when nothing else wants to: serving comes first."""
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, NICEST)
