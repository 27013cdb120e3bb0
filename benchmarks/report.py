"""Fill the figures of ``docs/performance.md`` and its plots in, from what benchmarks wrote with ``--json``.

    benchmarks/report.py --run            measure everything, one after the other, then fill in
    benchmarks/report.py --run mnv peers  measure these, then fill in
    benchmarks/report.py                  fill in from what was measured before

Nothing in the generated parts, which stand between ``<!-- figures NAME -->`` and ``<!-- end -->``, is typed by hand;
what has not been measured says so.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.bar_plot import bar_plot
from shared.capacity import Costs
from shared.line_plot import line_plot
from shared.results import Table

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE, PLOTS = HERE.parent / "docs" / "performance.md", HERE.parent / "docs" / "plots"
NAMES = (
    "mnv", "doors", "many_heads", "swap_under_load", "tune_500", "training_beside", "cold_start",
    "peers", "overload", "scaling", "engine_ceilings", "memory",
)  # fmt: skip
CORES, REPLICAS = (2, 16, 64), (1, 4, 16)
KEPT_MS = 0.02
"""Less than this of processor time a request cannot be told from nothing."""

Result = Mapping[str, Any]


def measure(names: Sequence[str]) -> None:
    """Run benchmarks, each writing what it found; one whose bar is not met has found something too."""
    for name in names:
        print(f"== {name}", flush=True)
        command = [sys.executable, str(HERE / f"{name}.py"), "--json", str(RESULTS / f"{name}.json")]
        if subprocess.run(command).returncode not in (0, 1):
            print(f"{name} broke; what was measured before stays", file=sys.stderr)


def numbers(found: Mapping[str, Result]) -> str:
    """Every figure that has a bar."""
    lines = ["| what | bar | figure | rounds from, to | | command |", "|---|---|---|---|---|---|"]
    for name in NAMES:
        command = f"`benchmarks/{name}.py`"
        if name not in found:
            lines.append(f"| {name} | | not measured yet | | | {command} |")
            continue
        for held in found[name]["held"]:
            unit = "" if held["unit"] == "x" else " " + held["unit"]
            rounds = held["rounds"]
            spread = f"{min(rounds):.3g}, {max(rounds):.3g} ({len(rounds)})"
            verdict = "met" if held["met"] else "**not met**"
            bar = f"{held['side']} {held['bar']:g}{unit}"
            lines.append(f"| {held['what']} | {bar} | {held['median']:.3g}{unit} | {spread} | {verdict} | {command} |")
    return "\n".join(lines)


def tables(found: Mapping[str, Result]) -> str:
    """Every benchmark's whole table, and the machine it ran on."""
    parts = []
    for name in NAMES:
        if name not in found:
            continue
        one = found[name]
        table = Table(one["columns"], [tuple(row) for row in one["rows"]])
        quick = "; quick, so rough" if one["quick"] else ""
        parts.append(f"`{one['command']}`{quick}\n\n```\n{table.text()}\nmachine: {one['machine']}\n```")
    return "\n\n".join(parts) or "Nothing has been measured yet."


def costs(scaling: Result) -> dict[str, Costs]:
    """By model and door, from one worker's figures and what the second brought."""
    at = {name: place for place, name in enumerate(scaling["columns"])}
    rows = {(row[at["model"]], row[at["door"]], row[at["workers"]]): row for row in scaling["rows"]}
    made = {}
    for (model, door, workers), row in rows.items():
        if workers != 1:
            continue
        other = rows[model, door, 2]
        doubling = statistics.median(other[at["requests/s"]]) / statistics.median(row[at["requests/s"]])
        door_ms = max(KEPT_MS, statistics.median(row[at["door ms"]]))
        made[f"{model}, {door}"] = Costs(door_ms / 1e3, row[at["engine ms"]] / 1e3, doubling)
    return made


