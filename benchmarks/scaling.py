"""What a request costs in processor time, at the door and in the engine, and what a second worker brings on two cores.

Both models, both doors, one worker and two, in turns; 16 clients on the same cores. ``engine`` is the engine's own
processor time for a row without a service around it, ``door`` the rest of what the service's processes used. These are
the inputs of the arithmetic for more cores in ``docs/performance.md``. The tiny model's engine is not measured alone:
it takes some 10 us, and its line is all door. The last columns have the same time by kind of thread: the event loop's,
those of gRPC's C core, and all others, which are lanes, the engine's own and the one that waits for gRPC.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

from shared import load, messages, mobilenet, tiny
from shared.in_process import engine
from shared.machine import cores
from shared.memory import family
from shared.places import repository
from shared.processor_time import GRPC, LOOP, REST, processor_seconds, thread_seconds
from shared.results import Table, conclude, parser
from shared.server_process import ServerProcess, serving

ROUNDS, SECONDS, QUICK_SECONDS = 3, 5, 2
WORKERS = (1, 2)
KINDS = (LOOP, GRPC, REST)
ANSWER_BYTES = {"tiny": 60, "mnv": 4000}
Key = tuple[str, str, int]
"""Model, door, workers."""


def asked(server: ServerProcess, model: ModuleType, door: str, seconds: int) -> tuple[float, list[float]]:
    """Requests a second, and the service's processor milliseconds a request: in all, and by kind of thread."""
    row, name = model.inputs(1), model.NAME
    before, threads = processor_seconds(family(server.pid)), thread_seconds(family(server.pid))
    if door == "grpc":
        message = messages.grpc(name, model.INPUT, row)
        found = load.grpc(server.grpc, message, seconds, answer=ANSWER_BYTES[name], warm_s=0)
    else:
        found = load.http(f"{server.rest}/v1/models/{name}:predict", messages.rest(row), seconds, warm_s=0)
    used, after = processor_seconds(family(server.pid)) - before, thread_seconds(family(server.pid))
    spent = [used, *(after.get(kind, 0.0) - threads.get(kind, 0.0) for kind in KINDS)]
    return found.requests_per_second, [1e3 * one / max(1, found.requests) for one in spent]


def main() -> int:
    """Measure, print."""
    given = parser(__doc__).parse_args()
    rounds, seconds = (1, QUICK_SECONDS) if given.quick else (ROUNDS, SECONDS)
    rates: dict[Key, list[float]] = defaultdict(list)
    costs: dict[Key, list[list[float]]] = defaultdict(list)
    row_ms: list[float] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        place = Path(name)
        served = repository(place / "models", tiny.tiny(), mobilenet.mobilenet())
        servers = {
            workers: running.enter_context(
                serving(place / f"server-{workers}", "--repository", str(served), "--workers", str(workers))
            )
            for workers in WORKERS
        }
        for server in servers.values():
            server.wait_ready()
        run = running.enter_context(engine("openvino"))
        run(cores(), 1, 1)  # so that the first calls, which compile, are not among those that count
        for _ in range(rounds):
            before = processor_seconds([run.pid])
            rows = seconds * run(cores(), 1, seconds)
            row_ms.append(1e3 * (processor_seconds([run.pid]) - before) / rows)
            for workers, server in servers.items():
                for model in (tiny, mobilenet):
                    for door in ("rest", "grpc"):
                        rate, cost = asked(server, model, door, seconds)
                        rates[model.NAME, door, workers].append(rate)
                        costs[model.NAME, door, workers].append(cost)
    engines = {"tiny": 0.0, "mnv": statistics.median(row_ms)}
    columns = ("model", "door", "workers", "requests/s", "CPU ms a request", "engine ms", "door ms")
    table = Table((*columns, *(f"{kind} ms" for kind in KINDS)))
    for key, rate in rates.items():
        model_name, door, workers = key
        in_all, *kinds = (list(column) for column in zip(*costs[key], strict=True))
        doors = [cost - engines[model_name] for cost in in_all]
        table.add(model_name, door, workers, rate, in_all, engines[model_name], doors, *kinds)
    return conclude("scaling", table, [], given, {"cores": cores(), "engine_ms": engines})


if __name__ == "__main__":
    sys.exit(main())
