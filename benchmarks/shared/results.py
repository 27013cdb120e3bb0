"""What a benchmark found: a table, figures held against their bars, and the same as JSON for ``benchmarks/report.py``.

A benchmark takes its options from ``parser``, measures in several rounds, and ends with ``conclude``::

    options = parser(__doc__).parse_args()
    ...
    sys.exit(conclude("doors", table, [at_least("REST / echo", ratios, 0.6)], options))
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from shared.machine import machine


def parser(description: str | None) -> argparse.ArgumentParser:
    """Options that every benchmark has."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_argument("--quick", action="store_true", help="within a minute; the figures are rougher")
    options.add_argument("--json", type=Path, metavar="FILE", help="write what was found there as well")
    return options


@dataclass(frozen=True)
class Held:
    """One figure of several rounds held against its bar."""

    what: str
    rounds: tuple[float, ...]
    bar: float
    side: Literal["at least", "at most"]
    unit: str = "x"

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.rounds)

    @property
    def met(self) -> bool:
        """Whether it is on the right side of the bar."""
        return self.median >= self.bar if self.side == "at least" else self.median <= self.bar

    def sentence(self) -> str:
        """For people."""
        low, high = min(self.rounds), max(self.rounds)
        spread = f" ({low:.3g} to {high:.3g} in {len(self.rounds)} rounds)" if len(self.rounds) > 1 else ""
        unit = self.unit if self.unit == "x" else f" {self.unit}"
        verdict = "met" if self.met else "NOT MET"
        return f"{verdict}: {self.what} {self.median:.3g}{unit}{spread}, {self.side} {self.bar:g}"


def at_least(what: str, rounds: Sequence[float], bar: float, unit: str = "x") -> Held:
    """A figure that must not be smaller than the bar."""
    return Held(what, tuple(map(float, rounds)), bar, "at least", unit)


def at_most(what: str, rounds: Sequence[float], bar: float, unit: str = "x") -> Held:
    """A figure that must not be greater than the bar."""
    return Held(what, tuple(map(float, rounds)), bar, "at most", unit)


@dataclass
class Table:
    """Rows under column names, in the order they were measured. A cell is text, a number, or the rounds of a number."""

    columns: Sequence[str]
    rows: list[Sequence[Any]] = field(default_factory=list)

    def add(self, *cells: Any) -> None:
        """One more row."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append(cells)

    def text(self) -> str:
        """The rows under their names, words to the left and numbers to the right."""
        shown = [list(self.columns), *([_shown(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[at]) for row in shown) for at in range(len(self.columns))]
        words = [all(isinstance(row[at], str) for row in self.rows) for at in range(len(self.columns))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if word else cell.rjust(width)
                for cell, width, word in zip(row, widths, words, strict=True)
            ).rstrip()
            for row in shown
        )


def _shown(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Sequence):
        return _rounds(cell)
    return "-" if cell is None else _number(cell)


def _rounds(figures: Sequence[float]) -> str:
    """The median, and from where to where the rounds went."""
    if not figures:
        return "-"
    median = _number(statistics.median(figures))
    return median if len(figures) == 1 else f"{median} ({_number(min(figures))}..{_number(max(figures))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"


def conclude(
    name: str,
    table: Table,
    held: Sequence[Held],
    options: argparse.Namespace,
    series: Mapping[str, Any] | None = None,
) -> int:
    """Print it all, write it where ``--json`` says, and return the exit status: 0 when every bar is met.

    ``series`` holds further numbers that plots and the scaling model are made from; it is written and not printed.
    """
    print(table.text())
    for one in held:
        print(one.sentence())
    print(f"machine: {machine()}")
    if options.json:
        found = {
            "benchmark": name,
            "command": " ".join(["benchmarks/" + Path(sys.argv[0]).name, *sys.argv[1:]]),
            "machine": machine(),
            "quick": options.quick,
            "columns": list(table.columns),
            "rows": [list(row) for row in table.rows],
            "held": [{**asdict(one), "median": one.median, "met": one.met} for one in held],
            "series": dict(series or {}),
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(one.met for one in held) else 1
