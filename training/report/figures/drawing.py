"""SVG as text: elements with everything escaped, and how much room a word takes."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from html import escape

TEXT_SIZE = 12
AVERAGE_WIDTH = 0.6
"""Of a letter, in sizes of the type; letters as wide as they are high count as one."""
ELLIPSIS = "…"


def clean(text: object) -> str:
    """Any text as a page may hold it: control characters, and halves of characters, become a question mark."""
    return "".join("�" if unicodedata.category(letter) in {"Cc", "Cs"} else letter for letter in str(text))


def escaped(text: object) -> str:
    """Any text as markup that shows it and means nothing else."""
    return escape(clean(text), quote=True)


def element(name: str, *inner: str, **attributes: object) -> str:
    """One element. ``inner`` is markup; attributes are text, their underscores hyphens, and None is left out."""
    said = "".join(
        f' {key.strip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{said}>{''.join(inner)}</{name}>" if inner else f"<{name}{said}/>"


def text(words: object, x: float, y: float, *, anchor: str = "start", css: str | None = None, tip: str = "") -> str:
    """Words at a place; ``tip`` is shown to whoever points at them."""
    tooltip = element("title", escaped(tip)) if tip else ""
    return element("text", tooltip, escaped(words), x=x, y=y, text_anchor=anchor, class_=css)


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=css)


def polyline(points: Sequence[tuple[float, float]], css: str) -> str:
    """A line through points."""
    return element("polyline", points=" ".join(f"{_number(x)},{_number(y)}" for x, y in points), class_=css)


def dot(x: float, y: float, radius: float, css: str, tip: str = "") -> str:
    """A filled circle."""
    inner = (element("title", escaped(tip)),) if tip else ()
    return element("circle", *inner, cx=x, cy=y, r=radius, class_=css)


def box(x: float, y: float, width: float, height: float, css: str, tip: str = "", opacity: float | None = None) -> str:
    """A rectangle."""
    inner = (element("title", escaped(tip)),) if tip else ()
    size = {"width": max(width, 0.0), "height": max(height, 0.0)}
    return element("rect", *inner, x=x, y=y, **size, class_=css, fill_opacity=opacity)


def picture(width: float, height: float, title: str, description: str, *parts: str, css: str = "panel") -> str:
    """A whole figure with its name and, for those who cannot see it, what it shows."""
    named = element("title", escaped(title)) + element("desc", escaped(description))
    size = {"viewBox": f"0 0 {_number(width)} {_number(height)}", "width": _number(width), "height": _number(height)}
    said = {"role": "img", "class_": css, "aria_label": f"{title}. {description}"}
    return element("svg", named, *parts, **size, **said)


def width_of(words: str, size: float = TEXT_SIZE) -> float:
    """About how wide some words are in the page's type."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in words)
    unseen = sum(unicodedata.combining(letter) > 0 or unicodedata.category(letter) == "Cf" for letter in words)
    return size * (wide + AVERAGE_WIDTH * (len(words) - wide - unseen))


def shortened(words: object, room: float, size: float = TEXT_SIZE) -> str:
    """Words that fit into a room, cut where they do not."""
    whole = clean(words)
    if width_of(whole, size) <= room:
        return whole
    kept = whole
    while kept and width_of(kept + ELLIPSIS, size) > room:
        kept = kept[:-1]
    return kept.rstrip() + ELLIPSIS


def apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved as little as needed until neighbours are a gap apart, in the order given and within the ends."""
    order = sorted(range(len(places)), key=lambda item: places[item])
    moved = list(places)
    before = low - gap
    for item in order:
        moved[item] = before = max(moved[item], before + gap)
    after = high + gap
    for item in reversed(order):
        moved[item] = after = min(moved[item], after - gap)
    return moved


def _attribute(value: object) -> str:
    return _number(value) if isinstance(value, float) else escaped(value)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
