"""Small labelled data in every format, for tests that need some."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def png(pixels: NDArray[Any]) -> bytes:
    """Pixels [height, width] or [height, width, 3] as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def some_png(number: int, size: int = 8) -> bytes:
    """A picture like no other number's."""
    return png(np.random.default_rng(number).integers(0, 256, size=(size, size)))


def npy(shape: tuple[int, ...], data: bytes = b"", dtype: str = "<f8") -> bytes:
    """An npy file whose header claims this shape, whatever the data is."""
    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


def write_zip(path: Path, entries: Iterable[tuple[str, bytes]]) -> Path:
    """An archive with these entries in this order."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def write_csv(path: Path, rows: Iterable[Iterable[object]]) -> Path:
    """A table with these rows, the first being the header."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def two_classes(each: int = 3) -> list[tuple[str, bytes]]:
    """Entries of a sound archive."""
    return [(f"{label}/{n}.png", some_png(100 * k + n)) for k, label in enumerate(("cat", "dog")) for n in range(each)]
