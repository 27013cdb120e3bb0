"""How long the thread that asks was itself busy with something: a clock goes on while the system runs other threads.

A run on the event loop is late when its graph is slow, and when something else was given the processor in the middle of
it. The one says something of the graph, and the other nothing: a lane's thread would have had to wait as well.
"""

from __future__ import annotations

import resource
from typing import NamedTuple

_OF_THIS_THREAD: int | None = getattr(resource, "RUSAGE_THREAD", None)
"""Linux knows it."""


class Moment(NamedTuple):
    """What a thread has had of the processor so far."""

    processor_s: float
    interruptions: int
    """How often the processor was taken from it while it had something to do."""


def moment() -> Moment:
    """Of this thread, now. It takes about a microsecond."""
    if _OF_THIS_THREAD is None:
        return Moment(0.0, 0)
    used = resource.getrusage(_OF_THIS_THREAD)
    return Moment(used.ru_utime + used.ru_stime, used.ru_nivcsw)


def own_seconds(took_s: float, begun: Moment, ended: Moment) -> float:
    """What of so many seconds between two moments was this thread's own doing: all of them, waiting too, unless it was
    interrupted; then what it had of the processor.
    """
    if ended.interruptions == begun.interruptions:
        return took_s
    return min(took_s, ended.processor_s - begun.processor_s)
