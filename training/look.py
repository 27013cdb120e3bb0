"""``check``: what is wrong with labelled data, for a person or for a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from service.domain.dataset import MOST_FAULTS_SHOWN, DatasetFormat, DatasetReport, misfits
from service.domain.faults import Fault
from training.data.check import check


def look(file: Path, format: DatasetFormat | None, label: str | None, base: Path | None, as_json: bool) -> int:
    """Print what the check finds. For a program always 0; for a person 1 when there are faults.

    Raises:
        OSError: the file cannot be read.
        TrainingFailed: the base cannot be read.
    """
    report, _ = check(file, format, label)
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
    from rich.table import Table

    terminal = Console(highlight=False)
    what = f"{report.format}, {report.items} items in {len(report.classes)} classes" if report.format else "unknown"
    terminal.print(f"{file.name}: {what}", markup=False)
    if report.classes:
        classes = Table("class", "items", box=None)
        classes.columns[1].justify = "right"
        for label, items in report.classes.items():
            classes.add_row(label, str(items))
        terminal.print(classes)
    for title, findings in (("fault", report.faults), ("note", report.warnings)):
        if findings:
            table = Table("where", title, box=None)
            for finding in findings:
                table.add_row(finding.place, finding.message)
            terminal.print(table)
    if report.fault_count > len(report.faults):
        terminal.print(f"... and {report.fault_count - len(report.faults)} more faults")
    count = "1 fault" if report.fault_count == 1 else f"{report.fault_count} faults"
    terminal.print(f"{count}: it cannot be used" if report.fault_count else f"no faults; digest {report.digest}")
