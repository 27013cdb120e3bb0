"""``append``: a dataset and more of its kind as one new file, with a report of what is in it then."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.domain.dataset import DatasetReport
from training.data.appending import Joined, join, write
from training.data.check import examine
from training.data.contents import Contents
from training.data.findings import Findings
from training.data.reading import Reading, label_columns


def append(old: Path, old_reading: Reading, new: Path, reading: Reading, out: Path) -> int:
    """Write the new file and print what is in it: ``{report, options, added, known}``. Where there are faults there is
    no file, and the report tells them. Always 0, as a check for a program is.

    Raises:
        OSError: a file cannot be read or written.
    """
    said = _appended(old, old_reading, new, reading, out)
    print(json.dumps(said, separators=(",", ":")))
    return 0


def _appended(old: Path, old_reading: Reading, new: Path, reading: Reading, out: Path) -> dict[str, Any]:
    report, there = examine(old, old_reading)
    if there is None:
        raise ValueError(f"the dataset itself cannot be read any more: {report.faults[:1]}")
    findings = Findings()
    new_report, more = _examined_as_part(new, reading, there)
    if more is None:
        return _said(new_report)
    joined = join(there, more, findings)
    if joined is None:
        faults, count = tuple(findings.faults), findings.fault_count
        return _said(replace(new_report, faults=faults, fault_count=count, digest=None))
    known = len(more) - len(joined.added)
    if not joined.added:
        return _said(report, known=known)
    written = write(joined, reading.task, out)
    options = dict(written.options)
    whole, contents = examine(
        out, Reading(format=written.format, task=reading.task, label=label_columns(options.get("label")))
    )
    if contents is not None:
        _compare(contents, joined)
    return _said(whole, options, len(joined.added), known)


def _examined_as_part(new: Path, reading: Reading, there: Contents) -> tuple[DatasetReport, Contents | None]:
    """What is in the new file. It need not be fit to learn from by itself: one class is enough, and one item of it."""
    return examine(new, replace(reading, part=True))


def _compare(contents: Contents, joined: Joined) -> None:
    """Raises: RuntimeError, what was written is not what is read."""
    found = Counter(zip(contents.digests, contents.labels, strict=True))
    if found != joined.identities():
        raise RuntimeError("the new file does not read as it was written")


def _said(
    report: DatasetReport, options: dict[str, str] | None = None, added: int = 0, known: int = 0
) -> dict[str, Any]:
    return {"report": report.to_dict(), "options": options or {}, "added": added, "known": known}
