"""An NPZ file: ``x`` [n, ...] of numbers and ``y`` [n] of whole numbers or strings. Nothing in it is ever unpickled."""

from __future__ import annotations

import math
import zipfile
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from training.data.contents import Contents, number_digests
from training.data.findings import Findings
from training.data.labels import label_problem

LARGEST_TOTAL = 4 * 2**30
"""Bytes of all arrays together, unpacked: they are held in memory."""
SUFFIX = ".npy"


def read(path: Path, findings: Findings) -> Contents | None:
    """Look at every number; None when nothing usable could be read. Faults go to ``findings``."""
    arrays = findings.attempt(partial(_arrays, path, findings), "not_an_archive", "this is not a readable NPZ file")
    if arrays is None:
        return None
    x, y = arrays.get("x"), arrays.get("y")
    labels = None
    if y is not None:
        labels = findings.attempt(partial(_labels, y, findings), "unreadable_array", "the array cannot be read", "y")
    numbers = None if x is None else _numbers(x, findings)
    if x is not None and y is not None and x.ndim and y.ndim and len(x) != len(y):
        findings.fault("length_mismatch", f"x holds {len(x)} items but y holds {len(y)} labels", "y")
    if labels == () and not findings.fault_count:
        findings.fault("empty_file", "the arrays hold no items")
    if labels is None or numbers is None or findings.fault_count:
        return None
    return Contents(DatasetFormat.NPZ, InputKind.VECTOR, path, labels, number_digests(numbers), numbers=numbers)


def _arrays(path: Path, findings: Findings) -> dict[str, NDArray[Any] | None]:
    """``x`` and ``y`` as far as they are there, None for what cannot be read; the faults are told."""
    arrays: dict[str, NDArray[Any] | None] = {}
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(SUFFIX): info for info in archive.infolist()}
        total = sum(info.file_size for info in members.values())
        if total > LARGEST_TOTAL:
            findings.fault("too_large", f"unpacked, the arrays take {total} bytes; at most {LARGEST_TOTAL} are read")
            return arrays
        for name in ("x", "y"):
            if name in members:
                one = partial(_array, archive, members[name])
                arrays[name] = findings.attempt(one, "unreadable_array", "the array cannot be read", name)
            else:
                have = ", ".join(members) or "none"
                findings.fault("missing_array", f"there is no array {name!r}; the arrays are: {have}", name)
    return arrays


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """One array. Raises: whatever its bytes make numpy and zipfile raise, and ValueError."""
    with archive.open(info) as stream:
        _hold_claim(stream, info.file_size)
    with archive.open(info) as stream:
        # numpy refuses arrays of Python objects here, since reading them would run code.
        array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return array


def _hold_claim(stream: IO[bytes], size: int) -> None:
    """Hold what the header claims against the bytes there are, before memory is made ready for it.

    Raises:
        ValueError: there is no header, or it claims more, or less than nothing.
    """
    version = npy.read_magic(stream)
    headers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in headers:
        raise ValueError(f"its header is of version {'.'.join(map(str, version))}, which plain arrays do not need")
    shape, _, dtype = headers[version](stream)
    claimed, present = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if dtype.hasobject:
        raise ValueError("it holds Python objects, and reading those would run code")
    if min(shape, default=0) < 0 or not dtype.itemsize or claimed > present:
        raise ValueError(f"its header claims {list(shape)} of {dtype}, {claimed} bytes, where {present} are")


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
    for item in range(len(y)):
        place = f"item {item}"
        label = findings.attempt(partial(_label, y, item), "bad_label", "the label is no text", place)
        if label is None:
            continue
        problem = label_problem(label)
        if problem is None:
            findings.saw(label)
        else:
            findings.fault("bad_label" if label else "empty_label", problem, place)
        labels.append(label)
    return tuple(labels)


def _label(y: NDArray[Any], item: int) -> str:
    """The text of one label. Raises: ValueError: its bytes are none."""
    value = y[item].item()
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


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
