"""The top of the page: the verdict, the sentence, the few figures that matter, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.report.arms import headline_of, interval_name, name_of
from training.report.figures.drawing import escaped
from training.report.manner import MANNERS
from training.report.notation import seconds, signed, whole
from training.report.page.markup import FAILED, PASSED, bullets, paragraph, section, table, tiles

VERDICTS: Mapping[str, str] = {
    "passed": "passed",
    "rejected": "rejected",
    "insufficient": "insufficient evidence",
}


def answer(report: Mapping[str, Any]) -> str:
    """Name, verdict, headline, figures, warnings."""
    verdict = str(report["verdict"])
    said = VERDICTS.get(verdict, verdict)
    css = verdict if verdict in VERDICTS else "soft"
    reasons = bullets(report["gate"]["reasons"])
    warnings = bullets(warning["message"] for warning in report.get("warnings", ()))
    beware = f"<div class='notice'>{paragraph('Beware', 'soft')}{warnings}</div>" if warnings else ""
    return (
        f"<header><h1><bdi>{escaped(report['model'])}</bdi> <span class='verdict {css}'>{escaped(said)}</span></h1>"
        f"{paragraph(report['headline'], 'lead')}{reasons}{_tiles(report)}{beware}"
        f"{paragraph(MANNERS.get(report.get('manner', ''), ''), 'soft')}</header>"
    )


def gate(report: Mapping[str, Any]) -> str:
    """The gate's checks one by one."""
    rows = [
        [PASSED if check["passed"] else FAILED, check["name"].replace("_", " "), check["reason"]]
        for check in report["gate"]["checks"]
    ]
    return section("The gate's checks", table(["", "check", "why"], rows))


def _tiles(report: Mapping[str, Any]) -> str:
    if "arms" not in report:
        return ""
    candidate = report["arms"]["candidate"]
    own, kind = headline_of(candidate), interval_name(report)
    around = own.metric.interval(own.low, own.high)
    shown = [(own.metric.words(own.value), own.metric.name + (f", {kind} {around}" if around else ""))]
    if own.metric.key != "accuracy" and "accuracy" in candidate:
        low, high = candidate["accuracy_low"], candidate["accuracy_high"]
        shown.append((f"{candidate['accuracy']:.3f}", f"accuracy, {kind} {low:.3f} to {high:.3f}"))
    for arm in ("linear_raw", "scratch", "current"):
        if arm in report["differences"]:
            difference = report["differences"][arm]
            ends = own.metric.interval(difference["interval"]["low"], difference["interval"]["high"], sign=True)
            words = signed(own.metric.words(difference["value"]))
            shown.append((words, f"gain over {name_of(arm)}, {kind} {ends}"))
            break
    shown.append((whole(candidate["items"]), "sealed test items"))
    if report.get("timings_s"):
        shown.append((seconds(sum(report["timings_s"].values())), "from data to export"))
    return tiles(shown)
