"""A Parquet file: a table as CSV is, with the same columns and the same faults; read a batch of rows at a time."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from training.data.columns import Columns, find_columns
from training.data.contents import Contents
from training.data.findings import Findings
from training.data.gathering import Gathering
from training.data.reading import Reading
from training.data.rows import LARGEST_FLOAT, TableRows

BATCH = 4_096
LARGEST_TOTAL = 8 * 2**30
"""Bytes that the file says its columns take, unpacked."""
MOST_COLUMNS = 20_000


def read(path: Path, reading: Reading, findings: Findings) -> Contents | None:
    """Look at every cell; None when nothing usable could be read. Faults go to ``findings``."""
    try:
        import pyarrow.parquet as pq
    except ImportError:
        findings.fault(
            "not_installed", "Parquet files are read with pyarrow, which is not installed: use CSV, or add it"
        )
        return None
    opened = findings.attempt(lambda: pq.ParquetFile(path), "not_parquet", "this is not a readable Parquet file")
    if opened is None:
        return None
    with opened as file:
        return _read(file, path, Gathering(reading, findings))


def _read(file: Any, path: Path, gathering: Gathering) -> Contents | None:
    findings, schema = gathering.findings, file.schema_arrow
    sizes = findings.attempt(lambda: _sizes(file), "not_parquet", "what it says of itself cannot be read")
    if sizes is None:
        return None
    total, cells = sizes
    if max(total, 4 * cells) > LARGEST_TOTAL or len(schema) > MOST_COLUMNS:
        message = f"its {len(schema)} columns take {max(total, 4 * cells)} bytes; at most {LARGEST_TOTAL} are read"
        findings.fault("too_large", message)
        return None
    columns = find_columns([str(name).strip() for name in schema.names], gathering)
    if columns is None:
        return None
    kind = _kind(schema, columns, findings)
    if kind is None:
        return None
    rows = TableRows(columns, kind, gathering)
    used = sorted({*columns.labels, *columns.features, *columns.beside.values()})
    batches = file.iter_batches(BATCH, columns=[schema.names[place] for place in used])
    at, row = {place: order for order, place in enumerate(used)}, 2
    while True:
        # Pages are unpacked and held against their checksums here, and broken ones make pyarrow raise what it likes.
        found = findings.attempt(
            lambda: list(islice(batches, 1)), "not_parquet", "this part cannot be read", f"row {row}"
        )
        if not found:
            return None if found is None else rows.contents(DatasetFormat.PARQUET, path)
        _add(found[0], row, at, columns, kind, rows)
        row += found[0].num_rows


def _sizes(file: Any) -> tuple[int, int]:
    """Bytes of all columns unpacked, and cells: a column of one value takes no room in the file, but does in memory."""
    groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
    return sum(group.total_byte_size for group in groups), file.metadata.num_rows * file.metadata.num_columns


def _kind(schema: Any, columns: Columns, findings: Findings) -> InputKind | None:
    """What the input columns hold, by their types; None, and a fault, for types that are no cells."""
    import pyarrow.types as types

    before = findings.fault_count
    for place in {*columns.labels, *columns.beside.values()}:
        _refuse_nested(schema[place], findings)
    only = schema[columns.features[0]].type if len(columns.features) == 1 else None
    if only is not None and (types.is_list(only) or types.is_large_list(only)) and types.is_integer(only.value_type):
        return InputKind.TOKENS if findings.fault_count == before else None
    for place in columns.features:
        _refuse_nested(schema[place], findings)
    if findings.fault_count != before:
        return None
    is_text = only is not None and (types.is_string(only) or types.is_large_string(only))
    return InputKind.TEXT if is_text else InputKind.VECTOR


def _refuse_nested(field: Any, findings: Findings) -> None:
    import pyarrow.types as types

    if types.is_nested(field.type) or types.is_binary(field.type) or types.is_large_binary(field.type):
        message = f"column {field.name!r} holds {field.type}; cells are numbers or texts: write one column a number"
        findings.fault("nested_column", message, f"column {field.name}")


def _add(batch: Any, first: int, at: dict[int, int], columns: Columns, kind: InputKind, rows: TableRows) -> None:
    """One batch of rows; ``at`` says which of its columns is which of the file's."""
    inputs = [batch.column(at[place]) for place in columns.features]
    numbers = _numbers(inputs) if kind is InputKind.VECTOR else None
    sound = np.zeros(batch.num_rows, dtype=bool)
    if numbers is not None:
        sound = np.asarray(np.isfinite(numbers).all(axis=1))
    # Cells that are sound numbers are not spelled out: it is the texts that take the time.
    spelled_out = [place for place in at if place not in columns.features or not sound.all()]
    texts = {place: [_text(value) for value in batch.column(at[place]).to_pylist()] for place in spelled_out}
    for offset in range(batch.num_rows):
        cells = [texts[place][offset] if place in texts else "" for place in range(columns.width)]
        rows.add(first + offset, cells, numbers[offset] if numbers is not None and sound[offset] else None)


def _numbers(cells: list[Any]) -> NDArray[np.float32] | None:
    """Rows [n, columns]; not finite where one is missing, or is none that float32 can hold. None without numbers."""
    import pyarrow.types as types

    kinds = (types.is_integer, types.is_floating, types.is_boolean)
    if not all(any(is_kind(cell.type) for is_kind in kinds) for cell in cells):
        return None
    exact = np.column_stack([_column(cell) for cell in cells])
    exact[~(np.abs(exact) <= LARGEST_FLOAT)] = np.nan
    return exact.astype(np.float32)


def _column(cell: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    return np.asarray(cell.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def _text(value: Any) -> str:
    """A cell as a CSV file would show it; whole numbers without a point, so that they can be classes."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, list):
        return " ".join("?" if part is None else str(part) for part in value)
    return str(value)
