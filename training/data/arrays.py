"""An NPZ file: ``x`` [n, ...] of numbers and ``y`` [n] of whole numbers or strings. Nothing in it is ever unpickled."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from training.data.contents import Contents, number_digests
from training.data.findings import Findings

LARGEST_TOTAL = 4 * 2**30
"""Bytes of all arrays together, unpacked: they are held in memory."""


def read(path: Path, findings: Findings) -> Contents | None:
    """Look at every number; None when nothing usable could be read. Faults go to ``findings``."""
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(info.file_size for info in archive.infolist())
        if total > LARGEST_TOTAL:
            findings.fault("too_large", f"unpacked, the arrays take {total} bytes; at most {LARGEST_TOTAL} are read")
            return None
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: _array(file, name, findings) for name in ("x", "y") if name in file.files}
            present = file.files
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        findings.fault("not_an_archive", f"this is not a readable NPZ file: {error}")
        return None
    for name in ("x", "y"):
        if name not in arrays:
            have = ", ".join(present) or "none"
            findings.fault("missing_array", f"there is no array {name!r}; the arrays are: {have}", name)
    x, y = arrays.get("x"), arrays.get("y")
    labels = None if y is None else _labels(y, findings)
    numbers = None if x is None else _numbers(x, findings)
    if x is not None and y is not None and x.ndim and y.ndim and len(x) != len(y):
        findings.fault("length_mismatch", f"x holds {len(x)} items but y holds {len(y)} labels", "y")
    if labels is not None:
        for label in labels:
            findings.saw(label)
        if not labels and not findings.fault_count:
            findings.fault("empty_file", "the arrays hold no items")
    if labels is None or numbers is None or findings.fault_count:
        return None
    return Contents(DatasetFormat.NPZ, InputKind.VECTOR, path, labels, number_digests(numbers), numbers=numbers)


def _array(file: Any, name: str, findings: Findings) -> NDArray[Any] | None:
    try:
        array: NDArray[Any] = file[name]
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        # numpy refuses arrays of Python objects here, since reading them would run code.
        findings.fault("unreadable_array", f"the array cannot be read: {error}", name)
        return None
    return array


def _labels(y: NDArray[Any], findings: Findings) -> tuple[str, ...] | None:
    if y.ndim != 1:
        findings.fault("wrong_rank", f"y must have one dimension, not the shape {list(y.shape)}", "y")
        return None
    if y.dtype.kind not in "iuUSb":
        findings.fault("wrong_type", f"y must hold whole numbers or strings, not {y.dtype}", "y")
        return None
    if y.dtype.kind == "b":
        y = y.astype(np.int64)
    labels = []
    for item, value in enumerate(y.tolist()):
        label = value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value).strip()
        if not label:
            findings.fault("empty_label", "the label is empty", f"item {item}")
        labels.append(label)
    return tuple(labels)


def _numbers(x: NDArray[Any], findings: Findings) -> NDArray[np.float32] | None:
    if x.ndim < 2 or 0 in x.shape[1:]:
        findings.fault("wrong_rank", f"x must be [items, numbers...], not the shape {list(x.shape)}", "x")
        return None
    if x.dtype.kind not in "iufb":
        findings.fault("wrong_type", f"x must hold numbers, not {x.dtype}", "x")
        return None
    findings.kind, findings.shape = InputKind.VECTOR, tuple(int(size) for size in x.shape[1:])
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(x, dtype=np.float32)
    sound = np.isfinite(numbers.reshape(len(numbers), int(np.prod(numbers.shape[1:])))).all(axis=1)
    for item in np.flatnonzero(~sound):
        findings.fault("not_finite", "it holds numbers that are not finite, or too large for float32", f"item {item}")
    return numbers
