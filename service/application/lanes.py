"""The places where graphs run: a few threads, shared by every queue of every model.

Who waits for a lane gets an equal share of the lanes' time, whatever others ask for: a graph whose runs are long, or
that is asked for without pause, comes as seldom as its runs are long. What a run took is known when it has ended, and
charged then; until then it counts for what it is expected to take.

A run cannot be ended from outside. One that goes on although nobody waits for it any more, or far longer than any
should, is *stuck*; its lane is given up for lost, and a spare one stands in for it until it ends, so that one model's
endless graph does not stop the others. A signature that has several stuck runs is given no more lanes until one of them
ends. Spares are few: when they are used up, ``blocked`` says by whom.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from service.application.ports import graph_name
from service.domain.fair_queue import FairQueue

Owner = tuple[str, str]
"""Who runs: a graph and its signature."""
Done = Callable[[Any, BaseException | None], None]
"""Told, on the loop, what a run gave, or what it raised."""

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class LaneRun:
    """One run under way in a lane."""

    owner: Owner
    begun: float
    work: Callable[[], Any]
    done: Done
    abandoned: Callable[[], bool]
    """Whether nobody waits for it any more."""
    loop: asyncio.AbstractEventLoop
    charged_s: float = 0.0
    alone_since: float | None = None
    """When it was first seen that nobody waits."""
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
        self._dealing = False
        self._waiting: FairQueue[Callable[[], None]] = FairQueue()
        self._work: SimpleQueue[LaneRun | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._runs: set[LaneRun] = set()
        self._stuck: Counter[Owner] = Counter()

    def ask(self, owner: Owner, start: Callable[[], None]) -> None:
        """Call ``start`` when a lane is free for it: soon, if one is now, else in turn. It then holds the lane."""
        if self._free:
            self._free -= 1
            # Not at once: requests that the loop has read already, but not handled yet, are to come along.
            asyncio.get_running_loop().call_soon(start)
        else:
            self._waiting.put(owner, start)

    def give_back(self) -> None:
        """The lane is free again, and at once somebody else's, if anybody waits: no lane stands idle for the loop."""
        self._free += 1
        if self._dealing:  # it was given back by who had just got it
            return
        self._dealing = True
        try:
            while self._free and len(self._waiting):
                self._free -= 1
                self._next()()
        finally:
            self._dealing = False

    def _next(self) -> Callable[[], None]:
        with closing(self._waiting.take()) as turns:
            start = next(turns)
        if not len(self._waiting):
            self._waiting.clear()
        return start

    def submit(
        self,
        work: Callable[[], Any],
        owner: Owner,
        abandoned: Callable[[], bool] = lambda: False,
        done: Done = lambda result, error: None,
        expected_s: float = 0.0,
    ) -> None:
        """Run in a lane's thread. The caller holds a lane, which is free again when the run has ended."""
        run = LaneRun(owner, self._now(), work, done, abandoned, asyncio.get_running_loop())
        self._runs.add(run)
        if len(self._waiting):
            run.charged_s = expected_s
            self._waiting.charge(owner, expected_s)
        if len(self._threads) < min(len(self._runs), self.count + self.spares):
            thread = threading.Thread(target=self._serve, name=f"lane-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._work.put(run)

    def _serve(self) -> None:
        """A lane's thread."""
        while (run := self._work.get()) is not None:
            result, failure = None, None
            try:
                result = run.work()
            except BaseException as error:  # noqa: BLE001 - it is told to whoever asked for the run, whatever it is
                failure = error
            try:
                run.loop.call_soon_threadsafe(self._ended, run, result, failure)
            except RuntimeError:
                log.warning("a run of %s ended after the event loop had", _text(run.owner))
            del run, result, failure

    def _ended(self, run: LaneRun, result: Any, failure: BaseException | None) -> None:
        self._runs.discard(run)
        if len(self._waiting):
            self._waiting.charge(run.owner, self._now() - run.begun - run.charged_s)
        if run.stuck:
            self._stuck -= Counter([run.owner])
            log.warning("a run of %s ended after all; its lane is back", _text(run.owner))
            self._told(*run.owner, self.stuck(run.owner))
        try:
            self._free_lane_of(run)
        finally:
            run.done(result, failure)

    def _free_lane_of(self, run: LaneRun) -> None:
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
                self._stuck[run.owner] += 1
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
        return self._stuck[owner] if self._stuck else 0

    def refuses(self, owner: Owner) -> bool:
        """Whether this owner has stuck runs enough: the spares that are left are for others."""
        return self.stuck(owner) >= max(1, self.spares // 2)

    @property
    def blocked(self) -> str:
        """Who keeps this server from running anything much: whose runs are stuck, once those are as many as there are
        lanes, and no spare is left; else empty.
        """
        if self._stuck.total() < max(self.count, self.spares):
            return ""
        return ", ".join(f"{number} of {_text(owner)}" for owner, number in sorted(self._stuck.items()))

    def close(self) -> None:
        """Wait for what is running and end the threads."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join()


def _text(owner: Owner) -> str:
    graph, signature = owner
    return f"signature {signature!r} of graph {graph_name(graph)}"
