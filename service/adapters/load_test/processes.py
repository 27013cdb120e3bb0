"""The load goes out from processes of its own, so that reading answers does not hold up the sending."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

from service.adapters.load_test.findings import Findings, together
from service.adapters.load_test.loops import Client, run
from service.adapters.load_test.plan import Plan, Target

_GATHER_S = 2.0
"""What a process may take to start and import; all begin sending this long from now."""


def default_number(clients: int) -> int:
    """How many processes to send from: half the cores, since the server may be on this machine too."""
    return max(1, min(clients, (os.cpu_count() or 1) // 2, 8))


def measure(plan: Plan, number: int | None = None) -> Findings:
    """Make this load from so many processes, and return when its time is over."""
    parts = plan.parts(number or default_number(plan.clients))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(parts), mp_context=spawn, initializer=_leave_interrupts) as processes:
        starts_at = time.time() + _GATHER_S
        try:
            return together(processes.map(send, [replace(part, starts_at=starts_at) for part in parts]))
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _leave_interrupts() -> None:
    """Ctrl-C goes to every process of a terminal; the one that started this one decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def send(plan: Plan) -> Findings:
    """Send one process's part."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(plan, _client(plan.target)))


def _client(target: Target) -> Callable[[], Client]:
    if target.door == "rest":
        from service.adapters.load_test.rest import RestClient

        return partial(RestClient, target)
    from service.adapters.load_test.rpc import GrpcClient

    return partial(GrpcClient, target)
