"""Whose turn it is: queued jobs go by priority, then their heads take turns, then by age.

Among jobs of one priority a head that was served is behind every other that waits. So, of H heads with jobs in the
queue, each is served at least once in any H claims, however many jobs the others have put in, and a head that was not
served lately does not wait for those who were.

A store claims by the same order in its own language; a test holds the two against each other.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.domain.errors import InvalidInput

PRIORITIES = range(-100, 101)


def check_priority(priority: int) -> None:
    """Raises: InvalidInput, it is none."""
    if priority not in PRIORITIES:
        raise InvalidInput(f"a priority is a whole number from {PRIORITIES[0]} to {PRIORITIES[-1]}, not {priority}")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that could be claimed now."""

    id: str
    head: str
    priority: int
    created: float


def order(waiting: Iterable[Waiting], served: Mapping[str, float]) -> Sequence[str]:
    """The ids in the order in which they will be claimed if nothing else is asked for meanwhile. ``served`` is when a
    job of a head was last claimed; a head of which none ever was is not in it.
    """
    queues: dict[str, list[tuple[int, float, str]]] = {}
    for job in waiting:
        queues.setdefault(job.head, []).append((-job.priority, job.created, job.id))
    turn = {head: (0, served[head]) if head in served else (-1, 0.0) for head in queues}
    for queue in queues.values():
        queue.sort(reverse=True)

    def next_of(head: str) -> tuple[int, tuple[int, float], float, str, str]:
        urgency, created, id = queues[head][-1]
        return urgency, turn[head], created, id, head

    ready = [next_of(head) for head in queues]
    heapq.heapify(ready)
    claimed: list[str] = []
    while ready:
        *_, id, head = heapq.heappop(ready)
        claimed.append(id)
        queues[head].pop()
        turn[head] = (1, float(len(claimed)))
        if queues[head]:
            heapq.heappush(ready, next_of(head))
    return claimed
