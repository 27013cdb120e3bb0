"""Figures as words: as many digits as they carry, and one way of writing intervals, times and sizes."""

from __future__ import annotations

import math

MINUS = "−"


def figure(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits; very large and very small ones as powers of ten."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 6 or size < -4:
        return f"{value:.{digits - 1}e}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-").replace("-", MINUS)
    return f"{value:,.{max(0, digits - 1 - size)}f}".replace(",", " ").replace("-", MINUS)


def share(value: float | None) -> str:
    """A share of one, to a thousandth."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}".replace("-", MINUS)


def signed(words: str) -> str:
    """Words for a difference: with its sign."""
    return words if words.startswith((MINUS, "–")) else f"+{words}"


def whole(value: float | None) -> str:
    """A count, its thousands apart."""
    return "–" if value is None else f"{round(value):,}".replace(",", " ")


def seconds(value: float | None) -> str:
    """A time as people say it."""
    if value is None or not math.isfinite(value):
        return "–"
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    if value < 9.95:
        return f"{value:.1f} s"
    if value < 99.5:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def megabytes(value: float | None) -> str:
    """Memory, given in MB."""
    if value is None:
        return "–"
    return f"{value / 1024:.1f} GB" if value >= 1024 else f"{value:.0f} MB"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{whole(count)} {one if count == 1 else many or one + 's'}"
