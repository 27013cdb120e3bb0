"""``check``: what is wrong with labelled data, for a person or for a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from service.domain.dataset import MOST_FAULTS_SHOWN, DatasetReport, misfits
from service.domain.faults import Fault
from service.domain.learning import LearningTask
from service.domain.sample import SampleWish
from training.data.check import examine
from training.data.reading import Reading

if TYPE_CHECKING:
    from rich.console import Console

MOST_CLASSES = 30
"""Listed one by one."""
MOST_COLUMNS = 12


def look(file: Path, reading: Reading, base: Path | None, as_json: bool, sample: SampleWish | None = None) -> int:
    """Print what the check finds. For a program always 0; for a person 1 when there are faults. Of data without faults
    a ``sample`` is handed over, where one is wished for.

    Raises:
        OSError: the file cannot be read.
        TrainingFailed: the base cannot be read.
    """
    report, contents = examine(file, reading)
    if sample is not None and contents is not None:
        from training.data.sample import hand_over

        hand_over(contents, sample)
    if base is not None:
        from training.base_graph import read_base_manifest

        report = _with(report, misfits(report, read_base_manifest(base).input))
    if as_json:
        print(json.dumps(report.to_dict(), separators=(",", ":")))
        return 0
    _show(file, report)
    return 1 if report.fault_count else 0


def _with(report: DatasetReport, faults: Sequence[Fault]) -> DatasetReport:
    if not faults:
        return report
    shown = (*report.faults, *faults)[:MOST_FAULTS_SHOWN]
    return replace(report, faults=shown, fault_count=report.fault_count + len(faults), digest=None)


def _show(file: Path, report: DatasetReport) -> None:
    from rich.console import Console

    terminal = Console(highlight=False)
    terminal.print(f"{file.name}: {_summary(report)}", markup=False)
    _show_targets(terminal, report)
    for title, findings in (
        ("fault", report.faults),
        ("left out", report.quarantined if not report.faults else ()),
        ("note", report.warnings),
    ):
        _show_findings(terminal, title, findings)
    if report.fault_count > len(report.faults):
        terminal.print(f"... and {report.fault_count - len(report.faults)} more faults")
    count = "1 fault" if report.fault_count == 1 else f"{report.fault_count} faults"
    notes = "1 note" if len(report.warnings) == 1 else f"{len(report.warnings)} notes"
    end = (
        f"{count}, {notes}: it cannot be used" if report.fault_count else f"no faults, {notes}; digest {report.digest}"
    )
    terminal.print(end)


def _summary(report: DatasetReport) -> str:
    if report.format is None:
        return "unknown"
    what = "" if report.kind is None else f" of kind {report.kind}"
    if report.shape:
        what += f" {'x'.join(map(str, report.shape))}"
    many = {LearningTask.MULTILABEL: f"with {len(report.classes)} labels", LearningTask.REGRESSION: "with numbers"}
    learned = many.get(report.task, f"in {len(report.classes)} classes")
    return f"{report.format}, {report.items} items{what} {learned}, for task {report.task}"


def _show_targets(terminal: Console, report: DatasetReport) -> None:
    from rich.table import Table

    if report.classes:
        total = max(1, report.items)
        classes = Table("class", "items", "share", box=None)
        for column in classes.columns[1:]:
            column.justify = "right"
        for label, items in list(report.classes.items())[:MOST_CLASSES]:
            classes.add_row(_plain(label), str(items), f"{items / total:.1%}")
        terminal.print(classes)
        if len(report.classes) > MOST_CLASSES:
            terminal.print(f"... and {len(report.classes) - MOST_CLASSES} more classes")
    if report.values:
        values = Table("value", "least", "mean", "most", box=None)
        for column in values.columns[1:]:
            column.justify = "right"
        for name, summary in report.values.items():
            values.add_row(_plain(name), f"{summary.min:g}", f"{summary.mean:g}", f"{summary.max:g}")
        terminal.print(values)
    if report.columns:
        more = f" and {len(report.columns) - MOST_COLUMNS} more" if len(report.columns) > MOST_COLUMNS else ""
        terminal.print(f"columns: {', '.join(report.columns[:MOST_COLUMNS])}{more}", markup=False)


def _show_findings(terminal: Console, title: str, findings: Sequence[Fault]) -> None:
    from rich.table import Table

    if findings:
        table = Table("where", title, box=None)
        for finding in findings:
            table.add_row(_plain(finding.place), _plain(finding.message))
        terminal.print(table)


def _plain(text: str) -> str:
    """What a file says is shown as it is, never taken for markup."""
    from rich.markup import escape

    return escape(text)
