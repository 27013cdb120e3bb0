"""The page's pieces of HTML: sections, tables, figures. Everything that comes from data is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from training.report.figures.drawing import escaped

LONG_TABLE = 14
PASSED, FAILED = "✓ passed", "✗ not passed"
"""Rows beyond this are folded away."""
TONES = {PASSED: "good", FAILED: "bad"}
"""Words of a table that stand out."""


def section(title: str, *inner: str, note: str = "") -> str:
    """A part of the page under its heading; nothing when it is empty."""
    body = "".join(inner)
    if not body:
        return ""
    said = f"<p class='soft'>{escaped(note)}</p>" if note else ""
    return f"<section><h2>{escaped(title)}</h2>{said}{body}</section>"


def paragraph(words: str, css: str = "") -> str:
    """A paragraph of plain text."""
    return f"<p{_class(css)}>{escaped(words)}</p>" if words else ""


def bullets(lines: Iterable[str]) -> str:
    """A list; nothing when it is empty."""
    items = "".join(f"<li>{escaped(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def panels(*figures: str) -> str:
    """Figures beside each other where there is room."""
    drawn = "".join(figure for figure in figures if figure)
    return f"<div class='panels'>{drawn}</div>" if drawn else ""


def figure(title: str, drawing: str, note: str = "") -> str:
    """A figure under its name."""
    small = f"<small>{escaped(note)}</small>" if note else ""
    return f"<figure><figcaption>{escaped(title)}{small}</figcaption>{drawing}</figure>" if drawing else ""


def folded(summary: str, inner: str, *, opened: bool = False) -> str:
    """What is shown when it is asked for."""
    if not inner:
        return ""
    return f"<details{' open' if opened else ''}><summary>{escaped(summary)}</summary>{inner}</details>"


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Iterable[int] = (),
    main: Iterable[int] = (),
) -> str:
    """A table that scrolls by itself where it is too wide.

    Args:
        numbers: columns that are set to the right.
        main: rows that stand out.
    """
    if not rows:
        return ""
    right, strong = frozenset(numbers), frozenset(main)

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{_class(TONES.get(cell, 'n' if at in right else ''))}><bdi>{escaped(cell)}</bdi></{tag}>"
            for at, cell in enumerate(row)
        )

    body = "".join(f"<tr{' class=main' if at in strong else ''}>{cells(row, 'td')}</tr>" for at, row in enumerate(rows))
    return f"<div class='wide'><table><thead><tr>{cells(header, 'th')}</tr></thead><tbody>{body}</tbody></table></div>"


def long_table(header: Sequence[str], rows: Sequence[Sequence[str]], what: str, *, numbers: Iterable[int] = ()) -> str:
    """A table, folded away when it is long; ``what`` its rows are."""
    whole = table(header, rows, numbers=numbers)
    return whole if len(rows) <= LONG_TABLE else folded(f"all {len(rows)} {what}", whole)


def definitions(entries: Mapping[str, str]) -> str:
    """Terms and what they are; those without are left out."""
    said = "".join(
        f"<dt>{escaped(term)}</dt><dd><bdi>{escaped(words)}</bdi></dd>" for term, words in entries.items() if words
    )
    return f"<dl>{said}</dl>" if said else ""


def tiles(entries: Iterable[tuple[str, str]]) -> str:
    """A few figures that are seen at once: each its value, and what it is."""
    said = "".join(
        f"<div class='tile'><b>{escaped(value)}</b><span>{escaped(what)}</span></div>" for value, what in entries
    )
    return f"<div class='tiles'>{said}</div>" if said else ""


def _class(css: str) -> str:
    return f" class='{css}'" if css else ""
