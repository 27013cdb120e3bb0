"""Ten times more than the server can do, for a minute, over both doors: ``python benchmarks/overload.py``.

First its peak: 16 callers in a closed loop on a model whose runs are long. Then ten times that on a schedule, half of
it over REST and half over gRPC, from callers who leave after a second; beside it a second, polite model that is asked
for a tenth of what the server can do. Printed are the goodput (answers in time a second, of both models, against the
peak), every code, the polite model's share and p99, memory, the processor time a refusal costs, and how long after the
flood a lone request is again answered as fast as before it.

The load comes from the same machine: its senders take processor time that the lanes would have.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
import numpy as np
from shared import messages, strenuous
from shared.load import PREDICT
from shared.places import repository
from shared.results import Table, at_least, at_most, conclude, parser
from shared.server_process import ServerProcess, serving

from service.adapters.load_test.findings import Findings
from service.adapters.load_test.plan import Plan, Question, Target
from service.adapters.load_test.processes import measure

TIMES, PATIENCE_S, CALLERS = 10, 1.0, 16
FLOODED, POLITE = strenuous.NAME, "polite"
RIGHT = {"rest": {"503", "timed out"}, "grpc": {"UNAVAILABLE", "timed out"}}
"""How a request that is not answered may end: refused as overloaded, or given up by its caller."""
_SAMPLE_S, _PROBE_S, _AS_BEFORE = 0.25, 0.1, 3
_MOST_GROWTH_MB = 300
_TOLERATED_S = 2.0


@dataclass
class Watch:
    """What was seen of the server from outside."""

    resident_mb: list[float] = field(default_factory=list)
    probes: list[tuple[float, float]] = field(default_factory=list)
    """When a lone request was answered, and what it took; infinite when it was refused or late."""


def plan(server: ServerProcess, door: Literal["rest", "grpc"], model: str, **load: float | int) -> Plan:
    """Requests of one row to a model over one of the doors."""
    row = strenuous.inputs(1)
    if door == "rest":
        question = Question(f"/v1/models/{model}:predict", messages.rest(row))
        return Plan(Target("rest", server.rest), (question,), **load)  # type: ignore[arg-type]
    question = Question(PREDICT, messages.grpc(model, strenuous.INPUT, row))
    return Plan(Target("grpc", server.grpc), (question,), **load)  # type: ignore[arg-type]


@contextmanager
def watched(server: ServerProcess) -> Iterator[Watch]:
    """Look at memory and ask a lone request again and again, from threads."""
    watch, over = Watch(), threading.Event()

    def look() -> None:
        while not over.wait(_SAMPLE_S):
            watch.resident_mb.append(server.rss_mb())

    def probe() -> None:
        body = messages.rest(strenuous.inputs(1))
        with httpx.Client(timeout=10 * PATIENCE_S) as http:
            while not over.wait(_PROBE_S):
                begun = time.time()
                answer = http.post(f"{server.rest}/v1/models/{FLOODED}:predict", content=body)
                took = time.time() - begun if answer.status_code == httpx.codes.OK else float("inf")
                watch.probes.append((time.time(), took))

    with ThreadPoolExecutor(2) as threads:
        work = [threads.submit(look), threads.submit(probe)]
        try:
            yield watch
        finally:
            over.set()
    for done in work:
        done.result()


def flood(server: ServerProcess, peak: float, seconds: float) -> tuple[dict[str, Findings], float]:
    """Ten times the peak on one model, a tenth of it on the other; what came of each, and when it was over."""
    rate = TIMES * peak / 2
    many: dict[str, float | int] = {
        "rate": rate,
        "clients": max(CALLERS, round(rate * PATIENCE_S)),
        "seconds": seconds,
        "timeout_s": PATIENCE_S,
    }
    few: dict[str, float | int] = {**many, "rate": peak / 10, "clients": CALLERS}
    plans = {
        "rest": plan(server, "rest", FLOODED, **many),
        "grpc": plan(server, "grpc", FLOODED, **many),
        "polite": plan(server, "rest", POLITE, **few),
    }
    with ThreadPoolExecutor(len(plans)) as threads:
        running = {name: threads.submit(measure, one, 1) for name, one in plans.items()}
        found = {name: one.result() for name, one in running.items()}
    return found, time.time()


def recovery_s(watch: Watch, over: float, before_s: float) -> float:
    """Seconds after the flood until every lone request is answered about as fast as before it."""
    slow = [at for at, took in watch.probes if at > over and took > _AS_BEFORE * before_s]
    return max(slow) - over if slow else 0.0


def processor_s(server: ServerProcess) -> float:
    """Processor time that the server has used."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main() -> int:
    """Measure, print; 0 when every bar is met."""
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=60.0, help="how long the flood lasts (default 60)")
    given = options.parse_args()
    seconds, peak_s = (10.0, 5.0) if given.quick else (given.seconds, 15.0)
    with tempfile.TemporaryDirectory() as scratch:
        models = repository(Path(scratch) / "models", strenuous.strenuous())
        (models / POLITE).symlink_to(strenuous.strenuous(), target_is_directory=True)
        with serving(Path(scratch) / "server", "--repository", str(models)) as server:
            server.wait_ready()
            peak = max(
                measure(plan(server, door, FLOODED, clients=CALLERS, seconds=peak_s), 1).per_second
                for door in ("rest", "grpc")
            )
            with watched(server) as watch:
                time.sleep(3.0)
                calm_s = float(np.median([took for _, took in watch.probes]))
                calm_mb = max(watch.resident_mb)
                busy_s = processor_s(server)
                found, over = flood(server, peak, seconds)
                busy_s = processor_s(server) - busy_s
                time.sleep(3 * _TOLERATED_S)
    return report(given, peak, found, watch, (calm_s, calm_mb, over, busy_s))


def report(given, peak, found, watch, seen) -> int:  # type: ignore[no-untyped-def]
    """Say what came of it."""
    calm_s, calm_mb, over, _ = seen
    table = Table(("load", "asked/s", "answered/s", "p50 ms", "p99 ms", "codes", "sender busy"))
    table.add("peak, closed loop", None, peak, None, None, "", None)
    wrong = 0
    for name, one in found.items():
        asked = (len(one.latencies_s) + sum(one.errors.values())) / one.seconds
        codes = ", ".join(f"{code} {count}" for code, count in sorted(one.errors.items()))
        shown = (one.percentile_ms(50), one.percentile_ms(99))
        table.add(f"flood, {name}", asked, one.per_second, *shown, codes, one.busiest_sender)
        right = RIGHT["grpc" if name == "grpc" else "rest"]
        wrong += sum(count for code, count in one.errors.items() if code not in right)
    polite = found["polite"]
    kept = len(polite.latencies_s) / max(1, len(polite.latencies_s) + sum(polite.errors.values()))
    held = [
        at_least("goodput / peak", [sum(one.per_second for one in found.values()) / peak], 0.9),
        at_least("answered of what the polite model was asked", [kept], 0.99),
        at_most("requests that ended with a wrong code", [wrong], 0, ""),
        at_most("memory gained", [max(watch.resident_mb) - calm_mb], _MOST_GROWTH_MB, "MB"),
        at_most("recovery", [recovery_s(watch, over, calm_s)], _TOLERATED_S, "s"),
    ]
    return conclude("overload", table, held, given)


if __name__ == "__main__":
    sys.exit(main())
