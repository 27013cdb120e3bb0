"""Labelled data as it was read: one label and one digest an item, and the items themselves on demand.

Numbers are held; images are not: they are read from their archive again, a batch at a time.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Contents:
    """All items of a file without faults; the sequences run in the order of the file."""

    format: DatasetFormat
    kind: InputKind
    path: Path
    labels: tuple[str, ...]
    digests: tuple[str, ...]
    """sha256 of each item: of its float32 numbers, or of the image file's bytes."""
    numbers: Floats | None = None
    """[n, ...], where the items are numbers."""
    entries: tuple[int, ...] = ()
    """Place of each image in the archive's directory, where the items are images."""
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of one item; images have none of their own."""
        return None if self.numbers is None else tuple(int(size) for size in self.numbers.shape[1:])

    def encoded(self, items: Iterable[int]) -> Iterator[bytes]:
        """The image files of some items, one after the other."""
        with zipfile.ZipFile(self.path) as archive:
            directory = archive.infolist()
            for item in items:
                yield archive.read(directory[self.entries[item]])

    def place(self, item: int) -> str:
        """Where an item lies, as faults say it."""
        if self.numbers is not None:
            return f"item {item}"
        with zipfile.ZipFile(self.path) as archive:
            return archive.infolist()[self.entries[item]].filename


def number_digests(numbers: Floats) -> tuple[str, ...]:
    """The digest of each item of [n, ...]: of its numbers as little-endian float32."""
    rows = np.ascontiguousarray(numbers.reshape(len(numbers), -1), dtype="<f4")
    return tuple(hashlib.sha256(row.tobytes()).hexdigest() for row in rows)


def dataset_digest(kind: InputKind, columns: Sequence[str], labels: Sequence[str], digests: Sequence[str]) -> str:
    """The name of the content: the same for any order of the items and any container they came in."""
    whole = hashlib.sha256("\x1f".join((str(kind), *columns)).encode())
    for line in sorted(f"{digest} {label}" for digest, label in zip(digests, labels, strict=True)):
        whole.update(b"\n" + line.encode())
    return whole.hexdigest()


def in_label_order(labels: Iterable[str]) -> list[str]:
    """The distinct labels, sorted; as numbers if all of them are whole numbers."""
    distinct = set(labels)
    if all(re.fullmatch(r"-?\d+", label) for label in distinct):
        return sorted(distinct, key=lambda label: (int(label), label))
    return sorted(distinct)
