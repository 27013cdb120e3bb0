"""The data: how much, what is suspicious in it, and a look at some of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.report.figures.bars import Bar, bars
from training.report.figures.drawing import escaped
from training.report.figures.scatter import groups
from training.report.notation import figure as number
from training.report.notation import plural, share, whole
from training.report.page.markup import definitions, figure, folded, long_table, panels, paragraph, section, table

MOST_BARS = 30


def data(report: Mapping[str, Any]) -> str:
    """Counts, findings, suspected labels, preview."""
    found = report.get("dataset")
    if not found:
        return ""
    return section(
        "The data",
        _facts(found, report.get("split")),
        panels(_classes(found), _map(report.get("preview"))),
        _thumbnails(report.get("preview")),
        _values(found),
        _findings("Left out", found.get("quarantined") or (), found.get("quarantined_count")),
        _findings("Noticed", found.get("warnings") or (), None),
        _suspects(report.get("suspects")),
        _strange(report.get("ood")),
    )


def _facts(found: Mapping[str, Any], split: Mapping[str, Any] | None) -> str:
    shape = "x".join(map(str, found["shape"])) if found.get("shape") else ""
    said = {
        "items": whole(found["items"]),
        "kind": " ".join(str(part) for part in (found.get("kind"), shape) if part),
        "format": str(found.get("format") or ""),
        "digest": str(found.get("digest") or ""),
        "left out": plural(found["quarantined_count"], "item") if found.get("quarantined_count") else "",
    }
    if split:
        sides = ((side, split.get(side)) for side in ("train", "validation", "test"))
        said["divided"] = ", ".join(f"{whole(count)} {side}" for side, count in sides if isinstance(count, int))
        said["how"] = str(split.get("method") or "")
    return definitions(said)


def _classes(found: Mapping[str, Any]) -> str:
    counts = found.get("classes") or {}
    if not counts or len(counts) > MOST_BARS:
        rows = [[label, whole(items)] for label, items in counts.items()]
        return long_table(["class", "items"], rows, "classes", numbers=(1,)) if rows else ""
    rows_ = [Bar(label, float(items), whole(items)) for label, items in counts.items()]
    return figure("items of each class", bars("items of each class", rows_))


def _map(preview: Mapping[str, Any] | None) -> str:
    if not preview or not preview.get("points"):
        return ""
    points = [(float(x), float(y), int(group)) for x, y, group in preview["points"]]
    axes = (str(preview["axes"][0]), str(preview["axes"][1]))
    return figure(preview["title"], groups(preview["title"], points, preview["names"], axes), preview.get("note", ""))


def _thumbnails(preview: Mapping[str, Any] | None) -> str:
    shown = (preview or {}).get("thumbnails") or ()
    if not shown:
        return ""
    cells = "".join(
        f"<div><bdi>{escaped(entry['label'])}</bdi><br>"
        + "".join(
            f"<img src='data:image/png;base64,{escaped(code)}' alt='{escaped(entry['label'])}'>"
            for code in entry["images"]
        )
        + "</div>"
        for entry in shown
    )
    return f"<h3>Some items of each class</h3><div class='thumbs'>{cells}</div>"


def _values(found: Mapping[str, Any]) -> str:
    rows = [
        [name, *(number(summary[key]) for key in ("min", "mean", "max"))]
        for name, summary in (found.get("values") or {}).items()
    ]
    return table(["value", "least", "mean", "largest"], rows, numbers=(1, 2, 3))


def _findings(title: str, findings: Sequence[Mapping[str, Any]], count: int | None) -> str:
    rows = [[finding["place"], finding["message"]] for finding in findings]
    said = f"{title}: {plural(count if count is not None else len(rows), 'finding')}"
    return folded(said, table(["where", "what"], rows), opened=len(rows) <= 5)


def _suspects(suspects: Sequence[Mapping[str, Any]] | None) -> str:
    rows = [
        [entry["place"], str(entry["label"]), str(entry["answer"]), share(entry["probability"])]
        for entry in suspects or ()
    ]
    if not rows:
        return ""
    header = ["where", "its label", "looks like", "chance of its label"]
    said = f"{plural(len(rows), 'label')} that may be wrong, by heads that had not seen the item; none was left out"
    return folded(said, table(header, rows, numbers=(3,)), opened=len(rows) <= 10)


def _strange(found: Mapping[str, Any] | None) -> str:
    """Test items unlike anything the model learned from: where their answers deserve less trust."""
    if not found:
        return ""
    usual, beyond = 100 * found["quantile"], 100 * found["share"]
    said = (
        f"{beyond:.0f} % of the test items lie farther from the training items than {usual:.0f} % of those "
        "lie from each other."
    )
    rows = [[entry["place"], number(entry["score"])] for entry in found.get("outliers") or ()]
    listed = table(["where", f"distance (threshold {number(found['threshold'])})"], rows, numbers=(1,))
    folds = folded(f"the {plural(len(rows), 'strangest test item')}", listed) if rows else ""
    return f"<h3>How strange the test is</h3>{paragraph(said)}{folds}"
