"""One queue per graph and signature, emptied by a few lanes: a free lane takes what has piled up, and no timer waits.

An idle server answers a lone request at once; a busy one fills its batches by itself. The queue refuses at the door
when it is full. A caller that has left is skipped, and a batch that fails is run again one request at a time, so that
only the request to blame sees the error. All state lives on the event loop; lanes are threads that only run graphs.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from service.application.lanes import Lanes
from service.application.ports import ServingObserver
from service.domain.batches import BatchLimits
from service.domain.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailed,
    NotReady,
    Overloaded,
    QueueTimedOut,
    ServiceError,
)
from service.domain.tensors import Array, Tensors

Run = Callable[[Tensors], dict[str, Array]]
"""Runs one signature of one graph on a batch."""
Finish = Callable[[Tensors], dict[str, Array]]
"""Turns a request's own rows of the graph's outputs into its answer: the identity, or a head."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """One request, or one piece of a request too large for a single run."""

    inputs: Tensors
    rows: int
    finish: Finish
    answer: asyncio.Future[dict[str, Array]]
    shapes: Mapping[str, tuple[int, ...]]
    since: float = field(default_factory=time.monotonic)
    queued: bool = True


_Outcome = dict[str, Array] | ServiceError


class Batcher:
    """The queue of one signature of one graph."""

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
    ) -> None:
        """``together`` says whether rows of different requests may share a run: only where that was seen to change
        nothing. Otherwise each request is a run of its own, whatever its first dimension means.
        """
        self.together, self.limits = together, limits
        self._graph, self._signature, self._run = graph, signature, run
        self._lanes, self._observer, self._owner = lanes, observer, (graph, signature)
        self._queue: deque[_Waiting] = deque()
        self._waiting_rows = 0
        self._asked = 0
        self._runs = 0
        self._run_ended = threading.Condition()

    async def submit(self, inputs: Tensors, finish: Finish, timeout_s: float | None = None) -> dict[str, Array]:
        """Answer one request.

        Raises:
            Overloaded: too much waits already.
            NotReady: the graph hangs.
            InvalidInput, ModelFailed: as the graph said, for this request; or it is larger than any may be.
            DeadlineExceeded, QueueTimedOut: after ``timeout_s`` seconds; what still waited is dropped.
        """
        if self._lanes.refuses(self._owner):
            raise NotReady("runs of this signature do not end; it is given no more until one of them does")
        rows = self._rows(inputs)
        if self.limits.max_request_rows is not None and rows > self.limits.max_request_rows:
            raise InvalidInput(
                f"Task size {rows} is larger than maximum input batch size {self.limits.max_request_rows}"
            )
        # As many as keep every lane busy: a huge request that queued up whole would lock everyone else out.
        at_once = 2 * self._lanes.count
        first = min(rows, at_once * self.limits.max_rows)
        if self._waiting_rows and self._waiting_rows + first > self.limits.max_waiting_rows:
            raise Overloaded(
                "The batch scheduling queue to which this task was submitted is full; currently "
                f"{-(-self._waiting_rows // self.limits.max_rows)} batches enqueued and max_enqueued_batches is "
                f"{self.limits.max_waiting_batches}: {self._waiting_rows} rows are waiting, which is as many as may"
            )
        answers = await self._answers_in_time(self._pieces(inputs, rows), at_once, finish, timeout_s)
        if len(answers) == 1:
            return answers[0]
        return {alias: np.concatenate([answer[alias] for answer in answers]) for alias in answers[0]}

    def _rows(self, inputs: Tensors) -> int:
        """How many rows of a batch a request takes up. One whose inputs have different numbers of rows, which a graph
        may well broadcast, takes up all of them: it shares a run with nobody.
        """
        if not self.together:
            return 1
        sizes = {array.shape[0] for array in inputs.values()}
        return max(1, *sizes) if len(sizes) == 1 else self.limits.max_rows

    async def _answers_in_time(
        self, parts: Sequence[tuple[Tensors, int]], at_once: int, finish: Finish, timeout_s: float | None
    ) -> list[dict[str, Array]]:
        answers: list[dict[str, Array]] = []
        ran: list[bool] = []
        try:
            async with asyncio.timeout(timeout_s):
                for start in range(0, len(parts), at_once):
                    answers += await self._answers(parts[start : start + at_once], finish, ran)
        except TimeoutError as error:
            if self.limits.tells_late and not any(ran):
                raise QueueTimedOut("Run() timeout exceeded while waiting in batching queue") from error
            raise DeadlineExceeded(f"no answer within {timeout_s:.3g} s") from error
        return answers

    async def _answers(
        self, parts: Sequence[tuple[Tensors, int]], finish: Finish, ran: list[bool]
    ) -> list[dict[str, Array]]:
        """Answers to some pieces of one request. Adds to ``ran`` whether each left the queue for a lane."""
        pieces = [self._enqueue(part, finish) for part in parts]
        try:
            return await asyncio.gather(*(piece.answer for piece in pieces))
        finally:
            ran += [not piece.queued for piece in pieces]
            for piece in pieces:
                piece.answer.cancel()
                if piece.queued:
                    # Who has left must not take the place of who comes.
                    self._queue.remove(piece)
                    self._left_queue(piece)

    def _pieces(self, inputs: Tensors, rows: int) -> list[tuple[Tensors, int]]:
        most = self.limits.max_rows
        if rows <= most:
            return [(inputs, rows)]
        return [
            ({alias: array[start : start + most] for alias, array in inputs.items()}, min(most, rows - start))
            for start in range(0, rows, most)
        ]

    def _enqueue(self, piece: tuple[Tensors, int], finish: Finish) -> _Waiting:
        inputs, rows = piece
        answer: asyncio.Future[dict[str, Array]] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(inputs, rows, finish, answer, {a: x.shape[1:] for a, x in inputs.items()})
        self._queue.append(waiting)
        self._waiting_rows += rows
        self._ask_for_lane()
        return waiting

    def _ask_for_lane(self) -> None:
        # One lane asked for is enough for one run's rows; more only when more wait.
        a_run = self.limits.max_rows if self.together else 1
        if self._queue and self._asked * a_run < self._waiting_rows and self._asked < self._lanes.count:
            self._asked += 1
            self._lanes.ask(self.start_run)

    def start_run(self) -> None:
        """A lane is ours: fill it with what has piled up, or hand it back when all who waited have left."""
        self._asked -= 1
        batch = self._take()
        if not batch:
            self._lanes.give_back()
            return
        with self._run_ended:
            self._runs += 1
        running = self._lanes.submit(
            lambda: self._answer_all(batch), self._owner, lambda: all(waiting.answer.done() for waiting in batch)
        )
        running.add_done_callback(lambda done: self._settle(batch, done))
        self._ask_for_lane()

    def wait_until_idle(self) -> None:
        """Wait until nothing of this queue runs: a run goes on when all its callers have left. Blocks."""
        with self._run_ended:
            self._run_ended.wait_for(lambda: not self._runs)

    def _take(self) -> list[_Waiting]:
        """The first who waits, and in order those behind it that fit into the same run; the others keep their place."""
        batch: list[_Waiting] = []
        passed: deque[_Waiting] = deque()
        rows = 0
        while self._queue:
            waiting = self._queue.popleft()
            if waiting.answer.done():
                self._left_queue(waiting)
                continue
            if batch and (
                not self.together or rows + waiting.rows > self.limits.max_rows or waiting.shapes != batch[0].shapes
            ):
                passed.append(waiting)
                if not self.together or rows >= self.limits.max_rows:
                    break
                continue
            batch.append(waiting)
            rows += waiting.rows
            self._left_queue(waiting)
        self._queue.extendleft(reversed(passed))
        return batch

    def _left_queue(self, waiting: _Waiting) -> None:
        waiting.queued = False
        self._waiting_rows -= waiting.rows

    def _settle(self, batch: Sequence[_Waiting], done: asyncio.Future[list[_Outcome]]) -> None:
        failure = done.exception()
        outcomes: Sequence[_Outcome] = (
            [ModelFailed(f"running the batch failed: {failure!r}")] * len(batch) if failure else done.result()
        )
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(outcome, ServiceError):
                waiting.answer.set_exception(outcome)
            else:
                waiting.answer.set_result(outcome)

    # --- In a lane's thread -------------------------------------------------------------------------------------------

    def _answer_all(self, batch: Sequence[_Waiting]) -> list[_Outcome]:
        try:
            return self._outcomes(batch)
        finally:
            with self._run_ended:
                self._runs -= 1
                self._run_ended.notify_all()

    def _outcomes(self, batch: Sequence[_Waiting]) -> list[_Outcome]:
        rows = sum(waiting.rows for waiting in batch)
        begun = time.monotonic()
        outcomes = self._answer_together(batch) if len(batch) > 1 else None
        if outcomes is None:
            outcomes = [self._answer_alone(waiting) for waiting in batch]
        ran, filled = time.monotonic() - begun, self._filling(rows)
        self._observer.batch_ran(self._graph, self._signature, rows, len(batch), begun - batch[0].since, ran, filled)
        return outcomes

    def _answer_together(self, batch: Sequence[_Waiting]) -> list[_Outcome] | None:
        """Everyone's answer from one run, or None when that failed and each must be tried alone."""
        aliases = batch[0].inputs
        rows = sum(waiting.rows for waiting in batch)
        try:
            joined = {a: np.concatenate([waiting.inputs[a] for waiting in batch]) for a in aliases}
            outputs = self._run(self._filled(joined, rows))
        except ServiceError:
            return None
        if any(array.ndim == 0 or array.shape[0] != self.limits.run_rows(rows) for array in outputs.values()):
            return None
        outcomes: list[_Outcome] = []
        start = 0
        for waiting in batch:
            own = {alias: array[start : start + waiting.rows] for alias, array in outputs.items()}
            outcomes.append(_finished(waiting, own))
            start += waiting.rows
        return outcomes

    def _answer_alone(self, waiting: _Waiting) -> _Outcome:
        try:
            outputs = self._run(self._filled(waiting.inputs, waiting.rows))
        except ServiceError as error:
            return error
        if self._filling(waiting.rows):
            outputs = {alias: array[: waiting.rows] for alias, array in outputs.items()}
        return _finished(waiting, outputs)

    def _filled(self, inputs: Tensors, rows: int) -> Tensors:
        """Rows filled up to a size that a run may have; the caller drops what comes of the filling."""
        missing = self._filling(rows)
        if not missing:
            return inputs
        return {alias: np.concatenate([array, *[array[-1:]] * missing]) for alias, array in inputs.items()}

    def _filling(self, rows: int) -> int:
        return self.limits.run_rows(rows) - rows if self.together else 0


def _finished(waiting: _Waiting, outputs: Tensors) -> _Outcome:
    try:
        return waiting.finish(outputs)
    except ServiceError as error:
        return error
    except Exception as error:  # noqa: BLE001 - one head that breaks must not take its neighbours with it
        return ModelFailed(f"the features do not fit the head: {error!r}")
