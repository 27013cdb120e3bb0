"""Columns that give the answer away: they count the rows, or tell the classes apart all by themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from training.data.contents import Contents
from training.data.doctor.numbers import MOST_NAMED, column_name
from training.data.findings import Findings
from training.data.targets import Classes, Values

LEAST_ITEMS = 20
"""Below that, a column that tells the classes apart is chance."""
CORRELATION = 0.99999
"""Of a column with a number to be learned, from which it is that number in another unit."""
MOST_ROWS = 20_000
"""More are not sorted."""


def warn(contents: Contents, findings: Findings) -> None:
    """Warn of each such column."""
    numbers = contents.numbers
    if contents.kind is not InputKind.VECTOR or numbers is None or numbers.ndim != 2 or len(contents) < LEAST_ITEMS:
        return
    flat = numbers[:MOST_ROWS]
    told = 0
    labels = np.unique(contents.labels[:MOST_ROWS], return_inverse=True)[1]
    for place in range(flat.shape[1]):
        column, where = flat[:, place].astype(np.float64), f"column {column_name(contents, place)}"
        sign = _counts_rows(column, bool(contents.columns)) or _gives_away(column, labels, contents)
        if sign:
            findings.warn(*sign, where)
            told += 1
        if told >= MOST_NAMED:
            return


def _counts_rows(column: NDArray[np.float64], has_names: bool) -> tuple[str, str] | None:
    steps = np.diff(column)
    if has_names and (steps == steps[0]).all() and steps[0] != 0:
        return "id_column", "it counts the rows: a number that names an item says nothing about others; leave it out"
    whole = (column == np.round(column)).all()
    all_differ = len(column) >= 5 * LEAST_ITEMS and len(np.unique(column)) == len(column)
    like_names = np.ptp(column) + 1 == len(column) or np.abs(column).max() > 1e6
    if has_names and whole and all_differ and like_names:
        return "id_column", "it is a different whole number in every row, as identifiers are; leave it out"
    return None


def _gives_away(column: NDArray[np.float64], labels: NDArray[np.int64], contents: Contents) -> tuple[str, str] | None:
    if isinstance(contents.targets, Values):
        values = contents.targets.values[:MOST_ROWS]
        for place, name in enumerate(contents.targets.names):
            varies = column.std() and values[:, place].std()
            if varies and abs(np.corrcoef(column, values[:, place])[0, 1]) > CORRELATION:
                return "leaks_label", f"it is {name!r} in another unit: is it known before {name!r} is?"
        return None
    classes = int(labels.max()) + 1
    if not isinstance(contents.targets, Classes) or classes < 2 or np.bincount(labels).min() < LEAST_ITEMS // 2:
        return None
    order = np.argsort(column, kind="stable")
    changes = np.flatnonzero(np.diff(labels[order]))
    # Of equal numbers with different labels nothing can be told, though the sort may have parted them.
    apart = (column[order][changes] != column[order][changes + 1]).all()
    if apart and len(changes) == classes - 1:
        return "leaks_label", "it alone tells all classes apart without an error: is it made from the label?"
    return None
