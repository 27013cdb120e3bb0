"""The confusion matrix as a heat map: rows are true classes, columns answers, shades the share of the row."""

from __future__ import annotations

from collections.abc import Sequence

from training.report.figures.drawing import box, clean, element, picture, shortened, text, width_of

MOST_CLASSES = 50
LEVELS = (0.0, 0.06, 0.12, 0.20, 0.28, 0.36, 0.44, 0.92, 0.96, 1.0)
"""Opacities of a cell. Between 0.44 and 0.92 neither dark nor light figures could be read on it, so none lies there."""
DARK = 0.5
FEW, ROOMY, TIGHT = 6, 12, 30
"""Up to so many classes names are written out, and counts are written into the cells."""
MOST_NAME_ROOM = 130.0
AXIS_ROOM = 24.0


def level(share: float) -> float:
    """The opacity for a share 0..1; anything above nothing can be seen."""
    if share <= 0:
        return LEVELS[0]
    return LEVELS[min(len(LEVELS) - 1, max(1, round(share * (len(LEVELS) - 1))))]


def heat_map(title: str, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Right answers in one colour, wrong ones in another, so that errors stand out however few they are."""
    classes = len(labels)
    size, cell = _sizes(classes)
    room = min(MOST_NAME_ROOM, 10 + max(width_of(clean(label), size) for label in labels))
    left, turned = room + AXIS_ROOM, any(width_of(clean(label), size) > cell - 2 for label in labels)
    top = AXIS_ROOM + (room if turned else 20.0)
    parts = [
        text("answer", left + classes * cell / 2, 13, anchor="middle", css="name"),
        element(
            "g",
            text("true class", 0, 0, anchor="middle", css="name"),
            transform=f"translate(12 {top + classes * cell / 2:.1f}) rotate(-90)",
        ),
    ]
    for place, label in enumerate(labels):
        middle = place * cell + cell / 2
        parts.append(_name(shortened(label, room - 6, size), left - 6, top + middle + size / 3, size, "end", label))
        x = left + middle
        if turned:
            named = _name(shortened(label, room - 6, size), 0, 0, size, "start", label)
            parts.append(element("g", named, transform=f"translate({x + size / 3:.1f} {top - 6:.1f}) rotate(-90)"))
        else:
            parts.append(_name(label, x, top - 6, size, "middle", label))
    for row, (label, line) in enumerate(zip(labels, counts, strict=True)):
        total = sum(line)
        for column, count in enumerate(line):
            parts.append(_cell(left + column * cell, top + row * cell, cell, size, count, total, label, labels[column]))
    right, items = sum(counts[n][n] for n in range(classes)), sum(map(sum, counts))
    said = f"{right} of {items} items lie on the diagonal. {classes} classes."
    return picture(left + classes * cell + 8, top + classes * cell + 8, title, said, *parts, css="natural")


def _cell(x: float, y: float, cell: float, size: int, count: int, total: int, true: str, answer: str) -> str:
    css, part = "right" if true == answer else "wrong", count / total if total else 0.0
    # Mistakes are few in most rows: the root keeps them from fading away.
    opacity = level(part if true == answer else part**0.5)
    tip = f"{true} answered as {answer}: {count} of {total}" if count else ""
    parts = [box(x + 0.5, y + 0.5, cell - 1, cell - 1, "empty")]
    if count:
        parts.append(box(x + 0.5, y + 0.5, cell - 1, cell - 1, css, tip, opacity))
    if count and cell > 20:
        shade = "on" if opacity > DARK else "off"
        parts.append(text(count, x + cell / 2, y + cell / 2 + size / 3, anchor="middle", css=f"t{size} {shade}"))
    return "".join(parts)


def _name(words: str, x: float, y: float, size: int, anchor: str, tip: str) -> str:
    return text(words, x, y, anchor=anchor, css=f"t{size}", tip=tip)


def _sizes(classes: int) -> tuple[int, float]:
    """Size of the type, and of a cell, for so many classes."""
    if classes <= FEW:
        return 12, 60.0
    if classes <= ROOMY:
        return 12, 42.0
    return (10, 24.0) if classes <= TIGHT else (8, 15.0)


def top_confusions(
    labels: Sequence[str], counts: Sequence[Sequence[int]], most: int
) -> list[tuple[str, str, int, int]]:
    """The most frequent mistakes: true class, answer, how often, of how many items of the class."""
    found = [
        (labels[row], labels[column], int(count), int(sum(line)))
        for row, line in enumerate(counts)
        for column, count in enumerate(line)
        if count and row != column
    ]
    return sorted(found, key=lambda mistake: (-mistake[2], -mistake[2] / mistake[3], mistake[0], mistake[1]))[:most]
