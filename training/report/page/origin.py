"""Where it comes from: base, phases and what they cost, export, the recipe as it was obeyed, and the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from training.report.figures.bars import Bar, bars
from training.report.notation import figure as number
from training.report.notation import megabytes, seconds
from training.report.page.markup import bullets, definitions, figure, folded, panels, paragraph, section, table


def cost(report: Mapping[str, Any]) -> str:
    """Time and memory of every phase."""
    timings, memory = report["timings_s"], report.get("phase_memory_mb") or {}
    if not timings:
        return ""
    chart = bars("time of each phase", [Bar(phase, taken, seconds(taken)) for phase, taken in timings.items()])
    rows = [[phase, seconds(taken), megabytes(memory.get(phase))] for phase, taken in timings.items()]
    whole_time = f"{seconds(sum(timings.values()))} in all"
    peak = report.get("peak_memory_mb")
    note = whole_time + (f"; at most {megabytes(peak)} of memory." if peak else ".")
    shown = folded(
        "time and peak memory of each phase", table(["phase", "took", "memory so far"], rows, numbers=(1, 2))
    )
    return section("What it cost", panels(figure("time of each phase", chart)), shown if memory else "", note=note)


def card(report: Mapping[str, Any]) -> str:
    """The model card, as a person reads it."""
    written = report.get("card")
    if not written:
        return ""
    metric = written.get("metric")
    said = {
        "purpose": written["purpose"],
        "input": f"{written['input']['kind']} {'x'.join(map(str, written['input']['shape']))}".strip(),
        "base": _base(written.get("base")),
        "licence of the base": str(written.get("licence") or ""),
        "measured": f"{metric['name'].replace('_', ' ')} {number(metric['value'])}" if metric else "",
    }
    return section("Model card", definitions(said), "<h3>Limits</h3>" + bullets(written["limits"]))


def origin(report: Mapping[str, Any]) -> str:
    """Base, export and recipe."""
    exported = report.get("export") or {}
    said = {
        "base": _base(report.get("base")),
        "cut": str((report.get("probe") or {}).get("cut") or ""),
        "stored": f"{exported['stored_ratio']:.2f} times its weights" if "stored_ratio" in exported else "",
        "seed": str(report["recipe"].get("seed", "")),
    }
    recipe = f"<pre>{_escaped(json.dumps(report['recipe'], indent=1, ensure_ascii=False))}</pre>"
    notes = bullets(report["notes"])
    return section(
        "Where it comes from",
        definitions(said),
        folded("notes", notes, opened=True),
        folded("the recipe, with every auto replaced by what it became", recipe),
        paragraph(f"Made from {report['format']}; the same figures are in report.json beside this page.", "soft"),
    )


def _base(facts: Mapping[str, Any] | None) -> str:
    if not facts:
        return ""
    name = f"{facts['model']} version {facts['version']}" if "model" in facts else ""
    digest = str(facts.get("digest") or facts.get("sha256") or "")
    return " ".join(part for part in (name, f"({digest[:16]}…)" if digest else "") if part)


def _escaped(words: str) -> str:
    from training.report.figures.drawing import escaped

    return "\n".join(escaped(line) for line in words.split("\n"))
