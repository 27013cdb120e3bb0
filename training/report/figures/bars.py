"""Plain bars: how long each phase took, how many items a class has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.report.figures.drawing import box, line, picture, shortened, text
from training.report.figures.scale import Scale

WIDTH, ROW, NAME_ROOM, VALUE_ROOM = 400.0, 22.0, 196.0, 76.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: its length, and the words for it."""

    name: str
    value: float
    words: str
    colour: int = 0


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Bars from zero, named on the left, their values in words on the right."""
    x = Scale(0.0, max((row.value for row in rows), default=1.0) or 1.0, NAME_ROOM, WIDTH - VALUE_ROOM)
    parts = []
    for place, row in enumerate(rows):
        y = place * ROW
        parts.append(text(shortened(row.name, NAME_ROOM - 8), NAME_ROOM - 8, y + 15, anchor="end", tip=row.name))
        parts.append(
            box(
                NAME_ROOM,
                y + 5,
                max(1.0, x.at(row.value) - NAME_ROOM),
                13,
                f"fill{row.colour}",
                f"{row.name}: {row.words}",
            )
        )
        parts.append(text(row.words, max(x.at(row.value), NAME_ROOM + 1) + 6, y + 15, css="mark"))
    bottom = ROW * len(rows)
    parts.append(line(NAME_ROOM, 0, NAME_ROOM, bottom, "axis"))
    said = "; ".join(f"{row.name} {row.words}" for row in rows)
    return picture(WIDTH, bottom + 4, title, said, *parts, css="panel broad")
