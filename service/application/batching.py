"""From requests to runs: a free lane takes what has piled up, and no timer waits.

An idle server answers a lone request at once; a busy one fills its batches by itself. Who waits, and whose turn it is,
is ``RequestQueue``'s; what a run is, ``BatchRunner``'s. Runs shorter than a thread hop are made on the event loop
itself (``Pace``). All state lives on the loop; lanes are threads that only run graphs.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from service.application.batch_runs import BatchRunner, Finish, Outcome, Run, Waiting, shapes_of
from service.application.lanes import Lanes
from service.application.own_time import moment, own_seconds
from service.application.ports import ServingObserver
from service.application.request_queue import RequestQueue
from service.domain.batches import BatchLimits
from service.domain.errors import DeadlineExceeded, ModelFailed, NotReady, QueueTimedOut
from service.domain.pace import SHORT_S, Pace
from service.domain.shares import Shares
from service.domain.tensors import Array, Tensors, size_in_bytes

_REMEMBERED = 0.8
"""What is kept, from one run to the next, of how long they took so far."""
_QUIET_TURNS = 8
"""After so many turns of the event loop without another request nobody is on the way: a call takes about as many from
the first word of it that is read to its inputs."""
_ALONE_AFTER = 64
"""So many runs here in a row for one request each, and callers do come one by one: then none waits for others."""

_HANGS = "runs of this signature do not end; it is given no more until one of them does"


class Batcher:
    """Answers requests to one signature of one graph, together where that changes nothing."""

    def __init__(
        self,
        graph: str,
        signature: str,
        run: Run,
        *,
        together: bool,
        lanes: Lanes,
        limits: BatchLimits,
        observer: ServingObserver,
        room: Shares | None = None,
        steady: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``together`` says whether rows of different requests may share a run: only where that was seen to change
        nothing. Otherwise each request is a run of its own, whatever its first dimension means. ``room`` bounds the
        bytes of all requests under way, and is shared with other batchers. ``steady`` says that how long a run takes
        follows from its shapes alone.
        """
        self.together = together
        self._graph, self._signature, self._owner = graph, signature, (graph, signature)
        self._lanes, self._observer, self._now = lanes, observer, now
        self._room = room or Shares(sys.maxsize)
        self._queue = RequestQueue(limits, lanes.count, self._room, now)
        self._runner = BatchRunner(run, together=together)
        self._pace = Pace(steady)
        self._lane_runs: deque[tuple[int, float]] = deque()
        """Rows and seconds of runs that lanes have made, for the pace, which belongs to the event loop."""
        self._asked, self._due_here, self._alone_runs = 0, False, _ALONE_AFTER
        self._run_s = 0.0
        self._runs = 0
        self._run_ended = threading.Condition()

    @property
    def limits(self) -> BatchLimits:
        """The limits in force."""
        return self._queue.limits

    def measured(self, seconds: Mapping[int, float]) -> None:
        """Learn what runs of so many rows take: how many rows are best, and which runs are short."""
        self._queue.limits = self.limits.best(seconds)
        self._pace.measured(seconds)
        self._observer.run_rows_chosen(self._graph, self._signature, self.limits.max_rows)

    # --- Requests -----------------------------------------------------------------------------------------------------

    def check_room(self, timeout_s: float | None = None, flow: str = "") -> None:
        """Refuse what ``submit`` would refuse were it of one row, before anybody takes it in. Raises: as that."""
        if self._lanes.refuses(self._owner):
            raise NotReady(_HANGS)
        self._queue.admit(1, 0, timeout_s, flow)

    async def submit(
        self, inputs: Tensors, finish: Finish, timeout_s: float | None = None, flow: str = ""
    ) -> dict[str, Array]:
        """Answer one request. ``flow`` is whose it is: each gets the same share of the runs.

        Raises:
            Overloaded: too much waits already, or so much that its caller would not wait for the answer.
            NotReady: the graph hangs.
            InvalidInput, ModelFailed: as the graph said, for this request; or it is larger than any may be.
            DeadlineExceeded, QueueTimedOut: after ``timeout_s`` seconds; what still waited is dropped.
        """
        if self._lanes.refuses(self._owner):
            raise NotReady(_HANGS)
        rows, size = self._rows(inputs), size_in_bytes(inputs)
        self._queue.admit(rows, size, timeout_s, flow)
        self._room.take(flow, size)
        try:
            if rows <= self.limits.max_rows or not self.together:
                return await self._answer(inputs, rows, finish, timeout_s, flow)
            return await self._answer_in_pieces(inputs, rows, finish, timeout_s, flow)
        finally:
            self._room.give_back(flow, size)

    def _rows(self, inputs: Tensors) -> int:
        """How many rows of a batch a request takes up. One whose inputs have different numbers of rows, which a graph
        may well broadcast, takes up all of them: it shares a run with nobody.
        """
        if not self.together:
            return 1
        sizes = {array.shape[0] for array in inputs.values()}
        return max(1, *sizes) if len(sizes) == 1 else self.limits.max_rows

    async def _answer(
        self, inputs: Tensors, rows: int, finish: Finish, timeout_s: float | None, flow: str
    ) -> dict[str, Array]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[dict[str, Array]] = loop.create_future()
        waiting = Waiting(inputs, rows, finish, answer, shapes_of(inputs), flow, self._now(), timeout_s)
        timer = None if timeout_s is None else loop.call_later(timeout_s, self._queue.ring, waiting)
        self._queue.put(waiting)
        if self._queue.rows == rows <= self._pace.rows_here and self.together:
            self._due_here = True
            loop.call_soon(self._gather, rows, 0)
        else:
            self._ask()
        try:
            return await answer
        finally:
            if timer is not None:
                timer.cancel()
            self._queue.leave(waiting)

    async def _answer_in_pieces(
        self, inputs: Tensors, rows: int, finish: Finish, timeout_s: float | None, flow: str
    ) -> dict[str, Array]:
        most, at_once = self.limits.max_rows, self._queue.at_once
        until = None if timeout_s is None else self._now() + timeout_s
        parts = [
            ({alias: array[start : start + most] for alias, array in inputs.items()}, min(most, rows - start))
            for start in range(0, rows, most)
        ]
        answers: list[dict[str, Array]] = []
        for start in range(0, len(parts), at_once):
            left_s = None if until is None else max(0.0, until - self._now())
            pieces = [
                asyncio.ensure_future(self._answer(part, size, finish, left_s, flow))
                for part, size in parts[start : start + at_once]
            ]
            try:
                answers += await asyncio.gather(*pieces)
            except QueueTimedOut as error:
                if not answers:
                    raise
                raise DeadlineExceeded(f"no answer within {timeout_s:.3g} s") from error
            finally:
                for piece in pieces:
                    piece.cancel()
        return {alias: np.concatenate([answer[alias] for answer in answers]) for alias in answers[0]}

    # --- Runs ---------------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """See to it that what waits will run in as many lanes as its rows fill, unless it is about to be run here."""
        waiting = self._queue.rows
        if not waiting or self._due_here:
            return
        a_run = self.limits.max_rows if self.together else 1
        if self._asked * a_run < waiting and self._asked < self._lanes.count:
            self._asked += 1
            self._lanes.ask(self._owner, self._start_run)

    def _gather(self, rows: int, quiet: int) -> None:
        """Run here soon, but not at once: requests that the loop has begun to read, but not handled yet, are to come
        along, or each would pay for a run of its own. ``rows`` waited a turn of the loop ago, and nobody had come for
        ``quiet`` turns. Who has been alone for long waits for nobody.
        """
        waiting = self._queue.rows
        quiet = quiet + 1 if waiting == rows else 0
        most = min(self._pace.rows_here, self.limits.max_rows)
        if waiting >= most or quiet >= _QUIET_TURNS or self._alone_runs >= _ALONE_AFTER:
            self._run_here()
        else:
            asyncio.get_running_loop().call_soon(self._gather, waiting, quiet)

    def _run_here(self) -> None:
        """Run what waits on the event loop, if it has not become more than is short; what is left is for the lanes."""
        self._due_here = False
        if self._queue.rows <= self._pace.rows_here:
            batch = self._queue.take(self.limits.max_rows, together=self.together)
            if batch:
                self._alone_runs = self._alone_runs + 1 if len(batch) == 1 else 0
                begun, ours = self._now(), moment()
                outcomes = self._outcomes(batch)
                took_s = self._now() - begun
                self._pace.ran_here(took_s if took_s <= SHORT_S else own_seconds(took_s, ours, moment()))
                self._tell(batch, begun, took_s)
                self._settle(batch, outcomes)
        self._ask()

    def _start_run(self) -> None:
        """A lane is ours: fill it with what has piled up, or hand it back when all who waited have left."""
        self._asked -= 1
        batch = self._queue.take(self.limits.max_rows, together=self.together)
        if not batch:
            self._lanes.give_back()
            return
        with self._run_ended:
            self._runs += 1
        self._lanes.submit(
            partial(self._run_in_lane, batch),
            self._owner,
            partial(_nobody_waits, batch),
            partial(self._ran_in_lane, batch),
            self._run_s,
        )
        self._ask()

    def _run_in_lane(self, batch: Sequence[Waiting]) -> Iterable[Outcome]:
        """In a lane's thread."""
        begun = self._now()
        try:
            outcomes = self._outcomes(batch)
            took_s = self._now() - begun
            self._run_s = _REMEMBERED * self._run_s + (1 - _REMEMBERED) * took_s
            self._lane_runs.append((sum([waiting.rows for waiting in batch]), took_s))
            self._tell(batch, begun, took_s)
            return outcomes
        finally:
            with self._run_ended:
                self._runs -= 1
                self._run_ended.notify_all()

    def _ran_in_lane(self, batch: Sequence[Waiting], outcomes: Iterable[Outcome], error: BaseException | None) -> None:
        # Of a run that broke there is nothing to learn, but that it was one.
        self._pace.ran_in_lane(*(self._lane_runs.popleft() if self._lane_runs else (0, 0.0)))
        self._settle(batch, _broken(batch, error) if error else outcomes)

    def _outcomes(self, batch: Sequence[Waiting]) -> Iterable[Outcome]:
        try:
            return self._runner.outcomes(batch, self.limits)
        except Exception as error:  # noqa: BLE001 - it is this batch's answer and nobody else's
            return _broken(batch, error)

    def _settle(self, batch: Sequence[Waiting], outcomes: Iterable[Outcome]) -> None:
        for waiting, outcome in zip(batch, outcomes, strict=True):
            waiting.settle(outcome)
        self._queue.settled(batch)

    def _tell(self, batch: Sequence[Waiting], begun: float, took_s: float) -> None:
        rows = sum([waiting.rows for waiting in batch])
        filled = self._runner.filling(rows, self.limits)
        waited_s = begun - batch[0].since
        self._observer.batch_ran(self._graph, self._signature, rows, len(batch), waited_s, took_s, filled)

    def wait_until_idle(self) -> None:
        """Wait until nothing of this queue runs in a lane: a run goes on when all its callers have left. Blocks."""
        with self._run_ended:
            self._run_ended.wait_for(lambda: not self._runs)


def _nobody_waits(batch: Sequence[Waiting]) -> bool:
    return all(waiting.answer.done() for waiting in batch)


def _broken(batch: Sequence[Waiting], error: BaseException) -> list[Outcome]:
    return [ModelFailed(f"running the batch failed: {error!r}")] * len(batch)
