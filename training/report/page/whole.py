"""The whole page, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from training.report.figures.drawing import escaped
from training.report.page.answer import answer, gate
from training.report.page.classes import classes, confusions
from training.report.page.compared import compared, repeated
from training.report.page.confidence import confidence
from training.report.page.data import data
from training.report.page.learning import layers, learning, tried
from training.report.page.numbers import numbers
from training.report.page.origin import card, cost, origin
from training.report.page.palette import STYLE

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What the browser may do for this page: nothing but show what is in it."""
SECTIONS: tuple[Callable[[Mapping[str, Any]], str], ...] = (
    answer,
    compared,
    repeated,
    gate,
    classes,
    confusions,
    numbers,
    confidence,
    learning,
    layers,
    tried,
    data,
    cost,
    card,
    origin,
)


def page(report: Mapping[str, Any], written: Mapping[str, Any] | None = None) -> str:
    """The page of a report and, once written, its model card; a section whose data is missing is missing too."""
    if written is not None:
        report = {**report, "card": written}
    head = (
        f"<meta charset='utf-8'><meta http-equiv='Content-Security-Policy' content=\"{POLICY}\">"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{escaped(report['model'])}: {escaped(report['verdict'])}</title><style>{STYLE}</style>"
    )
    body = "\n".join(part for part in (section(report) for section in SECTIONS) if part)
    return f"<!doctype html>\n<html lang='en'><head>{head}</head><body><main>{body}</main></body></html>\n"
