"""A CSV file: a header, one label column, and numbers, a text or token numbers in the others."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from training.data.columns import Columns, find_columns
from training.data.contents import Contents
from training.data.findings import Findings
from training.data.gathering import Gathering
from training.data.reading import Reading
from training.data.rows import SAMPLE, TableRows, kind_of_cells


def read(path: Path, reading: Reading, findings: Findings) -> Contents | None:
    """Look at every cell; None when nothing usable could be read. Faults go to ``findings``."""
    try:
        # What is not UTF-8 comes as half characters, so that its row can be named.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            return _read(csv.reader(stream), path, Gathering(reading, findings))
    except csv.Error as error:
        findings.fault("not_csv", f"this cannot be read as CSV: {error}")
    return None


def _read(reader: Iterator[list[str]], path: Path, gathering: Gathering) -> Contents | None:
    findings = gathering.findings
    header = [name.strip() for name in next(reader, [])]
    if foreign := _foreign_bytes(header):
        findings.fault("not_text", f"this is not UTF-8 text: it holds the byte {foreign}", "row 1")
        return None
    columns = find_columns(header, gathering)
    if columns is None:
        return None
    numbered = enumerate(reader, start=2)
    first = list(islice(numbered, SAMPLE))
    rows = TableRows(columns, _kind(columns, [cells for _, cells in first]), gathering)
    for row, cells in chain(first, numbered):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != columns.width:
            rows.fault("ragged_row", f"this row has {len(cells)} cells, the header has {columns.width}", row)
        elif foreign := _foreign_bytes(cells):
            message = f"this row is not UTF-8 text as the header is: it holds the byte {foreign}, as Latin-1 files do"
            rows.fault("mixed_encoding", message, row)
        else:
            rows.add(row, cells)
    return rows.contents(DatasetFormat.CSV, path)


def _kind(columns: Columns, sample: list[list[str]]) -> InputKind:
    if len(columns.features) != 1:
        return InputKind.VECTOR
    only = columns.features[0]
    return kind_of_cells([cells[only] for cells in sample if len(cells) == columns.width])


def _foreign_bytes(cells: list[str]) -> str:
    """The first byte that is not UTF-8, as text; empty when there is none."""
    whole = "".join(cells)
    if whole.isascii():
        return ""
    return next((f"0x{ord(letter) - 0xDC00:02x}" for letter in whole if "\udc80" <= letter <= "\udcff"), "")
