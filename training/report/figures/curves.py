"""Lines over steps: how losses, scores and rates went while something was trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training.report.figures.drawing import apart, dot, picture, polyline, shortened, text, width_of
from training.report.figures.frame import HEIGHT, WIDTH, Frame, across, upwards
from training.report.figures.scale import Scale, around

MOST_POINTS = 300
LABEL_GAP = 14.0
MOST_LABEL_ROOM = 110.0
SERIES = 6
"""Colours there are."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: its name and its points (step, value); ``dashed`` for what is compared with."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    dashed: bool = False


def curves(
    title: str,
    lines: Sequence[Curve],
    x_name: str,
    y_name: str,
    *,
    log: bool = False,
    floor: float | None = None,
    best: tuple[float, float] | None = None,
) -> str:
    """A chart of lines, each named at its end.

    Args:
        floor: a value the vertical axis begins at, where beginning elsewhere would mislead.
        best: a point to be marked: the state that was kept.
    """
    kept = [(curve, thinned(curve.points)) for curve in lines]
    kept = [(curve, points) for curve, points in kept if points]
    names = [shortened(curve.name, MOST_LABEL_ROOM) for curve, _ in kept]
    start, end = across(18 + max((width_of(name) for name in names), default=0.0))
    bottom, top = upwards()
    steps = [step for _, points in kept for step, _ in points]
    x = Scale(min([0.0, *steps]), max(steps, default=1.0), start, end)
    y = around([value for _, points in kept for _, value in points], bottom, top, log=log)
    values = [value for _, points in kept for _, value in points]
    if values and not log and min(values) >= 0 and max(values) <= 1 < y.high:
        # Shares end at one, and so does their axis.
        y = Scale(y.low, 1.0, bottom, top)
    if floor is not None and not log:
        y = Scale(min(floor, y.low), y.high, bottom, top)
    parts = [Frame(x, y, x_name, y_name).drawn()]
    heights = apart([y.at(points[-1][1]) for _, points in kept], LABEL_GAP, top, bottom)
    for (curve, points), name, height in zip(kept, names, heights, strict=True):
        css = f"line s{curve.colour % SERIES}{' dashed' if curve.dashed else ''}"
        placed = [(x.at(step), y.at(value)) for step, value in points]
        parts.append(polyline(placed, css) if len(placed) > 1 else dot(*placed[0], 3, f"fill{curve.colour % SERIES}"))
        parts.append(text(name, placed[-1][0] + 6, height + 4, css=f"ink{curve.colour % SERIES}", tip=curve.name))
    if best is not None and math.isfinite(best[1]):
        tip = f"kept: step {best[0]:g}, {best[1]:.4g}"
        parts.append(dot(x.at(best[0]), y.at(best[1]), 4.5, "ring", tip))
    return picture(WIDTH, HEIGHT, title, _described(kept, y_name), *parts)


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most ``MOST_POINTS`` of the finite points, the first and the last among them."""
    finite = [(float(step), float(value)) for step, value in points if math.isfinite(step) and math.isfinite(value)]
    if len(finite) <= MOST_POINTS:
        return finite
    every = (len(finite) - 1) / (MOST_POINTS - 1)
    return [finite[round(place * every)] for place in range(MOST_POINTS)]


def _described(kept: Sequence[tuple[Curve, list[tuple[float, float]]]], y_name: str) -> str:
    said = (f"{curve.name} goes from {points[0][1]:.3g} to {points[-1][1]:.3g}" for curve, points in kept)
    return f"{y_name}: {'; '.join(said)}"
