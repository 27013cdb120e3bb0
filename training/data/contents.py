"""Labelled data as it was read: a target and a digest an item, and the items themselves on demand.

Numbers and texts are held; images are not: they are read from their file again, a batch at a time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from training.data.pictures import Pictures
from training.data.sources import Images
from training.data.targets import LabelSets, Targets, Values

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Contents:
    """All usable items of a file; the sequences run in the order of the file."""

    format: DatasetFormat
    kind: InputKind
    path: Path
    targets: Targets
    digests: tuple[str, ...]
    """sha256 of each item: of its numbers, of its text, or of the image file's bytes."""
    places: Sequence[str] = ()
    """Where each item lies, as faults say it; none: items are counted from 0."""
    numbers: Floats | None = None
    """[n, ...], where the items are vectors."""
    tokens: NDArray[np.int32] | None = None
    """[n, longest], filled up with 0, where the items are tokens."""
    texts: tuple[str, ...] = ()
    """Where the items are texts."""
    images: Images | None = None
    """The image files, where the items are images."""
    pictures: Pictures | None = None
    """What was seen of each image while it was decoded once."""
    columns: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None
    """Items of one group stay on one side of the split."""
    times: NDArray[np.float64] | None = None
    sides: tuple[str, ...] | None = None
    """``train`` or ``test``, where the data says so itself."""
    weights: Floats | None = None
    """Each item's weight in the loss."""

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def labels(self) -> tuple[str, ...]:
        """Each item's target as one text."""
        return self.targets.texts()

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of one item; images have none of their own, a text is one string."""
        if self.kind is InputKind.TEXT:
            return ()
        held = self.tokens if self.numbers is None else self.numbers
        return None if held is None else tuple(int(size) for size in held.shape[1:])

    def encoded(self, items: Iterable[int]) -> Iterator[bytes]:
        """The image files of some items, one after the other."""
        if self.images is None:
            raise TypeError(f"items of kind {self.kind} are not images")
        return self.images.read(items)

    def place(self, item: int) -> str:
        """Where an item lies, as faults say it."""
        return self.places[item] if len(self.places) else f"item {item}"

    @property
    def digest(self) -> str:
        """The name of the content: the same for any order of the items and any container they came in."""
        meaning: list[str] = []
        if isinstance(self.targets, Values):
            meaning += ["values", *self.targets.names]
        elif isinstance(self.targets, LabelSets):
            meaning += ["labels", *self.targets.known]
        labels = list(self.labels)
        for name, column in (("group", self.groups), ("time", self.times), ("side", self.sides), ("w", self.weights)):
            if column is not None:
                meaning.append(name)
                labels = [f"{label}\x1f{value}" for label, value in zip(labels, column, strict=True)]
        return dataset_digest(self.kind, (*self.columns, *meaning), labels, self.digests)


def number_digests(numbers: Floats) -> tuple[str, ...]:
    """The digest of each item of [n, ...]: of its numbers as little-endian float32."""
    rows = np.ascontiguousarray(numbers.reshape(len(numbers), -1), dtype="<f4")
    return tuple(hashlib.sha256(row.tobytes()).hexdigest() for row in rows)


def text_digest(text: str) -> str:
    """The digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def token_digest(tokens: Sequence[int]) -> str:
    """The digest of a sequence of token numbers, without what fills it up."""
    return hashlib.sha256(np.asarray(tokens, dtype="<i4").tobytes()).hexdigest()


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
