"""What the frozen base makes of items: every cut at once, and a small raw copy for the linear baseline.

On disk as float32 arrays, so that neither images nor features need fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind, InputSpec
from service.domain.faults import Fault
from training.data.contents import Contents
from training.errors import BadData

Floats = NDArray[np.float32]
BATCH = 64
WIDEST_RAW = 4_096
"""Larger images are averaged down to at most this many numbers for the linear model on raw input."""
RAW = "raw"
"""Name of the raw copy among the arrays; no layer is called that here, since cuts are numbered on disk."""


class FeatureCache:
    """Features of all items on disk: ``rows(cut, items)`` reads some of them."""

    def __init__(self, directory: Path, cuts: Sequence[str]) -> None:
        self._files = {cut: directory / f"cut-{place}.npy" for place, cut in enumerate(cuts)}
        self._files[RAW] = directory / "raw.npy"
        self.cuts = tuple(cuts)

    def rows(self, name: str, items: NDArray[np.int64]) -> Floats:
        """Features [len(items), width] at a cut, or the raw copy."""
        return np.asarray(np.load(self._files[name], mmap_mode="r")[items])

    def file(self, name: str) -> Path:
        """Where a cut's array lies."""
        return self._files[name]


def as_base_input(numbers: Floats, columns: Sequence[str], spec: InputSpec) -> Floats:
    """Numbers [n, ...] in the base's shape, and its order of columns where both have the same names."""
    if columns and spec.columns and set(columns) == set(spec.columns):
        numbers = numbers[:, [columns.index(column) for column in spec.columns]]
    return np.ascontiguousarray(numbers.reshape(len(numbers), *spec.shape))


def as_tokens(tokens: NDArray[np.int32], length: int) -> NDArray[np.int32]:
    """Token numbers [n, any length] cut off or filled up with 0 to a length."""
    kept = tokens[:, :length]
    return np.pad(kept, ((0, 0), (0, length - kept.shape[1])))


def inputs_of(
    contents: Contents, items: Sequence[int], spec: InputSpec, decode: Callable[[Sequence[bytes]], Floats]
) -> NDArray[Any]:
    """Some items as the base takes them: float32, int32 for tokens, bytes in an array of objects for texts.

    Raises:
        BadData: an image cannot be decoded by the base's own decoder; its place is given.
    """
    if contents.numbers is not None:
        return as_base_input(contents.numbers[np.asarray(items)], contents.columns, spec)
    if contents.tokens is not None:
        return as_tokens(contents.tokens[np.asarray(items)], spec.shape[0])
    if contents.kind is InputKind.TEXT:
        return np.array([contents.texts[item].encode() for item in items], dtype=object)
    encoded = list(contents.encoded(items))
    try:
        return decode(encoded)
    except ValueError:
        faults = []
        for item, data in zip(items, encoded, strict=True):
            try:
                decode([data])
            except ValueError as error:
                faults.append(Fault("unreadable_image", f"TensorFlow cannot decode it: {error}", contents.place(item)))
        if not faults:
            raise
        raise BadData(faults) from None


def raw_width(spec: InputSpec) -> int:
    """Numbers of an item's raw copy."""
    nothing = np.array([b""], dtype=object) if spec.kind is InputKind.TEXT else np.zeros((1, *spec.shape), np.float32)
    return int(raw_copy(nothing, spec).shape[1])


def raw_copy(inputs: NDArray[Any], spec: InputSpec) -> Floats:
    """The input itself, flat, for the linear baseline: [n, at most ``WIDEST_RAW``] but for vectors.

    Images are averaged down, texts become counts of their words and tokens counts of theirs, both by hash and on a
    logarithmic scale.
    """
    if spec.kind is InputKind.TEXT:
        return _counts([[crc32(word) for word in bytes(text).lower().split()] for text in inputs])
    if spec.kind is InputKind.TOKENS:
        return _counts([[token for token in row if token] for row in inputs.tolist()])
    if spec.kind is InputKind.IMAGE and spec.width > WIDEST_RAW:
        height, width, channels = spec.shape
        step = int(np.ceil(np.sqrt(spec.width / WIDEST_RAW)))
        rows, columns = height // step, width // step
        cropped = inputs[:, : rows * step, : columns * step]
        inputs = cropped.reshape(len(inputs), rows, step, columns, step, channels).mean(axis=(2, 4))
    return inputs.reshape(len(inputs), -1)


def _counts(words: Sequence[Sequence[int]]) -> Floats:
    counts = np.zeros((len(words), WIDEST_RAW), dtype=np.float32)
    for row, found in enumerate(words):
        np.add.at(counts[row], np.asarray(found, dtype=np.int64) % WIDEST_RAW, 1.0)
    return np.log1p(counts)


def writer(path: Path, items: int, width: int) -> Any:
    """A new array [items, width] on disk, to be filled."""
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(items, width))
