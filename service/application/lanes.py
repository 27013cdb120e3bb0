"""The places where graphs run: a few threads, shared by every queue of every model, first come first served.

A run cannot be ended from outside. One that goes on although nobody waits for it any more, or far longer than any
should, is *stuck*; its lane is given up for lost, and a spare one stands in for it until it ends, so that one model's
endless graph does not stop the others. A signature that has several stuck runs is given no more lanes until one of them
ends. Spares are few: when they are used up, ``blocked`` says by whom.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from service.application.ports import graph_name

Result = TypeVar("Result")

Owner = tuple[str, str]
"""Who runs: a graph and its signature."""

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class LaneRun:
    """One run under way in a lane."""

    owner: Owner
    begun: float
    abandoned: Callable[[], bool]
    """Whether nobody waits for it any more."""
    alone_since: float | None = None
    """When that was first seen."""
    stuck: bool = False
    replaced: bool = False


class Lanes:
    """So many things run at once, and no more. Lives on one event loop."""

    def __init__(
        self,
        count: int,
        *,
        spares: int = 0,
        stuck_s: float = 5.0,
        longest_s: float = 60.0,
        told: Callable[[str, str, int], None] = lambda graph, signature, stuck: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """A run is stuck ``stuck_s`` seconds after its last caller left, or ``longest_s`` after it began. ``told`` is
        told how many runs of a graph's signature are, whenever that changes.
        """
        self.count, self.spares = count, spares
        self._stuck_s, self._longest_s, self._told, self._now = stuck_s, longest_s, told, now
        self._free = count
        self._waiting: deque[Callable[[], None]] = deque()
        self._threads = ThreadPoolExecutor(count + spares, thread_name_prefix="lane")
        self._runs: set[LaneRun] = set()

    def ask(self, start: Callable[[], None]) -> None:
        """Call ``start`` when a lane is free for it: soon, if one is now, else in turn. It then holds the lane."""
        if self._free:
            self._free -= 1
            # Not at once: requests that the loop has read already, but not handled yet, are to come along.
            asyncio.get_running_loop().call_soon(start)
        else:
            self._waiting.append(start)

    def give_back(self) -> None:
        """The lane is free again."""
        self._free += 1
        if self._waiting:
            self.ask(self._waiting.popleft())

    def submit(
        self, work: Callable[[], Result], owner: Owner = ("", ""), abandoned: Callable[[], bool] = lambda: False
    ) -> asyncio.Future[Result]:
        """Run in a lane's thread. The caller holds a lane, which is free again when the run has ended."""
        run = LaneRun(owner, self._now(), abandoned)
        self._runs.add(run)
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(lambda _: self._ended(run))
        return running

    def _ended(self, run: LaneRun) -> None:
        self._runs.discard(run)
        if run.stuck:
            log.warning("a run of %s ended after all; its lane is back", _text(run.owner))
            self._told(*run.owner, self.stuck(run.owner))
        if not run.replaced:
            self.give_back()
            return
        # The spare that stood in goes back, to whoever waits for one still.
        waits = next((other for other in self._runs if other.stuck and not other.replaced), None)
        if waits is not None:
            self._replace(waits)

    # --- Runs that do not end -----------------------------------------------------------------------------------------

    def look(self) -> None:
        """Notice runs that are stuck. To be called now and then."""
        now = self._now()
        for run in list(self._runs):
            if not run.stuck and self._goes_on_too_long(run, now):
                run.stuck = True
                if sum(other.replaced for other in self._runs) < self.spares:
                    self._replace(run)
                what = "a spare lane stands in" if run.replaced else "there is no spare lane left"
                log.error("a run of %s does not end, after %.1f s; %s", _text(run.owner), now - run.begun, what)
                self._told(*run.owner, self.stuck(run.owner))

    def _goes_on_too_long(self, run: LaneRun, now: float) -> bool:
        if run.alone_since is None and run.abandoned():
            run.alone_since = now
        return now - run.begun >= self._longest_s or (
            run.alone_since is not None and now - run.alone_since >= self._stuck_s
        )

    def _replace(self, run: LaneRun) -> None:
        run.replaced = True
        self.give_back()

    def stuck(self, owner: Owner) -> int:
        """How many runs of this owner are."""
        return sum(run.stuck and run.owner == owner for run in self._runs)

    def refuses(self, owner: Owner) -> bool:
        """Whether this owner has stuck runs enough: the spares that are left are for others."""
        return self.stuck(owner) >= max(1, self.spares // 2)

    @property
    def blocked(self) -> str:
        """Who keeps this server from running anything much: whose runs are stuck, once those are as many as there are
        lanes, and no spare is left; else empty.
        """
        stuck = Counter(run.owner for run in self._runs if run.stuck)
        if stuck.total() < max(self.count, self.spares):
            return ""
        return ", ".join(f"{number} of {_text(owner)}" for owner, number in sorted(stuck.items()))

    def close(self) -> None:
        """Wait for what is running and end the threads."""
        self._threads.shutdown(wait=True)


def _text(owner: Owner) -> str:
    graph, signature = owner
    return f"signature {signature!r} of graph {graph_name(graph)}"
