"""The reliability diagram: how often answers of a given confidence are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.report.figures.drawing import box, dot, line, picture
from training.report.figures.frame import HEIGHT, WIDTH, Frame, across, upwards
from training.report.figures.scale import Scale

LARGEST, SMALLEST = 7.0, 2.5
STRIP = 34.0
"""Height of the strip below the top in which items are counted."""


def reliability(title: str, bins: Sequence[Mapping[str, Any]]) -> str:
    """Dots on the diagonal are honest, dots below it too sure; whiskers are 95 % intervals.

    Args:
        bins: each with ``confidence`` and ``accuracy`` (means), ``items``, and ``low`` and ``high`` of the accuracy.
    """
    start, end = across()
    bottom, top = upwards()
    x, y = Scale(0, 1, start, end), Scale(0, 1, bottom, top)
    parts = [Frame(x, y, "confidence of the answer", "share that is right").drawn()]
    parts.append(line(x.at(0), y.at(0), x.at(1), y.at(1), "line dashed s5"))
    filled = [entry for entry in bins if entry["items"]]
    most = max((entry["items"] for entry in filled), default=1)
    for entry in filled:
        at, right = x.at(entry["confidence"]), y.at(entry["accuracy"])
        tip = f"{entry['items']} items, mean confidence {entry['confidence']:.2f}, right {entry['accuracy']:.2f}"
        height = STRIP * entry["items"] / most
        parts.append(box(at - 4, bottom - height, 8, height, "backdrop", tip))
        parts.append(line(at, y.at(entry["low"]), at, y.at(entry["high"]), "line s0"))
        parts.append(dot(at, right, SMALLEST + (LARGEST - SMALLEST) * entry["items"] / most, "fill0", tip))
    said = "; ".join(f"at {entry['confidence']:.2f} right {entry['accuracy']:.2f}" for entry in filled)
    return picture(WIDTH, HEIGHT, title, said or "no items", *parts)
