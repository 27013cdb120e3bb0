"""How much later do answers come while a tuning job trains on the same cores?

The service answers one gRPC request after another on a schedule, at half of what it can do; in turns it is idle beside
that, or a job fine-tunes a MobileNetV2 of 224 x 224 on 500 images. The trainer runs at the lowest priority. Prints the
p99 of both and the median ratio; ends with status 1 unless p99 beside a job is at most 1.5 times the idle one.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import httpx
from shared import load, messages, mobilenet
from shared.pictures import archive
from shared.places import repository
from shared.results import Table, at_most, conclude, parser
from shared.server_process import serving
from shared.tuning_base import SIDE, base, job, tune, wait_ended

from service.adapters.load_test.findings import Findings
from service.adapters.load_test.plan import Plan, Question, Target
from service.adapters.load_test.processes import measure

ITEMS, ROUNDS, SECONDS = 500, 5, 10.0
QUICK_ITEMS, QUICK_SECONDS = 100, 4.0
SHARE, MOST = 0.5, 1.5
TRAINS = ("probe", "features", "finetune")
RECIPE = {"finetune": {"enabled": "always", "epochs": 1000, "patience": 1000}, "baselines": ["majority"]}
"""A job that trains for as long as it is let."""


def asked(address: str, message: bytes, rate: float, seconds: float) -> Findings:
    """Latencies at this rate."""
    plan = Plan(Target("grpc", address), (Question(load.PREDICT, message),), load.CLIENTS, seconds, rate=rate)
    return measure(plan, 1)


def beside_job(http: httpx.Client, images: Path, head: str, address: str, ask: tuple[bytes, float, float]) -> Findings:
    """Latencies while a job trains; the job is cancelled afterwards."""
    name = tune(http, images, head, RECIPE)
    while (found := job(http, name))["phase"] not in TRAINS:
        if found["state"] in ("succeeded", "failed", "cancelled"):
            raise RuntimeError(f"the job {found['state']}: {found['error']}")
        time.sleep(0.05)
    findings = asked(address, *ask)
    if (found := job(http, name))["state"] != "running":
        raise RuntimeError(f"the job was {found['state']} before the measurement was over")
    http.post(f"/v1/jobs/{name}:cancel").raise_for_status()
    wait_ended(http, name)
    return findings


def main() -> int:
    """Measure, print; 0 when the bar is met."""
    given = parser(__doc__).parse_args()
    rounds, items, seconds = (2, QUICK_ITEMS, QUICK_SECONDS) if given.quick else (ROUNDS, ITEMS, SECONDS)
    message = messages.grpc(mobilenet.NAME, mobilenet.INPUT, mobilenet.inputs(1))
    idle: list[Findings] = []
    beside: list[Findings] = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        images = place / "images.zip"
        archive(images, items, SIDE)
        served = repository(place / "models", base(), mobilenet.mobilenet())
        with (
            serving(place / "server", "--repository", str(served)) as server,
            httpx.Client(base_url=server.rest, timeout=60) as http,
        ):
            server.wait_ready()
            capacity = load.grpc(server.grpc, message, 4, answer=4000).requests_per_second
            ask = (message, SHARE * capacity, seconds)
            for number in range(rounds):
                idle.append(asked(server.grpc, *ask))
                beside.append(beside_job(http, images, f"head-{number}", server.grpc, ask))
    table = Table(("service", "requests/s", "p50 ms", "p99 ms", "errors"))
    for what, found in (("idle beside its requests", idle), ("with a job training", beside)):
        table.add(
            what,
            [one.per_second for one in found],
            [one.percentile_ms(50) for one in found],
            [one.percentile_ms(99) for one in found],
            sum(sum(one.errors.values()) for one in found),
        )
    ratios = [hot.percentile_ms(99) / cold.percentile_ms(99) for hot, cold in zip(beside, idle, strict=True)]
    return conclude("training_beside", table, [at_most("p99 beside a job / idle", ratios, MOST)], given)


if __name__ == "__main__":
    sys.exit(main())
