"""A CSV file: a header, one label column, numbers in every other column.

Rows are counted as a spreadsheet shows them: the header is row 1.
"""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from training.data.contents import Contents, number_digests
from training.data.findings import Findings
from training.data.labels import label_problem

LABEL_COLUMN = "label"
LARGEST_FLOAT = float(np.finfo(np.float32).max)


def read(path: Path, label_column: str | None, findings: Findings) -> Contents | None:
    """Look at every cell; None when nothing usable could be read. Faults go to ``findings``."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return _read(csv.reader(stream), path, label_column or LABEL_COLUMN, findings)
    except UnicodeDecodeError as error:
        findings.fault("not_text", f"this is not UTF-8 text: {error}")
    except csv.Error as error:
        findings.fault("not_csv", f"this cannot be read as CSV: {error}")
    return None


def _read(reader: Iterator[list[str]], path: Path, label_column: str, findings: Findings) -> Contents | None:
    header = [name.strip() for name in next(reader, [])]
    if not _usable_header(header, label_column, findings):
        return None
    at = header.index(label_column)
    columns = tuple(header[:at] + header[at + 1 :])
    findings.kind, findings.shape, findings.columns = InputKind.VECTOR, (len(columns),), columns
    labels: list[str] = []
    values = array("f")
    names: dict[str, str] = {}
    for row, cells in enumerate(reader, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            findings.fault("ragged_row", f"this row has {len(cells)} cells, the header has {len(header)}", f"row {row}")
            continue
        label = cells[at].strip()
        problem = label_problem(label)
        if problem is None:
            findings.saw(label)
        else:
            findings.fault("bad_label" if label else "empty_label", problem, f"row {row}, column {label_column}")
        del cells[at]
        numbers = _numbers(cells)
        if numbers is None:
            for name, cell in zip(columns, cells, strict=True):
                _tell_fault(cell, row, name, findings)
        elif not findings.fault_count:  # nothing is kept of a file that cannot be used
            labels.append(names.setdefault(label, label))
            values.frombytes(numbers.tobytes())
    if not labels and not findings.fault_count:
        findings.fault("empty_file", "there is a header but no rows")
    if findings.fault_count:
        return None
    whole = np.frombuffer(values, dtype=np.float32).reshape(len(labels), len(columns))
    return Contents(
        DatasetFormat.CSV,
        InputKind.VECTOR,
        path,
        tuple(labels),
        number_digests(whole),
        numbers=whole,
        columns=columns,
    )


def _usable_header(header: list[str], label_column: str, findings: Findings) -> bool:
    """Whether rows can be read under this header; faults say why not."""
    if not any(header):
        findings.fault("empty_file", "the file has no header")
        return False
    before = findings.fault_count
    seen: set[str] = set()
    for place, name in enumerate(header, start=1):
        if not name:
            findings.fault("unnamed_column", f"column {place} has no name", f"row 1, column {place}")
        elif name in seen:
            findings.fault("duplicate_column", f"two columns are named {name!r}", f"row 1, column {name}")
        seen.add(name)
    if label_column not in header:
        hint = " (is it separated by commas?)" if len(header) == 1 else ""
        findings.fault(
            "missing_label_column",
            f"there is no label column {label_column!r}; the columns are {', '.join(header)}{hint}",
            "row 1",
        )
    elif len(header) == 1:
        findings.fault("no_features", "there is nothing but the label column", "row 1")
    return findings.fault_count == before


def _numbers(cells: Sequence[str]) -> NDArray[np.float32] | None:
    """The numbers of a row; None when a cell has none that float32 can hold."""
    try:
        # Python reads "1_000" as a number; no spreadsheet does.
        exact = np.array([float(cell.replace("_", "?")) for cell in cells])
    except ValueError:
        return None
    return exact.astype(np.float32) if (np.abs(exact) <= LARGEST_FLOAT).all() else None


def _tell_fault(cell: str, row: int, column: str, findings: Findings) -> None:
    """Say what is wrong with a cell, if anything is."""
    text, place = cell.strip(), f"row {row}, column {column}"
    if not text:
        findings.fault("empty_cell", "the cell is empty", place)
        return
    try:
        value = float(text.replace("_", "?"))
    except ValueError:
        findings.fault("not_a_number", f"{text[:40]!r} is not a number", place)
        return
    if not math.isfinite(value):
        findings.fault("not_finite", f"{text[:40]} is not a finite number", place)
    elif abs(value) > LARGEST_FLOAT:
        findings.fault("not_finite", f"{text[:40]} is too large for float32", place)
