"""The requests that wait for one signature of one graph: who may come in, whose turn it is, who is dropped.

What waits is taken fairly by flow, row by row (``FairQueue``): a thousand heads of one base share its runs, and one
that floods does not starve the rest. The door is shut to what finds no room, by rows or by bytes, and to what would
wait for longer than its caller does (``service.domain.waiting`` says why). Who has left or is late is skipped before
it costs a run. Everything is O(log flows) a request. Lives on the event loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing

from service.application.batch_runs import Place, Waiting
from service.domain.batches import BatchLimits
from service.domain.errors import DeadlineExceeded, InvalidInput, Overloaded, QueueTimedOut, ServiceError
from service.domain.fair_queue import FairQueue
from service.domain.shares import Shares
from service.domain.waiting import Drain, Patience

_MANY_GONE = 64
"""So many requests that left may lie in the queue, and as many more as there are that did not."""


class RequestQueue:
    """Requests by flow."""

    def __init__(self, limits: BatchLimits, lanes: int, room: Shares, now: Callable[[], float]) -> None:
        """``room`` bounds the bytes of all requests under way, here and in other queues."""
        self.limits = limits
        self._lanes, self._room, self._now = lanes, room, now
        self._requests: FairQueue[Waiting] = FairQueue(_rows_taken)
        self._rows = Shares(limits.max_waiting_rows)
        self._gone = 0
        self._drain, self._patience = Drain(), Patience()

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return self._rows.held

    @property
    def at_once(self) -> int:
        """How many pieces of one request may queue up at a time: as many as keep every lane busy. A huge request that
        queued up whole would lock everyone else out.
        """
        return 2 * self._lanes

    def admit(self, rows: int, size: int, timeout_s: float | None, flow: str) -> None:
        """Refuse a request of so many rows and bytes, if it cannot be taken in.

        Raises:
            InvalidInput: it is larger than any may be.
            Overloaded: there is no room for it, or it would wait for too long.
            QueueTimedOut, DeadlineExceeded: its time is up.
        """
        limits = self.limits
        if limits.max_request_rows is not None and rows > limits.max_request_rows:
            raise InvalidInput(f"Task size {rows} is larger than maximum input batch size {limits.max_request_rows}")
        if timeout_s is not None and timeout_s <= 0:
            raise self.too_late(timeout_s, ran=False)
        if not self._room.has_room(flow, size):
            raise Overloaded(f"requests under way fill the {self._room.most} bytes there are for them", self._wait_s())
        if self._rows.held:
            self._refuse_the_hopeless(rows, timeout_s, flow)

    def _refuse_the_hopeless(self, rows: int, timeout_s: float | None, flow: str) -> None:
        limits, held = self.limits, self._rows.held
        if not self._rows.has_room(flow, min(rows, self.at_once * limits.max_rows)):
            raise Overloaded(
                "The batch scheduling queue to which this task was submitted is full; currently "
                f"{-(-held // limits.max_rows)} batches enqueued and max_enqueued_batches is "
                f"{limits.max_waiting_batches}: {held} rows are waiting, which is as many as may",
                self._wait_s(),
            )
        bearable_s = self._bearable_s(self._now())
        if timeout_s is not None:
            bearable_s = min(bearable_s, timeout_s / 2)
        if self._wait_s() > bearable_s:
            # Not all of it goes before: its turn comes when its flow has had its turns, and each other flow as many.
            own = self._rows[flow]
            wait_s = self._drain.seconds_a_row * min(held, (own + rows) * (self._rows.holders + (not own)))
            if wait_s > bearable_s:
                raise self._unbearable(wait_s)

    def put(self, waiting: Waiting) -> None:
        """Let it wait."""
        self._requests.put(waiting.flow, waiting)
        self._rows.take(waiting.flow, waiting.rows)

    def take(self, most: int, *, together: bool) -> list[Waiting]:
        """The first whose turn it is, and in turn those that fit into the same run of ``most`` rows; the others keep
        their place. The first is taken whatever its size.
        """
        now, batch, rows = self._now(), list[Waiting](), 0
        most, bearable_s = min(most, self._bearable_rows(now)), self._bearable_s(now)

        def fits(waiting: Waiting) -> bool:
            if not batch or waiting.place is Place.GONE or waiting.answer.done():
                return True
            return rows + waiting.rows <= most and waiting.shapes == batch[0].shapes

        with closing(self._requests.take(fits)) as turns:
            for waiting in turns:
                if self._is_wanted(waiting, now, bearable_s):
                    self._left(waiting, Place.TAKEN)
                    batch.append(waiting)
                    rows += waiting.rows
                    if rows >= most or not together:
                        break
        if not self._rows.held:
            self._requests.clear()
            self._gone = 0
        if batch:
            self._drain.took(rows, now, more=self._rows.held > 0)
        return batch

    def _is_wanted(self, waiting: Waiting, now: float, bearable_s: float) -> bool:
        """Whether a request whose turn it is is worth a run."""
        if waiting.place is Place.GONE:
            self._gone -= 1
            return False
        waited_s = now - waiting.since
        if waiting.timeout_s is not None and waited_s >= waiting.timeout_s:
            self.ring(waiting)
        elif waited_s > bearable_s:
            waiting.settle(self._unbearable(waited_s))
        if not waiting.answer.done():
            return True
        self._left(waiting, Place.GONE)
        return False

    def ring(self, waiting: Waiting) -> None:
        """Its time is up: say so, if it has not been answered."""
        if not waiting.answer.done():
            assert waiting.timeout_s is not None
            waiting.answer.set_exception(self.too_late(waiting.timeout_s, ran=waiting.place is Place.TAKEN))

    def settled(self, batch: Sequence[Waiting]) -> None:
        """These were given what came of their run, as far as anybody waited for it."""
        now = self._now()
        for waiting in batch:
            if waiting.settled:
                self._patience.left(waiting.since, now, in_vain=False)

    def leave(self, waiting: Waiting) -> None:
        """It is answered, or its caller waits no longer: it must not take the place of who comes."""
        if not waiting.settled:
            self._patience.left(waiting.since, self._now(), in_vain=True)
        if waiting.place is not Place.QUEUED:
            return
        self._left(waiting, Place.GONE)
        self._gone += 1
        if self._gone > _MANY_GONE + len(self._requests) // 2:
            self._requests.drop(lambda one: one.place is Place.GONE)
            self._gone = 0

    def _left(self, waiting: Waiting, place: Place) -> None:
        waiting.place = place
        self._rows.give_back(waiting.flow, waiting.rows)
        if place is Place.GONE:
            waiting.inputs = {}

    def _wait_s(self) -> float:
        """How long it will be until what waits now has left."""
        return self._drain.seconds_a_row * self._rows.held

    def _bearable_s(self, now: float) -> float:
        """How long a request may wait; always for a run in each lane, or there would be nothing to fill them with."""
        limit_s = self._patience.limit_s(now)
        if limit_s == math.inf:
            return limit_s
        return max(limit_s, self._drain.seconds_a_row * self._bearable_rows(now) * self._lanes)

    def _bearable_rows(self, now: float) -> int:
        """How many rows a run may have: one of more would itself take longer than a request may wait."""
        limit_s, row_s = self._patience.limit_s(now), self._drain.seconds_a_row * self._lanes
        if limit_s == math.inf or not row_s:
            return self.limits.max_rows
        return max(1, min(self.limits.max_rows, int(limit_s / row_s)))

    def _unbearable(self, wait_s: float) -> ServiceError:
        text = f"there is too little capacity: the wait is {wait_s:.3g} s, which is longer than callers wait"
        return (QueueTimedOut if self.limits.tells_late else Overloaded)(text, self._wait_s())

    def too_late(self, timeout_s: float, *, ran: bool) -> ServiceError:
        """What to say to who has waited so long; ``ran`` says whether it left the queue for a run."""
        if self.limits.tells_late and not ran:
            return QueueTimedOut("Run() timeout exceeded while waiting in batching queue", self._wait_s())
        return DeadlineExceeded(f"no answer within {timeout_s:.3g} s")


def _rows_taken(waiting: Waiting) -> int:
    return waiting.rows if waiting.place is Place.TAKEN else 0
