"""One line over its numbers as an SVG picture, written by hand: no plotting library for one line."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 40, 50
_TICKS = 5


def line_plot(values: Sequence[float], title: str, x_name: str, y_name: str) -> str:
    """The values against 1, 2, 3...; the upright axis begins at nought."""
    top = max(values) * 1.1
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return _LEFT + wide * x / len(values), _TOP + high * (1 - y / top)

    points = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in enumerate(values, start=1))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="24" font-size="14">{escape(title)}</text>',
    ]
    for tick in range(_TICKS + 1):
        x, y = len(values) * tick / _TICKS, top * tick / _TICKS
        (left, level), (across, bottom) = at(0, y), at(x, 0)
        parts += [
            f'<line x1="{left}" y1="{level:.1f}" x2="{_WIDTH - _RIGHT}" y2="{level:.1f}" stroke="#ddd"/>',
            f'<text x="{left - 6}" y="{level + 4:.1f}" text-anchor="end">{y:.0f}</text>',
            f'<text x="{across:.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{x:.0f}</text>',
        ]
    parts += [
        f'<text x="{_LEFT + wide / 2}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(x_name)}</text>',
        f'<text transform="translate(16 {_TOP + high / 2}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>',
        f'<polyline points="{points}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
