"""Values with their intervals, one row an arm: the chart that says who is better and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.report.figures.drawing import dot, line, picture, shortened, text
from training.report.figures.scale import Scale, around, tick_texts

WIDTH = 400.0
ROW, TOP, BOTTOM = 38.0, 6.0, 40.0
EDGE = 14.0
VALUE_ROOM = 150.0


@dataclass(frozen=True, slots=True)
class Range:
    """One row: a value, its interval if there is one, and the words for both."""

    name: str
    value: float
    low: float | None
    high: float | None
    words: str
    main: bool = False


def ranges(
    title: str, rows: Sequence[Range], axis: str, *, zero: bool = False, bounds: tuple[float, float] | None = None
) -> str:
    """Dots with whiskers on one axis.

    Args:
        zero: whether a line marks zero, as for differences.
        bounds: what values cannot leave: 0 and 1 for shares.
    """
    bottom = TOP + ROW * len(rows)
    numbers = [n for row in rows for n in (row.value, row.low, row.high) if n is not None]
    x = around([*numbers, 0.0] if zero else numbers, EDGE, WIDTH - EDGE)
    if bounds is not None:
        x = Scale(max(x.low, bounds[0]), min(x.high, bounds[1]), x.start, x.end)
    ticks = x.ticks(6)
    parts = []
    for tick, words in zip(ticks, tick_texts(ticks), strict=True):
        place = x.at(tick)
        parts.append(line(place, TOP, place, bottom, "grid"))
        parts.append(text(words, place, bottom + 15, anchor="middle", css="mark"))
    if zero:
        parts.append(line(x.at(0.0), TOP, x.at(0.0), bottom, "axis"))
    for place, row in enumerate(rows):
        y = TOP + place * ROW
        colour = "0" if row.main else "5"
        parts.append(
            text(
                shortened(row.name, WIDTH - VALUE_ROOM - 8),
                0,
                y + 13,
                css="halo strong" if row.main else "halo",
                tip=row.name,
            )
        )
        parts.append(text(row.words, WIDTH, y + 13, anchor="end", css="halo mark"))
        middle = y + 25
        if row.low is not None and row.high is not None:
            parts.append(line(x.at(row.low), middle, x.at(row.high), middle, f"whisker s{colour}"))
        parts.append(dot(x.at(row.value), middle, 5 if row.main else 4, f"fill{colour}", f"{row.name}: {row.words}"))
    parts.append(text(axis, WIDTH / 2, bottom + 34, anchor="middle", css="name"))
    said = "; ".join(f"{row.name} {row.words}" for row in rows)
    return picture(WIDTH, bottom + BOTTOM, title, said, *parts, css="panel broad")
