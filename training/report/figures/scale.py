"""From values to places on the paper, and the round values that an axis is marked with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

STEPS = (1.0, 2.0, 5.0, 10.0)
"""What a distance between two marks may begin with."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Values ``low``..``high`` lie at ``start``..``end`` on the paper; ``log`` counts powers of ten."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value; what lies outside is put on the nearer end."""
        low, high, value = (self._inner(number) for number in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """At most this many round values within the scale."""
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            every = max(1, math.ceil((last - first + 1) / most))
            return [10.0**power for power in range(first, last + 1, every)]
        step = round_step((self.high - self.low) / max(most - 1, 1))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [place * step for place in range(first, last + 1)][:most]

    def _inner(self, value: float) -> float:
        return math.log10(max(value, 1e-300)) if self.log else value


def round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    return next(step * power for step in STEPS if step * power >= least * (1 - 1e-9))


def around(values: Iterable[float], start: float, end: float, *, room: float = 0.06, log: bool = False) -> Scale:
    """A scale that holds all finite values and a little room on both sides; 0..1 where there are none."""
    finite = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    if not finite:
        return Scale(0.1 if log else 0.0, 1.0, start, end, log)
    low, high = min(finite), max(finite)
    if log:
        grown = (high / low) ** room if high > low else 3.0
        return Scale(low / grown, high * grown, start, end, log=True)
    margin = (high - low) * room or abs(high) * 0.1 or 0.5
    return Scale(low - margin, high + margin, start, end)


def tick_texts(ticks: list[float]) -> list[str]:
    """The marks as text, all with as many decimals as the finest of them needs."""
    if not ticks:
        return []
    largest = max(abs(tick) for tick in ticks)
    step = min((b - a for a, b in pairwise(ticks)), default=largest or 1.0)
    if largest >= 1e5 or 0 < largest < 1e-3 or step < 1e-4:
        return [_power_of_ten(tick) for tick in ticks]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{tick + 0.0:,.{decimals}f}".replace("-", "−").replace(",", " ") for tick in ticks]


def _power_of_ten(value: float) -> str:
    text = f"{value:.1e}".replace(".0e", "e").replace("e+0", "e").replace("e-0", "e−").replace("e-", "e−")
    return "0" if value == 0 else text.replace("e+", "e")
