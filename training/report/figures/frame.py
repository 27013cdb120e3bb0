"""The frame that charts with two axes share: light gridlines, marks, and what the axes are."""

from __future__ import annotations

from dataclasses import dataclass

from training.report.figures.drawing import line, text
from training.report.figures.scale import Scale, tick_texts

WIDTH, HEIGHT = 400.0, 270.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 26.0, 44.0
MARKS_ACROSS, MARKS_UP = 6, 6


@dataclass(frozen=True, slots=True)
class Frame:
    """Two scales and the names of what they measure, units included."""

    x: Scale
    y: Scale
    x_name: str
    y_name: str

    def drawn(self) -> str:
        """Grid, marks and names; what is charted comes after it."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        parts = []
        ticks = self.y.ticks(MARKS_UP)
        for tick, words in zip(ticks, tick_texts(ticks), strict=True):
            y = self.y.at(tick)
            parts.append(line(left, y, right, y, "grid") + text(words, left - 6, y + 4, anchor="end", css="mark"))
        ticks = self.x.ticks(MARKS_ACROSS)
        for tick, words in zip(ticks, tick_texts(ticks), strict=True):
            x = self.x.at(tick)
            parts.append(
                line(x, bottom, x, bottom + 4, "axis") + text(words, x, bottom + 17, anchor="middle", css="mark")
            )
        parts.append(line(left, bottom, right, bottom, "axis"))
        parts.append(text(self.x_name, (left + right) / 2, bottom + 36, anchor="middle", css="name"))
        parts.append(text(self.y_name, 4, top - 11, css="name"))
        return "".join(parts)


def across(right: float = RIGHT) -> tuple[float, float]:
    """Where the horizontal axis begins and ends; ``right`` is the room kept for labels beside the lines."""
    return LEFT, WIDTH - right


def upwards() -> tuple[float, float]:
    """Where the vertical axis begins, at the bottom, and ends."""
    return HEIGHT - BOTTOM, TOP
