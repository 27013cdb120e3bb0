"""Groups of bars as an SVG picture, written by hand: lengths for the eye, figures beside them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _GAP = 720, 250, 90, 40, 20, 14
_OURS, _OTHERS = "#1f6feb", "#9aa4b2"

Bar = tuple[str, float, bool]
"""Its name, its length, and whether it stands out."""


def bar_plot(groups: Sequence[tuple[str, Sequence[Bar]]], title: str) -> str:
    """A heading and bars a group; lengths are in proportion within their group."""
    parts: list[str] = []
    at = float(_TOP)
    for heading, bars in groups:
        at += _GAP
        parts.append(f'<text x="8" y="{at:.0f}" font-weight="bold">{escape(heading)}</text>')
        longest = max((length for _, length, _ in bars), default=1.0) or 1.0
        for name, length, ours in bars:
            at += _ROW
            wide = (_WIDTH - _LEFT - _RIGHT) * length / longest
            parts += [
                f'<text x="{_LEFT - 8}" y="{at:.0f}" text-anchor="end">{escape(name)}</text>',
                f'<rect x="{_LEFT}" y="{at - 12:.0f}" width="{max(wide, 1):.1f}" height="14" '
                f'fill="{_OURS if ours else _OTHERS}"/>',
                f'<text x="{_LEFT + max(wide, 1) + 6:.1f}" y="{at:.0f}">{_figure(length)}</text>',
            ]
        at += _ROW
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {at + 10:.0f}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{_WIDTH}" height="{at + 10:.0f}" fill="white"/>',
        f'<text x="8" y="24" font-size="14">{escape(title)}</text>',
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"


def _figure(length: float) -> str:
    return f"{length:,.0f}" if length >= 100 else f"{length:.3g}"
