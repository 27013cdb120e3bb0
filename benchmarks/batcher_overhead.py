"""What the batcher costs a request, beside the run itself: ``python benchmarks/batcher_overhead.py``.

Requests of one row come from so many callers at once to a batcher over a function that does next to nothing; printed
are microseconds of processor time a request (others may be busy on the machine), in lanes and on the event loop,
beside what awaiting a bare future costs. Under a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import uvloop
from shared.machine import machine

from service.adapters.prometheus.page import Metrics
from service.application.batching import Batcher
from service.application.lanes import Lanes
from service.domain.batches import BatchLimits
from service.domain.tensors import Array, Tensors

_ROW = {"x": np.ones((1, 4), np.float32)}
_WEIGHTS = np.ones((4, 3), np.float32)
_SHORT: Mapping[int, float] = {1: 1e-6, 32: 1e-6}


def small(inputs: Tensors) -> dict[str, Array]:
    """Four numbers into three."""
    return {"y": inputs["x"] @ _WEIGHTS}


def as_is(outputs: Tensors) -> dict[str, Array]:
    """A request's answer is its rows."""
    return dict(outputs)


async def bare(count: int, callers: int) -> float:
    """Futures that the loop answers in its next turn, and the function for each."""
    loop = asyncio.get_running_loop()

    async def one() -> None:
        answer = loop.create_future()
        loop.call_soon(lambda: answer.set_result(small(_ROW)))
        await answer

    return await _timed(one, count, callers)


async def batched(count: int, callers: int, lanes: int, here: bool) -> float:
    """Through a batcher as the server makes it, with a deadline and its metrics."""
    places = Lanes(lanes)
    batcher = Batcher(
        "g", "s", small, together=True, lanes=places, limits=BatchLimits(), observer=Metrics(), steady=here
    )
    if here:
        batcher.measured(_SHORT)

    async def one() -> None:
        await batcher.submit(_ROW, as_is, 30.0)

    try:
        return await _timed(one, count, callers)
    finally:
        await asyncio.to_thread(places.close)


async def _timed(one: Callable[[], Awaitable[None]], count: int, callers: int) -> float:
    """Microseconds a request."""

    async def caller() -> None:
        for _ in range(count // callers):
            await one()

    begun = time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return (time.process_time() - begun) / (count // callers * callers) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000, help="a round (default 20000)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="2,000 requests a round, 3 rounds")
    options = parser.parse_args()
    count, rounds = (2000, 3) if options.quick else (options.requests, options.rounds)
    print(machine())
    print(f"{'callers':>7}  {'bare us':>8}  {'loop us':>14}  {'lanes us':>14}")
    for callers in (1, 16, 64):
        kinds: list[list[float]] = [[], [], []]
        for _ in range(rounds):
            kinds[0].append(uvloop.run(bare(count, callers)))
            kinds[1].append(uvloop.run(batched(count, callers, options.lanes, here=True)))
            kinds[2].append(uvloop.run(batched(count, callers, options.lanes, here=False)))
        cells = [f"{statistics.median(one):.1f} ({max(one) - min(one):.1f})" for one in kinds]
        print(f"{callers:>7}  {statistics.median(kinds[0]):>8.1f}  {cells[1]:>14}  {cells[2]:>14}")


if __name__ == "__main__":
    main()
