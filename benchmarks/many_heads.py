"""Many heads on one base: start to ready, memory a head, and what mixed traffic costs beside traffic to one head.

On two bases: ``mnv``, MobileNetV2 as people have it, and ``wide``, which costs next to nothing to run, so that every
microsecond of a head shows. For each number of heads (thin, 10 classes on 1,280 features) one server is started. When
every head has been asked once, 16 clients ask one head, then all of them, uniformly and by Zipf's law, and one again:
the ratio is to what one head gave before and after, within that server. Under the same load one head is added and one
is dropped: how long after it was seen the new one answers (the server's log says so), and how long after it was
published, which includes the pause between two looks; requests to the others must not fail meanwhile.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
from shared import messages, mobilenet
from shared.fleet import CLASSES, FEATURES, Fleet, fleet, head_name, wide, wide_inputs
from shared.load import Load
from shared.mixed_load import mixed_load
from shared.results import Held, Table, at_least, at_most, conclude, parser
from shared.server_process import ServerProcess, serving

DRAWN, EXPONENT = 20_000, 1.1
BASES = {"wide": (wide, wide_inputs), "mnv": (mobilenet.mobilenet, mobilenet.inputs)}


def draws(heads: int, law: str) -> Sequence[str]:
    """Names of heads as traffic asks for them."""
    random = np.random.default_rng(7)
    if law == "uniform":
        return [head_name(number) for number in random.integers(0, heads, DRAWN)]
    weights = 1.0 / np.arange(1, heads + 1) ** EXPONENT
    return [head_name(number) for number in random.choice(heads, DRAWN, p=weights / weights.sum())]


def swap_one(server: ServerProcess, built: Fleet, number: int, body: bytes) -> tuple[float, float, float]:
    """Add a head and drop it again; milliseconds from seen to live, from published to live, from dropped to gone."""
    url, name = f"{server.rest}/v1/models/{head_name(number)}:predict", head_name(number)
    with httpx.Client(timeout=30) as http:
        times = []
        for act, wanted in ((lambda: built.publish(number), 200), (lambda: built.drop(number), 404)):
            act()
            begun = time.perf_counter()
            while http.post(url, content=body).status_code != wanted:
                if time.perf_counter() - begun > 60:
                    raise RuntimeError(f"{name} did not come or go within a minute")
                time.sleep(0.005)
            times.append((time.perf_counter() - begun) * 1e3)
    told = re.findall(rf"version {name}@\d+ is live after ([\d.]+) s", server.log.read_text())
    return float(told[-1]) * 1e3, times[0], times[1]


def measure(
    built: Fleet, heads: int, directory: Path, body: bytes, seconds: int, empty_mb: float, rounds: int
) -> dict[str, list[float]]:
    """One server with so many heads."""
    found: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        found.setdefault(what, []).append(value)

    begun = time.perf_counter()
    with serving(directory, "--repository", str(built.repository)) as server:
        server.wait_ready()
        note("ready s", time.perf_counter() - begun)
        note("KB a head", (server.rss_mb() - empty_mb) * 1024 / heads)
        loaded(server, body, [head_name(number) for number in range(heads)], 1 + heads // 2000)
        for _ in range(rounds):
            before, uniform, zipf, after = (
                loaded(server, body, names, seconds)
                for names in ([head_name(0)], draws(heads, "uniform"), draws(heads, "zipf"), [head_name(0)])
            )
            one = (before.requests_per_second + after.requests_per_second) / 2
            note("one req/s", one)
            for law, mixed in (("uniform", uniform), ("zipf", zipf)):
                note(f"{law} ratio", mixed.requests_per_second / one)
                note(f"{law} p99 ratio", 2 * mixed.p99_ms / (before.p99_ms + after.p99_ms))
            for load in (before, uniform, zipf, after):
                note("failed", failures(load, server))
        with mixed_load(server.rest, body, draws(heads, "uniform"), 3600) as load:
            for number in range(heads, heads + rounds):
                seen, live, gone = swap_one(server, built, number, body)
                note("add: seen to live ms", seen)
                note("add ms", live)
                note("drop ms", gone)
            assert load.running()
        with mixed_load(server.rest, body, draws(heads, "uniform"), max(seconds, 4)) as load:
            swap_one(server, built, heads + rounds, body)
            note("failed", failures(load.result(), server))
    return found


def failures(load: Load, server: ServerProcess) -> int:
    """How many requests of a load failed; of what kind they were is printed, and how all ended that the server saw."""
    failed = sum(load.errors.values())
    if failed:
        print(f"failed: {dict(load.errors)}; all requests so far by the server's count: {dict(server.outcomes())}")
    return failed


def loaded(server: ServerProcess, body: bytes, names: Sequence[str], seconds: int) -> Load:
    """What so many seconds of requests to these heads found."""
    with mixed_load(server.rest, body, names, seconds) as load:
        return load.result()


def main() -> int:
    """Measure every number of heads."""
    options = parser(__doc__)
    options.add_argument("--base", choices=sorted(BASES), nargs="+", default=["mnv", "wide"], help="default both")
    options.add_argument("--heads", type=int, nargs="+", help="how many; default 1000 on mnv, 1 to 10000 on wide")
    given = options.parse_args()
    seconds, rounds = (2, 1) if given.quick else (3, 3)
    table, held = Table(COLUMNS), []
    with tempfile.TemporaryDirectory() as scratch:
        for base in given.base:
            model, inputs = BASES[base]
            directory, body = Path(scratch) / base, messages.rest(inputs(1, seed=9))
            empty_mb = base_alone(directory, model(), inputs(8))
            for heads in given.heads or ([1000] if base == "mnv" or given.quick else [1, 10, 100, 1000, 10_000]):
                place = directory / str(heads)
                built = fleet(place / "models", model(), inputs(8), heads)
                # A run of MobileNetV2 takes a hundred times as long, so that as many requests take longer.
                found = measure(built, heads, place, body, seconds * (3 if base == "mnv" else 1), empty_mb, rounds)
                table.add(base, f"{heads:,}", *(found[what] for what in COLUMNS[2:]))
                held += bars(base, heads, found)
    print(f"heads of {CLASSES} classes on {FEATURES} features")
    return conclude("many_heads", table, held, given)


COLUMNS = (
    "base",
    "heads",
    "ready s",
    "KB a head",
    "one req/s",
    "uniform ratio",
    "zipf ratio",
    "uniform p99 ratio",
    "zipf p99 ratio",
    "add: seen to live ms",
    "add ms",
    "drop ms",
    "failed",
)


def base_alone(directory: Path, model: Path, inputs: np.ndarray) -> float:
    """Memory of a server with the base and no head, in MB."""
    fleet(directory / "alone" / "models", model, inputs, 0)
    with serving(directory / "alone", "--repository", str(directory / "alone" / "models")) as server:
        server.wait_ready()
        return server.rss_mb()


def bars(base: str, heads: int, found: dict[str, list[float]]) -> list[Held]:
    """What the design asks for."""
    what = f"{heads:,} heads on {base}"
    held = [at_most(f"{what}: failed requests", [sum(found["failed"])], 0, "")]
    held.append(at_most(f"{what}: a new one live after it is seen", found["add: seen to live ms"], 50, "ms"))
    if heads >= 1000:
        if base == "wide":  # where a base's own memory, which its first runs add to, does not hide what heads take
            held.append(at_most(f"{what}: memory a head", found["KB a head"], 60, "KB"))
        held.append(at_least(f"{what}: uniform traffic to traffic to one head", found["uniform ratio"], 0.95))
        held.append(at_least(f"{what}: Zipf traffic to traffic to one head", found["zipf ratio"], 0.95))
    return held


if __name__ == "__main__":
    sys.exit(main())
