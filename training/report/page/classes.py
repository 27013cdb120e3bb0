"""Class by class, or label by label: precision, recall, F1, and which are taken for which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.report.figures.heatmap import MOST_CLASSES, heat_map, top_confusions
from training.report.notation import plural, share
from training.report.page.markup import figure, folded, long_table, section, table

MOST_CONFUSIONS = 15
WEAKEST = 5
FIGURES = ("precision", "recall", "f1", "average_precision", "threshold")
NAMES = {"f1": "F1", "average_precision": "average precision"}
FEW_CLASSES = 14


def classes(report: Mapping[str, Any]) -> str:
    """The figures of every class, the weakest first where there are many."""
    figures = report.get("classes")
    if not figures:
        return ""
    multilabel = report.get("task") == "multilabel"
    labels, what = report["labels"], "labels" if multilabel else "classes"
    known = [name for name in FIGURES if name in figures]
    rows = [
        [label, *(share(figures[name][at]) for name in known), f"{figures['support'][at]:.0f}"]
        for at, label in enumerate(labels)
    ]
    header = [what[:-2] if what == "classes" else "label", *(NAMES.get(name, name) for name in known), "test items"]
    numbers = range(1, len(header))
    weakest = ""
    if len(rows) > FEW_CLASSES:
        order = sorted((n for n in range(len(rows)) if figures["support"][n] > 0), key=lambda n: figures["f1"][n])
        weakest = f"<h3>The {WEAKEST} weakest</h3>" + table(header, [rows[n] for n in order[:WEAKEST]], numbers=numbers)
    title = "Label by label" if multilabel else "Class by class"
    return section(title, weakest, long_table(header, rows, what, numbers=numbers))


def confusions(report: Mapping[str, Any]) -> str:
    """The confusion matrix as a picture, and the most frequent mistakes."""
    counts, labels = report.get("confusion"), report["labels"]
    if not counts:
        return ""
    mistakes = top_confusions(labels, counts, MOST_CONFUSIONS)
    wrong = sum(sum(line) for line in counts) - sum(counts[n][n] for n in range(len(labels)))
    drawn = ""
    if len(labels) <= MOST_CLASSES:
        note = "rows are true classes, columns answers; shade is the share of the row"
        picture = heat_map("confusion matrix", labels, counts)
        drawn = figure("confusion matrix", f"<div class='wide'>{picture}</div>", note)
    rows = [[true, answer, str(count), share(count / items)] for true, answer, count, items in mistakes]
    listed = table(["true class", "answer", "items", "share of the class"], rows, numbers=(2, 3))
    if len(labels) <= FEW_CLASSES:
        listed = folded("most frequent mistakes", listed)
    elif listed:
        listed = f"<h3>Most frequent mistakes</h3>{listed}"
    said = f"{plural(wrong, 'item was', 'items were')} answered wrongly." if wrong else "No item was answered wrongly."
    return section("What is taken for what", drawn, listed, note=said)
