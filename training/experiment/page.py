"""An experiment's report as one HTML page that needs nothing else: verdict first, then figures, tables and pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from training.experiment.figures import WHISKERS
from training.experiment.results import title


def page(results: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The whole page; ``pictures`` are SVG texts."""
    from training.report.page.palette import STYLE

    first, *more = results["verdict"]
    parts = [
        f"<h1>{escape(results['name'])}: {escape(first)}</h1>",
        f"<p class='lead'>{escape(results['question'])}</p>",
        _list(more),
        "<h2>To be read with this in mind</h2>",
        _list(results["cautions"]),
    ]
    for study in results["studies"]:
        parts += [f"<h2>{escape(title(study, results['studies']))}</h2>", _table(study)]
        if len(results["studies"]) > 1:
            parts.append(_list(study["verdict"]))
    parts.append("<h2>Pictures</h2>")
    parts += [f"<figure class='wide'>{svg}</figure>" for svg in pictures.values()]
    parts.append(f"<p class='soft'>{escape(WHISKERS)}. Every score is in results.json.</p>")
    said = json.dumps(results["experiment"], indent=1, ensure_ascii=False)
    parts += [
        "<h2>How it was made</h2>",
        _list([_machine(results)]),
        f"<details><summary>The experiment, resolved</summary><pre>{escape(said)}</pre></details>",
    ]
    head = (
        "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{escape(results['name'])}</title><style>{STYLE}{OWN_STYLE}</style>"
    )
    body = "\n".join(part for part in parts if part)
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{body}</body></html>\n"


OWN_STYLE = (
    "figure{margin:1rem 0}figure svg{width:100%;height:auto;max-width:46rem}td.n,th.n{text-align:right}"
    "td:first-child{min-width:11rem}"
)
HEADINGS = (
    "arm",
    "mean (std)",
    "95 % interval",
    "median",
    "range",
    "at the start",
    "seconds",
    "steps",
    "trained",
    "steps to 95 %",
)


def rows(study: Mapping[str, Any]) -> list[list[str]]:
    """The table of a study: a row an arm, cells as texts under ``HEADINGS``."""
    found = []
    for name, arm in study["arms"].items():
        own = arm["summary"]
        between = "" if own["low"] is None else f"{own['low']:.3f} to {own['high']:.3f}"
        reach = arm.get("reach")
        found.append(
            [
                name,
                f"{own['mean']:.3f} ({own['std']:.3f})",
                between,
                f"{own['median']:.3f}",
                f"{own['least']:.3f} to {own['greatest']:.3f}",
                f"{arm['start_score']:.3f}" if "start_score" in arm else "",
                f"{arm['seconds']:.2f}",
                f"{arm['steps']:.0f}" if "steps" in arm else "",
                f"{arm['parameters']:.0f}" if "parameters" in arm else "",
                f"{reach['95']['step']:.0f}" if reach else "",
            ]
        )
    return found


def _table(study: Mapping[str, Any]) -> str:
    head = "".join(f"<th{' class=n' if place else ''}>{escape(text)}</th>" for place, text in enumerate(HEADINGS))
    lines = []
    for (name, *cells), arm in zip(rows(study), study["arms"].values(), strict=True):
        what = f"<br><span class='soft'>{escape(arm['text'])}</span>" if arm["text"] else ""
        values = "".join(f"<td class=n>{escape(cell)}</td>" for cell in cells)
        lines.append(f"<tr><td>{escape(name)}{what}</td>{values}</tr>")
    caption = (
        f"{study['sources']} source models, {study['repeats']} repeats, {study['test_items']} test items each; "
        "intervals over source models and seeds"
    )
    return (
        f"<p class='soft'>{escape(caption)}</p><div class='wide'><table><tr>{head}</tr>{''.join(lines)}</table></div>"
    )


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _machine(results: Mapping[str, Any]) -> str:
    libraries = ", ".join(f"{name} {number}" for name, number in results["libraries"].items())
    memory = results["peak_rss_mb"]
    return (
        f"{results['machine']['cores']} cores ({results['machine']['processor']}), {results['seconds']} s; peak memory "
        f"{memory['first']:.0f} MB after the first repeat, {memory['last']:.0f} MB after the last; {libraries}"
    )
