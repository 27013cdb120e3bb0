"""MNIST and Fashion-MNIST from a local folder with their four files, packed with gzip or not."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.builtin.public import TEST, TRAIN, PublicData, bad

FILES = {
    TRAIN: ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    TEST: ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
MNIST_LABELS = tuple(map(str, range(10)))
FASHION_LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
UNSIGNED_BYTES = 8
LARGEST = 2**30
"""Bytes of one file, unpacked."""


def idx_files(folder: Path) -> list[Path]:
    """The four files, in the order in which their digest is made. Raises: BadData: one is missing."""
    found = []
    for name in (name for names in FILES.values() for name in names):
        file = next((file for file in (folder / f"{name}.gz", folder / name) if file.is_file()), None)
        if file is None:
            raise bad("missing_file", f"there is no {name}.gz in this folder", folder.name)
        found.append(file)
    return found


def read_idx(folder: Path, names: tuple[str, ...]) -> PublicData:
    """All images of a folder; ``names`` are the classes in order.

    Raises:
        BadData: a file is missing, cut off, or holds something else.
    """
    train_images, train_labels, test_images, test_labels = idx_files(folder)
    images, labels, sides = [], [], []
    for side, image_file, label_file in ((TRAIN, train_images, train_labels), (TEST, test_images, test_labels)):
        pixels, numbers = _array(image_file, 3), _array(label_file, 1)
        if len(pixels) != len(numbers):
            raise bad("wrong_content", f"{len(pixels)} images, but {len(numbers)} labels", label_file.name)
        if len(numbers) and numbers.max() >= len(names):
            raise bad("wrong_content", f"it holds the label {numbers.max()}; there are {len(names)}", label_file.name)
        images.append(pixels[..., None])
        labels.append(np.array(names)[numbers])
        sides.append(np.full(len(numbers), side))
    if images[0].shape[1:] != images[1].shape[1:]:
        raise bad("wrong_content", "training and test images are of different sizes", folder.name)
    return PublicData(np.concatenate(images), np.concatenate(labels), np.concatenate(sides))


def _array(file: Path, dimensions: int) -> NDArray[np.uint8]:
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise bad("cut_off", f"the file cannot be read to its end: {error}", file.name) from error
    header = 4 + 4 * dimensions
    if len(data) > LARGEST:
        raise bad("too_large", f"unpacked, it has over {LARGEST} bytes", file.name)
    if len(data) < header or data[:4] != bytes((0, 0, UNSIGNED_BYTES, dimensions)):
        raise bad("wrong_content", f"it does not begin as an IDX file of bytes in {dimensions} dimensions", file.name)
    shape = tuple(np.frombuffer(data, dtype=">u4", count=dimensions, offset=4).tolist())
    count = int(np.prod(shape, dtype=object))
    if len(data) - header != count:
        code = "cut_off" if len(data) - header < count else "wrong_content"
        raise bad(code, f"its header claims {list(shape)}, {count} bytes, where {len(data) - header} are", file.name)
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape)
