"""Processor time that processes have used."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


LOOP, GRPC, REST = "loop", "gRPC's threads", "other threads"
"""A service's threads: the first of each process, which has the event loop; gRPC's own; lanes and engines."""
_GRPC_NAMES = ("event_engine", "grpc")


def processor_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes since they began; what has ended meanwhile counts as nothing."""
    return sum(_seconds(Path(f"/proc/{pid}"))[1] for pid in pids)


def thread_seconds(pids: Iterable[int]) -> Mapping[str, float]:
    """The same by kind of thread, without threads that have ended."""
    total: dict[str, float] = defaultdict(float)
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            name, seconds = _seconds(thread)
            kind = LOOP if thread.name == str(pid) else GRPC if name.startswith(_GRPC_NAMES) else REST
            total[kind] += seconds
    return total


def _seconds(place: Path) -> tuple[str, float]:
    """Name and processor time of a process or thread."""
    try:
        name, _, rest = (place / "stat").read_text().partition("(")[2].rpartition(")")
    except OSError:
        return "", 0.0
    fields = rest.split()
    return name, (int(fields[11]) + int(fields[12])) / _TICK