def capacity(found: Mapping[str, Result]) -> str:
    """The arithmetic for other machines."""
    if "scaling" not in found:
        return "Not reckoned yet: `benchmarks/scaling.py` measures its inputs."
    head = ["request", "door ms", "engine ms", "2 workers / 1"]
    head += [f"{cores} cores: workers, requests/s" for cores in CORES]
    head += [f"{number} replicas of 16 cores, requests/s" for number in REPLICAS[1:]]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, one in costs(found["scaling"]).items():
        cells = [name, f"{one.door * 1e3:.3g}", f"{one.engine * 1e3:.3g}", f"{one.doubling:.2f}"]
        cells += [f"{one.workers(cores)}, {one.per_second(cores):,.0f}" for cores in CORES]
        cells += [f"{number * one.per_second(16):,.0f}" for number in REPLICAS[1:]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rest(found: Mapping[str, Result]) -> str:
    """Where a request's processor time goes."""
    if "scaling" not in found:
        return "Not measured yet: `benchmarks/scaling.py`."
    lines = []
    for name, one in costs(found["scaling"]).items():
        share = one.engine / (one.door + one.engine)
        lines.append(
            f"* {name}: {1e3 * (one.door + one.engine):.3g} ms of processor time a request, {share:.0%} of it in the "
            f"engine and {1 - share:.0%} at the door (socket, parsing, queue, answer)."
        )
    return "\n".join(lines)


def plots(found: Mapping[str, Result]) -> None:
    """Draw what was measured."""
    made: dict[str, str] = {}
    if "peers" in found:
        made["peers"] = _peers(found["peers"])
    if "mnv" in found:
        bars = [(row[0], statistics.median(row[1]), row[0].startswith("graft")) for row in found["mnv"]["rows"]]
        made["mnv"] = bar_plot([("rows a second", bars)], "MobileNetV2 224 x 224 on the CPU, 16 clients")
    if "memory" in found:
        series = found["memory"]["series"]
        bars = [(f"{number} models", mb, True) for number, mb in zip(series["models"], series["mb"], strict=True)]
        made["memory"] = bar_plot([("MB", bars)], "Memory of a service with so many different MobileNetV2")
    if "scaling" in found:
        groups = [
            (name, [(f"{cores} cores", one.per_second(cores), True) for cores in CORES])
            for name, one in costs(found["scaling"]).items()
        ]
        made["scaling"] = bar_plot(groups, "Requests a second, reckoned from costs measured on 2 cores")
    for name, one in found.items():
        for what, values in one["series"].items():
            if what.startswith("line: ") and len(values) > 1:
                made[f"{name}_{len(made)}"] = line_plot(values, what.removeprefix("line: "), "", "")
    PLOTS.mkdir(parents=True, exist_ok=True)
    for name, picture in made.items():
        (PLOTS / f"performance_{name}.svg").write_text(picture)


def _peers(peers: Result) -> str:
    at = {name: place for place, name in enumerate(peers["columns"])}
    groups: dict[str, list[tuple[str, float, bool]]] = {}
    for row in peers["rows"]:
        model, server, way = row[at["model"]], row[at["server"]], row[at["way"]]
        kind = f"{model}, {'JSON' if way == 'json' else 'binary'}: requests a second"
        rate = statistics.median(row[at["requests/s"]])
        groups.setdefault(kind, []).append((f"{server} ({way})", rate, server.startswith("graft")))
    return bar_plot(list(groups.items()), "The same SavedModel behind several servers, 16 clients, 2 cores")


def fill(page: str, parts: Mapping[str, str]) -> str:
    """The page with its generated parts replaced. Raises: KeyError for a part that nobody makes."""

    def part(found: re.Match[str]) -> str:
        return f"<!-- figures {found[1]} -->\n{parts[found[1]]}\n<!-- end -->"

    return re.sub(r"<!-- figures (\w+) -->\n.*?<!-- end -->", part, page, flags=re.DOTALL)


def main() -> int:
    """Measure what is asked for, fill in and draw."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--run", nargs="*", metavar="NAME", help="measure these first, or all of them")
    options.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where the figures are")
    given = options.parse_args()
    if given.run is not None:
        if unknown := set(given.run) - set(NAMES):
            options.error(f"no benchmark is called {sorted(unknown)[0]}; there are {', '.join(NAMES)}")
        measure(given.run or NAMES)
    files = {name: given.results / f"{name}.json" for name in NAMES}
    found = {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}
    parts = {"numbers": numbers(found), "tables": tables(found), "capacity": capacity(found), "rest": rest(found)}
    PAGE.write_text(fill(PAGE.read_text(), parts))
    plots(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
