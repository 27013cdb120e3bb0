"""A queue of several flows in which each gets an equal share of what is taken, however much it puts in.

It is deficit round robin by virtual time (start-time fair queueing). Every flow has a tag, the virtual time at which
its next item is due; taking one moves the tag on by what the item costs, and the flow whose tag is least comes next. A
new flow is due at once, so one that trickles waits for what is under way and not for those who flood. Costs may be
told later than the item is taken: a flow in debt comes later, even if it was idle in between. Within a flow first come
is first served, but that a small item may pass a few that do not fit. An item costs O(log flows), whatever waits.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Hashable
from itertools import count
from typing import Generic, TypeVar

Item = TypeVar("Item")

_AHEAD = 16
"""How far into a flow is looked for an item that fits."""
_MOST_ASIDE = 64
"""How many flows are passed over for one that has such an item."""


class _Flow(Generic[Item]):
    __slots__ = ("items", "name", "tag")

    def __init__(self, name: Hashable, tag: float) -> None:
        self.name, self.tag = name, tag
        self.items: deque[Item] = deque()


class FairQueue(Generic[Item]):
    """Items by flow. Not thread-safe."""

    def __init__(self, cost: Callable[[Item], float] = lambda item: 0.0) -> None:
        """``cost`` is asked when the next item is, so that who takes can decide it; ``charge`` is for what is not even
        known then.
        """
        self._cost = cost
        self._flows: dict[Hashable, _Flow[Item]] = {}
        self._due: list[tuple[float, int, _Flow[Item]]] = []
        """One entry a flow. Its tag may be older than the flow's, never than the virtual time it was written at."""
        self._order = count()
        self._now = 0.0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def flows(self) -> int:
        """How many flows are known: those that wait, and those that are in debt."""
        return len(self._flows)

    def put(self, flow: Hashable, item: Item) -> None:
        """Add an item to the end of its flow."""
        self._flow(flow).items.append(item)
        self._length += 1

    def charge(self, flow: Hashable, cost: float) -> None:
        """Let a flow pay for what was not known when it was taken; less than nothing is given back."""
        known = self._flow(flow)
        known.tag = max(known.tag + cost, self._now + cost, self._now)

    def _flow(self, name: Hashable) -> _Flow[Item]:
        flow = self._flows.get(name)
        if flow is None:
            flow = self._flows[name] = _Flow(name, self._now)
            heapq.heappush(self._due, (flow.tag, next(self._order), flow))
        return flow

    def take(self, fits: Callable[[Item], bool] = lambda item: True) -> Generator[Item, None, None]:
        """Take items in turn for as long as the caller asks for the next, each one that ``fits`` at that moment. Flows
        that have none are passed over. Nothing else may be done to the queue until the iterator is closed.
        """
        aside: list[tuple[float, int, _Flow[Item]]] = []
        try:
            while self._due and len(aside) < _MOST_ASIDE:
                tag, _, flow = entry = heapq.heappop(self._due)
                if tag < flow.tag:
                    heapq.heappush(self._due, (flow.tag, next(self._order), flow))
                    continue
                if not flow.items:
                    del self._flows[flow.name]
                    continue
                item = flow.items[0]
                if fits(item):
                    flow.items.popleft()
                else:
                    place = next((i for i in range(1, min(len(flow.items), _AHEAD)) if fits(flow.items[i])), None)
                    if place is None:
                        aside.append(entry)
                        continue
                    item = flow.items[place]
                    del flow.items[place]
                self._length -= 1
                self._now = max(self._now, tag)
                try:
                    yield item
                finally:
                    flow.tag = max(flow.tag, self._now) + self._cost(item)
                    heapq.heappush(self._due, (flow.tag, next(self._order), flow))
        finally:
            for entry in aside:
                heapq.heappush(self._due, entry)

    def drop(self, gone: Callable[[Item], bool]) -> None:
        """Let go of items that nobody wants any more. O(all that waits)."""
        for flow in self._flows.values():
            flow.items = deque(item for item in flow.items if not gone(item))
        self._length = sum(len(flow.items) for flow in self._flows.values())

    def clear(self) -> None:
        """Forget everything, and who owes what: where nobody waits, nobody is kept waiting."""
        self._flows.clear()
        self._due.clear()
        self._now, self._length = 0.0, 0
