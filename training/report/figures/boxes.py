"""Box plots with every point: how a figure spreads over repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.report.figures.drawing import box, dot, line, picture, shortened, text
from training.report.figures.scale import Scale, around, tick_texts

WHISKER = 1.5
WHISKER_RULE = (
    "The box holds the middle half, its line is the median, and whiskers reach the last point within 1.5 boxes."
)
WIDTH, ROW, TOP, BOTTOM, LEFT = 400.0, 46.0, 8.0, 40.0, 12.0


@dataclass(frozen=True, slots=True)
class Box:
    """Quartiles, and how far the whiskers reach; points beyond them are outliers."""

    first: float
    median: float
    third: float
    low: float
    high: float


def box_of(values: Sequence[float]) -> Box:
    """Tukey's box: whiskers reach the last values within 1.5 times the height of the box."""
    first, median, third = (float(q) for q in np.quantile(np.asarray(values, dtype=np.float64), [0.25, 0.5, 0.75]))
    reach = WHISKER * (third - first)
    inside = [value for value in values if first - reach <= value <= third + reach]
    return Box(first, median, third, float(min(inside)), float(max(inside)))


def boxes(title: str, groups: Mapping[str, Sequence[float]], axis: str) -> str:
    """One row a group: its box, and its points beside it in the order they came."""
    groups = {name: values for name, values in groups.items() if values}
    bottom = TOP + ROW * len(groups)
    x = around([value for values in groups.values() for value in values], LEFT, WIDTH - LEFT)
    ticks = x.ticks(6)
    parts = []
    for tick, words in zip(ticks, tick_texts(ticks), strict=True):
        parts.append(line(x.at(tick), TOP, x.at(tick), bottom, "grid"))
        parts.append(text(words, x.at(tick), bottom + 15, anchor="middle", css="mark"))
    said = []
    for place, (name, values) in enumerate(groups.items()):
        y, colour = TOP + place * ROW, place % 5
        drawn = box_of(values)
        words = f"median {drawn.median:.3g}, {len(values)} runs"
        parts.append(text(shortened(name, 220), 0, y + 11, css=f"halo ink{colour}", tip=name))
        parts.append(text(words, WIDTH, y + 11, anchor="end", css="halo mark"))
        parts.append(line(x.at(drawn.low), y + 24, x.at(drawn.high), y + 24, f"line s{colour}"))
        parts.append(box(x.at(drawn.first), y + 17, x.at(drawn.third) - x.at(drawn.first), 14, f"box s{colour}"))
        parts.append(line(x.at(drawn.median), y + 17, x.at(drawn.median), y + 31, f"whisker s{colour}"))
        parts += [_point(x, value, y + 37 + 3 * (n % 3 - 1), colour, name) for n, value in enumerate(values)]
        said.append(f"{name}: {words}")
    parts.append(text(axis, WIDTH / 2, bottom + 34, anchor="middle", css="name"))
    return picture(WIDTH, bottom + BOTTOM, title, "; ".join(said), *parts, css="panel broad")


def _point(x: Scale, value: float, y: float, colour: int, name: str) -> str:
    return dot(x.at(value), y, 2.2, f"point fill{colour}", f"{name}: {value:.4g}")
