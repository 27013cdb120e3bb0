"""The rows of a table, whatever it was read from: every cell looked at, every fault placed, and what is sound gathered.

Rows are counted as a spreadsheet shows them: the header is row 1.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from training.data.columns import Columns
from training.data.contents import Contents, number_digests, text_digest, token_digest
from training.data.findings import Findings
from training.data.gathering import Gathering
from training.data.sources import Numbered

LARGEST_FLOAT = float(np.finfo(np.float32).max)
LARGEST_TOKEN = 2**31 - 1
LONGEST_TOKENS = 65_536
"""Tokens of one item."""
MOST_HELD = 2**30
"""Token numbers of all items, filled up to the longest: they are held in memory."""
SAMPLE = 20
"""Rows that are looked at to see what the only input column holds."""


class TableRows:
    """Gathers the rows of one table."""

    def __init__(self, columns: Columns, kind: InputKind, gathering: Gathering) -> None:
        self._columns, self._kind, self._gathering = columns, kind, gathering
        self._findings = gathering.findings
        self._rows = array("q")
        self._values = array("f")
        self._texts: list[str] = []
        self._tokens: list[array[int]] = []
        width = len(columns.names)
        self._findings.kind = kind
        if kind is InputKind.VECTOR:
            self._findings.shape, self._findings.columns = (width,), columns.names
        elif kind is InputKind.TEXT:
            self._findings.shape = ()

    def add(self, row: int, cells: Sequence[str], numbers: NDArray[np.float32] | None = None) -> None:
        """One row of texts; ``numbers`` are those of its input cells where they are known to be sound."""
        gathering, before = self._gathering, self._findings.item_faults
        place = f"row {row}"
        target = gathering.targets.from_cells([cells[at] for at in self._columns.labels], place)
        if target is not None:
            if not gathering.targets.wants(target):
                return
            gathering.targets.saw(target)
        else:
            self._findings.items += 1
        beside = gathering.beside({role: cells[at] for role, at in self._columns.beside.items()}, place)
        inputs = [cells[at] for at in self._columns.features] if numbers is None else []
        text, tokens = "", array("i")
        if self._kind is InputKind.TEXT:
            text = self._text(inputs[0], place)
        elif self._kind is InputKind.TOKENS:
            tokens = self._read_tokens(inputs[0], place)
        elif numbers is None:
            numbers = plain_numbers(inputs)
            if numbers is None:
                for name, cell in zip(self._columns.names, inputs, strict=True):
                    tell_number_fault(cell, f"{place}, column {name}", self._findings)
        if self._findings.item_faults != before or target is None or beside is None:
            gathering.lose()
            return
        if not gathering.useful:
            return
        self._rows.append(row)
        if self._kind is InputKind.TEXT:
            self._texts.append(text)
            gathering.keep(target, text_digest(text), beside)
        elif self._kind is InputKind.TOKENS:
            self._tokens.append(tokens)
            gathering.keep(target, token_digest(tokens), beside)
        elif numbers is not None:
            self._values.frombytes(numbers.tobytes())
            gathering.keep(target, None, beside)

    def fault(self, code: str, message: str, row: int) -> None:
        """A row that cannot be told apart into cells."""
        self._findings.items += 1
        self._findings.item_fault(code, message, f"row {row}")
        self._gathering.lose()

    def contents(self, format: DatasetFormat, path: Path) -> Contents | None:
        """All rows; None when the table cannot be used."""
        if not self._findings.items and not self._findings.fault_count:
            self._findings.fault("empty_file", "there is a header but no rows")
        if not self._gathering.useful:
            return None
        places = Numbered("row", self._rows)
        if self._kind is InputKind.TEXT:
            return self._gathering.contents(format, self._kind, path, places, texts=tuple(self._texts))
        if self._kind is InputKind.TOKENS:
            tokens = filled_up(self._tokens, self._findings)
            return None if tokens is None else self._gathering.contents(format, self._kind, path, places, tokens=tokens)
        whole = np.frombuffer(self._values, dtype=np.float32).reshape(len(self._rows), len(self._columns.names))
        held = {"numbers": whole, "digests": number_digests(whole), "columns": self._columns.names}
        return self._gathering.contents(format, self._kind, path, places, **held)

    def _text(self, cell: str, place: str) -> str:
        if not cell.strip():
            self._findings.item_fault("empty_text", "the text is empty", f"{place}, column {self._columns.names[0]}")
        return cell

    def _read_tokens(self, cell: str, place: str) -> array[int]:
        where = f"{place}, column {self._columns.names[0]}"
        try:
            return checked_tokens([int(part) for part in cell.split()], where, self._findings)
        except ValueError:
            self._findings.item_fault("not_a_token", f"{cell.strip()[:40]!r} is not whole numbers with spaces", where)
            return array("i")


def kind_of_cells(cells: Sequence[str]) -> InputKind:
    """What the only input column of a table holds, given some of its cells: most of them decide."""
    sample = [cell.strip() for cell in cells if cell.strip()]
    numbers = sum(plain_numbers([cell]) is not None or _is_odd_number(cell) for cell in sample)
    tokens = sum(bool(cell.split()) and all(part.isdecimal() for part in cell.split()) for cell in sample)
    if sample and tokens == len(sample) and numbers < len(sample):
        return InputKind.TOKENS
    return InputKind.TEXT if sample and numbers * 2 < len(sample) else InputKind.VECTOR


def _is_odd_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def plain_numbers(cells: Sequence[str]) -> NDArray[np.float32] | None:
    """The numbers of a row; None when a cell has none that float32 can hold."""
    try:
        # Python reads "1_000" as a number; no spreadsheet does.
        exact = np.array([float(cell.replace("_", "?")) for cell in cells])
    except ValueError:
        return None
    return exact.astype(np.float32) if (np.abs(exact) <= LARGEST_FLOAT).all() else None


def tell_number_fault(cell: str, place: str, findings: Findings) -> None:
    """Say what is wrong with a cell, if anything is."""
    text = cell.strip()
    if not text:
        findings.item_fault("empty_cell", "the cell is empty", place)
        return
    try:
        value = float(text.replace("_", "?"))
    except ValueError:
        findings.item_fault("not_a_number", f"{text[:40]!r} is not a number", place)
        return
    if not math.isfinite(value):
        findings.item_fault("not_finite", f"{text[:40]} is not a finite number", place)
    elif abs(value) > LARGEST_FLOAT:
        findings.item_fault("not_finite", f"{text[:40]} is too large for float32", place)


def checked_tokens(tokens: Sequence[int], place: str, findings: Findings) -> array[int]:
    """One item's token numbers; faults say what keeps them from being used."""
    if not tokens:
        findings.item_fault("empty_text", "there are no tokens", place)
    elif len(tokens) > LONGEST_TOKENS:
        findings.item_fault("too_large", f"{len(tokens)} tokens; at most {LONGEST_TOKENS} are taken", place)
    elif min(tokens) < 0 or max(tokens) > LARGEST_TOKEN:
        message = f"token numbers are 0 to {LARGEST_TOKEN}, not {min(tokens)} to {max(tokens)}"
        findings.item_fault("bad_token", message, place)
    else:
        return array("i", tokens)
    return array("i")


def filled_up(tokens: Sequence[array[int]], findings: Findings) -> NDArray[np.int32] | None:
    """All items [n, longest], filled up with 0; None, and a fault, where that is too much to hold."""
    longest = max(map(len, tokens), default=0)
    if longest * len(tokens) > MOST_HELD:
        findings.fault("too_large", f"{len(tokens)} items of up to {longest} tokens are too many to hold")
        return None
    whole = np.zeros((len(tokens), longest), dtype=np.int32)
    for place, one in enumerate(tokens):
        whole[place, : len(one)] = one
    findings.shape = (longest,)
    return whole
