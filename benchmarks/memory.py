"""What the service holds of the machine's memory: empty, with a model on either engine, and with more and more models.

Each line is a service of its own, restarted, so that no trial of engines is under way, and asked a few times, so that
what is made at the first request is there. Models in the last lines are different models to the service: they share no
graph. A model that is served twice from the same bytes, or by a thousand heads, is in memory once
(``benchmarks/many_heads.py``).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import httpx
from shared import messages, mobilenet, tiny
from shared.results import Table, conclude, parser
from shared.server_process import serving

ASKED = 50
NUMBERS, QUICK_NUMBERS = (1, 2, 4, 8), (1, 2)
_UNKNOWN_FIELD = b"\xc2\x3e\x02"
"""The beginning of a protobuf field that nobody reads, with two bytes in it: another graph's bytes, the same graph."""


def copies(place: Path, number: int) -> Path:
    """So many models in a repository that differ in their bytes, and in nothing else."""
    for at in range(number):
        version = place / f"mnv-{at:02}" / "1"
        shutil.copytree(mobilenet.mobilenet() / "1", version)
        with (version / "saved_model.pb").open("ab") as file:
            file.write(_UNKNOWN_FIELD + f"{at:02}".encode())
    return place


def memory_mb(place: Path, asked: dict[str, bytes], *flags: str) -> float:
    """Of a service with these flags, all its processes, after every model in ``asked`` has been asked."""
    settings = ("--warm-trainers", "0", "--engine-cache", str(place / "engines"), *flags)
    if not asked:
        with serving(place, *settings) as server:
            return server.family_mb()
    with serving(place, *settings) as server:
        server.wait_ready()
    with serving(place, *settings) as server, httpx.Client(base_url=server.rest, timeout=60) as http:
        server.wait_ready()
        for model, body in asked.items():
            for _ in range(ASKED):
                http.post(f"/v1/models/{model}:predict", content=body).raise_for_status()
        return server.family_mb()


def main() -> int:
    """Measure, print."""
    given = parser(__doc__).parse_args()
    numbers = QUICK_NUMBERS if given.quick else NUMBERS
    image, row = messages.rest(mobilenet.inputs(1)), messages.rest(tiny.inputs(1))
    table = Table(("service with", "MB", "MB a model"))
    found: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "none").mkdir()
        empty = memory_mb(place / "empty", {}, "--repository", str(place / "none"))
        table.add("no model", empty, None)
        for what, model, body, engine in (
            ("tiny", tiny.tiny(), row, "auto"),
            ("mnv, engine chosen", mobilenet.mobilenet(), image, "auto"),
            ("mnv, TensorFlow", mobilenet.mobilenet(), image, "tensorflow"),
        ):
            flags = ("--model-name", model.name, "--model-base-path", str(model), "--engine", engine)
            used = memory_mb(place / what.replace(", ", "-"), {model.name: body}, *flags)
            table.add(what, used, used - empty)
        for number in numbers:
            repository = copies(place / f"models-{number}", number)
            models = {model.name: image for model in sorted(repository.iterdir())}
            found[number] = memory_mb(place / f"server-{number}", models, "--repository", str(repository))
            table.add(f"{number} different mnv", found[number], (found[number] - empty) / number)
    return conclude("memory", table, [], given, {"models": list(found), "mb": list(found.values()), "empty_mb": empty})


if __name__ == "__main__":
    sys.exit(main())
