"""When a request is sent: after the last answer (closed loop), or when it is due, whatever answers take (open loop).

A closed loop waits with a slow server and so asks it less, which hides the very seconds that matter. In the open loop
a request's latency counts from when it was *due*: one that could not be sent because all clients were still waiting
has waited too, and its wait is counted.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count, cycle, islice
from typing import Protocol

import numpy as np

from service.adapters.load_test.findings import NEVER_SENT, Findings
from service.adapters.load_test.plan import Plan, Question

_GRACE_S = 5.0
"""How long after its time an open loop still sends what was due within it."""
_PAUSE_S = 0.05
"""Between a connection that was refused or lost and the next try."""


class Unanswered(Exception):
    """The connection was refused, lost, or the time was up; the text is the code it is counted under."""


class Client(Protocol):
    """One connection, and one request at a time on it."""

    async def ask(self, question: Question) -> str | None:
        """None for a good answer, else the code of the error. Raises: Unanswered."""

    async def close(self) -> None:
        """Close the connection."""


class _Record:
    """What counts, of all clients of this process."""

    def __init__(self, start: float, seconds: float) -> None:
        self.start, self.end = start, start + seconds
        self.latencies, self.errors, self.answered = array("d"), Counter[str](), 0

    def count(self, begun: float, done: float, error: str | None, by: float) -> None:
        """One request; it counts when the moment ``by`` lies within the time that counts."""
        if error is None and self.start <= done < self.end:
            self.answered += 1
        if not self.start <= by < self.end:
            return
        if error is None:
            self.latencies.append(done - begun)
        else:
            self.errors[error] += 1


async def run(plan: Plan, connect: Callable[[], Client]) -> Findings:
    """Send this process's part of a load."""
    await asyncio.sleep(plan.starts_at - time.time())
    began, cpu = time.perf_counter(), time.process_time()
    record = _Record(began + plan.warm_s, plan.seconds)
    clients = [connect() for _ in range(plan.clients)]
    due = None if plan.rate is None else _schedule(began, plan.rate)
    tasks = []
    for at, client in enumerate(clients):
        questions = cycle(islice(cycle(plan.questions), at, at + len(plan.questions)))
        if due is None:
            tasks.append(_closed(client, questions, record, plan.timeout_s))
        else:
            tasks.append(_open(client, questions, record, plan.timeout_s, due))
    await asyncio.gather(*tasks)
    busy = (time.process_time() - cpu) / (time.perf_counter() - began)
    for client in clients:
        await client.close()
    return Findings(plan.seconds, np.array(record.latencies), record.answered, dict(record.errors), busy)


def _schedule(began: float, rate: float) -> Iterator[float]:
    return (began + number / rate for number in count())


async def _asked(client: Client, question: Question, timeout_s: float) -> str | None:
    try:
        async with asyncio.timeout(timeout_s):
            return await client.ask(question)
    except TimeoutError:
        await client.close()
        return "timed out"
    except Unanswered as error:
        await asyncio.sleep(_PAUSE_S)
        return str(error)


async def _closed(client: Client, questions: Iterator[Question], record: _Record, timeout_s: float) -> None:
    while (begun := time.perf_counter()) < record.end:
        error = await _asked(client, next(questions), timeout_s)
        done = time.perf_counter()
        record.count(begun, done, error, by=done)


async def _open(
    client: Client, questions: Iterator[Question], record: _Record, timeout_s: float, schedule: Iterator[float]
) -> None:
    for due in schedule:
        if due >= record.end:
            return
        begun = due
        if due > time.perf_counter():
            await asyncio.sleep(due - time.perf_counter())
            # This client was free: what the timer is late is the sender's doing, not the server's.
            begun = time.perf_counter()
        if begun == due and time.perf_counter() > record.end + _GRACE_S:
            record.count(due, due, NEVER_SENT, by=due)
            continue
        error = await _asked(client, next(questions), timeout_s)
        record.count(begun, time.perf_counter(), error, by=due)
