"""How long a server takes from its start until it answers, and what it holds then, beside importing TensorFlow alone.

Each round starts everything once, in turn: the import; a server with nothing to serve (until it answers at all); one
with a small model for the first time, when its engine is tried and compiled; the same again, with what was kept of
that; and one with a model that only TensorFlow can run. Ready is what ``/readyz`` says, asked every few milliseconds.

    python benchmarks/cold_start.py [--quick] [--rounds 5]
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.memory import resident_mb
from shared.places import made_once, repository
from shared.results import Table, at_most, conclude, parser
from shared.server_process import ENVIRONMENT, serving
from shared.tiny import tiny

_LOOK_S, _PATIENCE_S = 0.005, 300.0
_WITHOUT, _WITH = 0.4, 1.3
"""Of the time that importing TensorFlow takes: the bars, when nothing served needs it and when something does."""


def words() -> Path:
    """A model that takes text, which no engine but TensorFlow runs."""
    return made_once("words", "cold_start")


def export(directory: Path) -> None:
    """Write it."""
    import tensorflow as tf

    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def lengths(text: Any) -> Any:
        return {"length": tf.strings.length(text)}

    tf.saved_model.save(module, str(directory), {"serving_default": lengths})


def imported() -> tuple[float, float]:
    """Seconds and megabytes of ``import tensorflow`` in a process of its own."""
    code = "import tensorflow, resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    return time.perf_counter() - began, int(done.stdout) / 1024


def started(models: Path, place: Path, path: str) -> tuple[float, float]:
    """Seconds until a server's answer to ``path`` is 200, and its megabytes then."""
    began = time.perf_counter()
    with serving(place, "--repository", str(models), "--warm-trainers", "0", "--drain-seconds", "0") as server:
        address = server.rest.removeprefix("http://")
        while _status(address, path) != 200:
            if time.perf_counter() - began > _PATIENCE_S:
                raise RuntimeError(f"not ready after {_PATIENCE_S:.0f} s: {server.log.read_text()[-2000:]}")
            time.sleep(_LOOK_S)
        return time.perf_counter() - began, resident_mb(server.pid)


def _status(address: str, path: str) -> int:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def once(place: Path, small: Path, text: Path) -> Iterator[tuple[str, float, float]]:
    """One round: what was started, its seconds and its megabytes."""
    (place / "none").mkdir()
    one, other = repository(place / "small", small), repository(place / "text", text)
    yield "import tensorflow", *imported()
    yield "nothing to serve, until it answers", *started(place / "none", place / "a", "/healthz")
    for name in ("small model, first start", "small model, started again"):
        yield name, *started(one, place / "b", "/readyz")
    for name in ("model for TensorFlow alone", "model for TensorFlow, started again"):
        yield name, *started(other, place / "c", "/readyz")


def main() -> int:
    """Measure."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=0, help="how often (default 5, quick 2)")
    chosen = options.parse_args()
    rounds = chosen.rounds or (2 if chosen.quick else 5)
    small, text = tiny(), words()
    imported()  # so that the first one does not pay for the disk
    seen: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            for name, seconds, megabytes in once(Path(scratch), small, text):
                seen.setdefault(name, []).append((seconds, megabytes))
    table = Table(["what", "seconds", "x import tensorflow", "MB resident"])
    alone = [seconds for seconds, _ in seen["import tensorflow"]]
    ratios = {name: [s / b for (s, _), b in zip(found, alone, strict=True)] for name, found in seen.items()}
    for name, found in seen.items():
        table.add(name, [s for s, _ in found], ratios[name], [mb for _, mb in found])
    held = [
        at_most("small model, started again / import tensorflow", ratios["small model, started again"], _WITHOUT),
        at_most("model for TensorFlow / import tensorflow", ratios["model for TensorFlow alone"], _WITH),
    ]
    return conclude("cold_start", table, held, chosen)


if __name__ == "__main__":
    if len(sys.argv) == 2 and not sys.argv[1].startswith("-"):
        export(Path(sys.argv[1]))
    else:
        sys.exit(main())
