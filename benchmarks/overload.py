"""Ten times more than the server can do, for a minute, over both doors: ``python benchmarks/overload.py``.

First its peak: 16 callers in a closed loop on a model whose runs are long. Then ten times that on a schedule, half of
it over REST and half over gRPC, from callers who leave after a second; beside it a second, polite model that is asked
for a tenth of what the server can do. Printed are the goodput (answers in time a second, of both models, against the
peak), every code, the polite model's share and p99, memory, the processor time a refusal costs, and how long after the
flood a lone request is again answered as fast as before it.

The load comes from the same machine: its senders take processor time that the lanes would have. So the share of the
peak is printed as it was measured, which is what the bar is held against, and beside it as it would be of the cores
that senders left to the server. And as refusing costs the same whatever a run costs, all is done a second time with a
model whose runs are four times as long (not with ``--quick``).
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import httpx
import numpy as np
from shared import arduous, messages, strenuous
from shared.load import PREDICT
from shared.refusals import Spent, spent_on
from shared.results import Table, at_least, at_most, conclude, parser
from shared.server_process import ServerProcess, serving

from service.adapters.load_test.findings import Findings
from service.adapters.load_test.plan import Plan, Question, Target
from service.adapters.load_test.processes import measure

TIMES, PATIENCE_S, CALLERS = 10, 1.0, 16
FLOODED, POLITE = "flooded", "polite"
DOORS: tuple[Literal["rest"], Literal["grpc"]] = ("rest", "grpc")
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


def flooding(peak: float, seconds: float) -> dict[str, float | int]:
    """One door's half of the flood."""
    rate = TIMES * peak / 2
    return {
        "rate": rate,
        "clients": max(CALLERS, round(rate * PATIENCE_S)),
        "seconds": seconds,
        "timeout_s": PATIENCE_S,
    }


def flood(server: ServerProcess, peak: float, seconds: float) -> tuple[dict[str, Findings], float]:
    """Ten times the peak on one model, a tenth of it on the other; what came of each, and when it was over."""
    many = flooding(peak, seconds)
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


@dataclass
class Ordeal:
    """What came of one model's peak, of each door flooded alone, and of the flood."""

    model: str
    peaks: dict[str, Findings]
    costs: dict[str, Spent]
    """By door, of a flood over that door alone."""
    an_answer_s: float
    found: dict[str, Findings]
    watch: Watch
    calm_s: float
    calm_mb: float
    over: float

    @property
    def peak(self) -> float:
        """The better door's answers a second."""
        return max(one.per_second for one in self.peaks.values())

    @property
    def share(self) -> float:
        """Of the peak that is still answered, as measured."""
        return sum(one.per_second for one in self.found.values()) / self.peak

    @property
    def share_without_senders(self) -> float:
        """The same a core that senders left: of the cores that the server had then, against those it has now."""
        cores = len(os.sched_getaffinity(0))
        then = cores - max(self.peaks.values(), key=lambda one: one.per_second).busiest_sender
        return self.share * then / (cores - sum(one.busiest_sender for one in self.found.values()))

    @property
    def wrong(self) -> int:
        """How many requests ended as none should."""
        return sum(
            count
            for name, one in self.found.items()
            for code, count in one.errors.items()
            if code not in RIGHT["grpc" if name == "grpc" else "rest"]
        )

    @property
    def polite_share(self) -> float:
        """Of what the polite model was asked that was answered."""
        polite = self.found["polite"]
        return len(polite.latencies_s) / max(1, len(polite.latencies_s) + sum(polite.errors.values()))


def undergo(model: Path, scratch: Path, seconds: float, peak_s: float) -> Ordeal:
    """Flood a server of this model."""
    models = scratch / "models"
    models.mkdir(parents=True)
    for name in (FLOODED, POLITE):
        (models / name).symlink_to(model, target_is_directory=True)
    with serving(scratch / "server", "--repository", str(models)) as server:
        server.wait_ready()
        peaks, costs, an_answer_s = dict[str, Findings](), dict[str, Spent](), list[float]()
        for door in DOORS:
            calm = plan(server, door, FLOODED, clients=CALLERS, seconds=peak_s)
            peaks[door], spent = spent_on(server, partial(measure, calm, 1))
            an_answer_s.append(spent.an_answer_s)
        peak = max(one.per_second for one in peaks.values())
        for door in DOORS:
            alone = plan(server, door, FLOODED, **flooding(peak, peak_s))
            costs[door] = spent_on(server, partial(measure, alone, 1))[1]
        with watched(server) as watch:
            time.sleep(3.0)
            calm_s = float(np.median([took for _, took in watch.probes]))
            calm_mb = max(watch.resident_mb)
            found, over = flood(server, peak, seconds)
            time.sleep(3 * _TOLERATED_S)
    return Ordeal(model.name, peaks, costs, min(an_answer_s), found, watch, calm_s, calm_mb, over)


def main() -> int:
    """Measure, print; 0 when every bar is met."""
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=60.0, help="how long a flood lasts (default 60)")
    given = options.parse_args()
    seconds, peak_s = (8.0, 4.0) if given.quick else (given.seconds, 15.0)
    with tempfile.TemporaryDirectory() as scratch:
        ordeals = [
            undergo(model, Path(scratch) / model.name, seconds, peak_s)
            for model in ((strenuous.strenuous(),) if given.quick else (strenuous.strenuous(), arduous.arduous()))
        ]
    return report(given, ordeals)


def report(given: Namespace, ordeals: list[Ordeal]) -> int:
    """Say what came of it."""
    columns = ("load", "asked/s", "answered/s", "p50 ms", "p99 ms", "codes", "sender busy", "us a refusal")
    table, held = Table(columns), []
    for one in ordeals:
        for door, peak in one.peaks.items():
            shown = (peak.percentile_ms(50), peak.percentile_ms(99))
            table.add(f"{one.model}, peak, {door}", None, peak.per_second, *shown, "", peak.busiest_sender, None)
        for name, found in one.found.items():
            asked = (len(found.latencies_s) + sum(found.errors.values())) / found.seconds
            codes = ", ".join(f"{code} {count}" for code, count in sorted(found.errors.items()))
            shown = (found.percentile_ms(50), found.percentile_ms(99))
            cost_us = one.costs[name].a_refusal_s(one.an_answer_s) * 1e6 if name in one.costs else None
            load = f"{one.model}, flood, {name}"
            table.add(load, asked, found.per_second, *shown, codes, found.busiest_sender, cost_us)
        said = f"{one.share:.3g} of the peak; of the cores that senders left {one.share_without_senders:.3g}"
        table.add(f"{one.model}, goodput", None, one.share * one.peak, None, None, said, None, None)
        growth_mb = max(one.watch.resident_mb) - one.calm_mb
        held += [
            at_least(f"{one.model}: goodput / peak", [one.share], 0.9),
            at_least(f"{one.model}: answered of what the polite model was asked", [one.polite_share], 0.99),
            at_most(f"{one.model}: requests that ended with a wrong code", [one.wrong], 0, ""),
            at_most(f"{one.model}: memory gained", [growth_mb], _MOST_GROWTH_MB, "MB"),
            at_most(f"{one.model}: recovery", [recovery_s(one.watch, one.over, one.calm_s)], _TOLERATED_S, "s"),
        ]
    return conclude("overload", table, held, given)


if __name__ == "__main__":
    sys.exit(main())
