"""An NPZ file: ``x`` [n, ...] of numbers, and ``y`` of what is to be learned. Nothing in it is ever unpickled."""

from __future__ import annotations

import math
import zipfile
from array import array
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from service.domain.learning import LearningTask
from training.data.array_targets import array_targets, text_of
from training.data.contents import Contents, Floats, number_digests
from training.data.findings import Findings
from training.data.gathering import Beside, Gathering
from training.data.reading import Reading
from training.data.sources import Numbered
from training.data.target_reading import One

LARGEST_TOTAL = 4 * 2**30
"""Bytes of all arrays together, unpacked: they are held in memory."""
SUFFIX = ".npy"
LABELS = "labels"
"""The array that names the columns of a ``y`` [n, K], where there is one."""


def read(path: Path, reading: Reading, findings: Findings) -> Contents | None:
    """Look at every number; None when nothing usable could be read. Faults go to ``findings``."""
    if not _says_what_is_asked(reading, findings):
        return None
    gathering = Gathering(reading, findings)
    look = partial(_arrays, path, findings, tuple(gathering.roles.values()))
    arrays = findings.attempt(look, "not_an_archive", "this is not a readable NPZ file")
    if arrays is None:
        return None
    x, y = arrays.get("x"), arrays.get("y")
    found = None
    if y is not None:
        read_targets = partial(array_targets, y, arrays.get(LABELS), gathering)
        found = findings.attempt(read_targets, "unreadable_array", "the array cannot be read", "y")
    numbers, sound = (None, None) if x is None else _numbers(x, findings)
    if x is not None and y is not None and x.ndim and y.ndim and len(x) != len(y):
        findings.fault("length_mismatch", f"x holds {len(x)} items but y holds {len(y)} labels", "y")
        return None
    if found == [] and not findings.fault_count:
        findings.fault("empty_file", "the arrays hold no items")
    beside = {role: arrays[name] for role, name in gathering.roles.items()} if not findings.fault_count else {}
    for role, one in beside.items():
        if one is None or one.ndim != 1 or one.dtype.kind not in "iufUSb" or found is None or len(one) != len(found):
            shape = "none" if one is None else f"{one.dtype} {list(one.shape)}"
            message = f"the array for {role} must hold one number or text an item, not {shape}"
            findings.fault("length_mismatch", message, gathering.roles[role])
    if found is None or numbers is None or sound is None or not gathering.useful:
        return None
    told = [
        findings.attempt(partial(_beside, beside, item, gathering), "unreadable_array", "no text", f"item {item}")
        for item in range(len(found) if beside else 0)
    ]
    return _kept(path, found, numbers, sound, told, gathering) if gathering.useful else None


def _beside(arrays: Mapping[str, NDArray[Any] | None], item: int, gathering: Gathering) -> Beside | None:
    """What stands beside an item. Raises: ValueError: bytes that are no text."""
    texts = {role: text_of(one, item) for role, one in arrays.items() if one is not None}
    return gathering.beside(texts, f"item {item}")


def _kept(
    path: Path,
    found: list[One | None],
    numbers: Floats,
    sound: NDArray[np.bool_],
    told: Sequence[Beside | None],
    gathering: Gathering,
) -> Contents:
    """The items whose numbers, targets and all beside them are sound, and which are wanted."""
    places = array("q")
    for item, one in enumerate(found):
        if one is not None and not gathering.targets.wants(one):
            continue
        beside = told[item] if told else Beside()
        if one is None or beside is None or not sound[item]:
            gathering.lose()
            continue
        places.append(item)
        gathering.keep(one, None, beside)
    kept = np.asarray(places, dtype=np.int64)
    held = numbers if len(kept) == len(numbers) else numbers[kept]
    return gathering.contents(
        DatasetFormat.NPZ,
        InputKind.VECTOR,
        path,
        Numbered("item", places),
        numbers=held,
        digests=number_digests(held),
    )


def _says_what_is_asked(reading: Reading, findings: Findings) -> bool:
    asked = {"label": reading.task is not LearningTask.REGRESSION and reading.label, "features": reading.features}
    before = findings.fault_count
    for name, value in asked.items():
        if value:
            findings.fault("no_columns", f"an NPZ file holds x and y and no columns, so that {name} cannot name one")
    return findings.fault_count == before


def _arrays(path: Path, findings: Findings, also: Sequence[str]) -> dict[str, NDArray[Any] | None]:
    """``x``, ``y`` and what else is asked for, as far as it is there; None, and a fault, for what cannot be read."""
    arrays: dict[str, NDArray[Any] | None] = {}
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(SUFFIX): info for info in archive.infolist()}
        total = sum(info.file_size for info in members.values())
        if total > LARGEST_TOTAL:
            findings.fault("too_large", f"unpacked, the arrays take {total} bytes; at most {LARGEST_TOTAL} are read")
            return arrays
        for name in dict.fromkeys(("x", "y", LABELS, *also)):
            if name in members:
                one = partial(_array, archive, members[name])
                arrays[name] = findings.attempt(one, "unreadable_array", "the array cannot be read", name)
            elif name != LABELS:
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


def _numbers(x: NDArray[Any], findings: Findings) -> tuple[Floats, NDArray[np.bool_]] | tuple[None, None]:
    """The numbers, and which items hold finite ones only."""
    if x.ndim < 2 or 0 in x.shape[1:]:
        findings.fault("wrong_rank", f"x must be [items, numbers...], not the shape {list(x.shape)}", "x")
        return None, None
    if x.dtype.kind not in "iufb":
        findings.fault("wrong_type", f"x must hold numbers, not {x.dtype}", "x")
        return None, None
    findings.kind, findings.shape = InputKind.VECTOR, tuple(int(size) for size in x.shape[1:])
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(x, dtype=np.float32)
    flat = numbers.reshape(len(numbers), int(np.prod(numbers.shape[1:])))
    sound = np.asarray(np.isfinite(flat).all(axis=1))
    for item in np.flatnonzero(~sound):
        message = "it holds numbers that are not finite, or too large for float32"
        findings.item_fault("not_finite", message, f"item {item}")
    return numbers, sound
