"""Clouds of points: what was predicted against what is true, and items in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.report.figures.drawing import box, dot, element, escaped, line, picture, shortened, text, width_of
from training.report.figures.frame import HEIGHT, WIDTH, Frame, across, upwards
from training.report.figures.scale import Scale, around

MOST_POINTS = 2_000
"""More than these are counted in cells instead."""
CELLS = 40
COLOURS = 6
SHAPES = ("circle", "square", "triangle")
"""With six colours, eighteen classes that can be told apart."""
MOST_GROUPS = COLOURS * len(SHAPES)


def against_truth(title: str, true: Sequence[float], predicted: Sequence[float], unit: str) -> str:
    """Predicted over true values, with the line on which both are equal."""
    start, end = across()
    bottom, top = upwards()
    both = [*true, *predicted]
    x, y = around(both, start, end), around(both, bottom, top)
    parts = [Frame(x, y, f"true {unit}", f"predicted {unit}").drawn()]
    parts.append(line(x.at(x.low), y.at(x.low), x.at(x.high), y.at(x.high), "line dashed s5"))
    parts.append(_cloud(x, y, true, predicted))
    return picture(WIDTH, HEIGHT, title, f"{len(true)} items; on the dashed line both are equal", *parts)


def residuals(title: str, true: Sequence[float], predicted: Sequence[float], unit: str) -> str:
    """How far off each prediction is, over what is predicted."""
    start, end = across()
    bottom, top = upwards()
    off = [answer - truth for truth, answer in zip(true, predicted, strict=True)]
    x, y = around(predicted, start, end), around([*off, 0.0], bottom, top)
    parts = [Frame(x, y, f"predicted {unit}", "predicted − true").drawn()]
    parts.append(line(x.start, y.at(0), x.end, y.at(0), "line dashed s5"))
    parts.append(_cloud(x, y, predicted, off))
    low, high = (min(off), max(off)) if off else (0.0, 0.0)
    return picture(WIDTH, HEIGHT, title, f"errors from {low:.3g} to {high:.3g}", *parts)


def groups(title: str, points: Sequence[tuple[float, float, int]], names: Sequence[str], axes: tuple[str, str]) -> str:
    """Items in two dimensions, each class in a colour and shape of its own, with a legend."""
    start, end = across()
    bottom, top = upwards()
    x = around([point[0] for point in points], start, end)
    y = around([point[1] for point in points], bottom, top)
    parts = [Frame(x, y, *axes).drawn()]
    for across_, up, group in points:
        parts.append(_sign(x.at(across_), y.at(up), group, names[group]))
    legend, height = _legend(names)
    said = f"{len(points)} items of {len(names)} classes"
    return picture(WIDTH, HEIGHT + height, title, said, *parts, legend)


def _cloud(x: Scale, y: Scale, xs: Sequence[float], ys: Sequence[float]) -> str:
    if len(xs) <= MOST_POINTS:
        return "".join(dot(x.at(a), y.at(b), 2.4, "point fill0") for a, b in zip(xs, ys, strict=True))
    sides = ((x.low, x.high), (y.low, y.high))
    counts, across_, up = np.histogram2d(xs, ys, bins=CELLS, range=sides)
    most, parts = counts.max(), []
    for column, row in zip(*np.nonzero(counts), strict=True):
        left, right = x.at(across_[column]), x.at(across_[column + 1])
        low, high = y.at(up[row]), y.at(up[row + 1])
        shade = 0.15 + 0.85 * float(counts[column, row] / most) ** 0.5
        tip = f"{counts[column, row]:.0f} items"
        parts.append(box(left, high, right - left, low - high, "fill0", tip, round(shade, 2)))
    return "".join(parts)


def _sign(x: float, y: float, group: int, name: str) -> str:
    css, tip = f"point fill{group % COLOURS}", element("title", escaped(name)) if name else ""
    match SHAPES[group // COLOURS % len(SHAPES)]:
        case "circle":
            return element("circle", tip, cx=x, cy=y, r=2.8, class_=css)
        case "square":
            return element("rect", tip, x=x - 2.5, y=y - 2.5, width=5, height=5, class_=css)
        case _:
            return element("path", tip, d=f"M{x:.1f} {y - 3.4:.1f}l3.4 6h-6.8z", class_=css)


def _legend(names: Sequence[str]) -> tuple[str, float]:
    parts, x, y = [], 10.0, HEIGHT + 14
    for group, name in enumerate(names):
        words = shortened(name, 120)
        room = 24 + width_of(words)
        if x + room > WIDTH and x > 10:
            x, y = 10.0, y + 18
        parts.append(_sign(x, y - 4, group, "") + text(words, x + 9, y, tip=name))
        x += room
    return "".join(parts), y - HEIGHT + 8
