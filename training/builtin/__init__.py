"""Data sets that are known by name, written as the NPZ file a person would have uploaded.

``builtin:digits:FIRST-LAST`` and ``builtin:blobs:SEED`` need no file. ``builtin:cifar10:ARCHIVE``,
``builtin:mnist:FOLDER`` and ``builtin:fashion_mnist:FOLDER`` read local copies; nothing is ever fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.builtin.cifar import read_cifar10
from training.builtin.generated import blobs, digits
from training.builtin.idx import FASHION_LABELS, MNIST_LABELS, idx_files, read_idx
from training.builtin.public import PublicData, hold_digest
from training.errors import BadRecipe

__all__ = ["KNOWN", "SCHEME", "blobs", "digits", "materialise"]

SCHEME = "builtin:"
KNOWN = ("digits", "blobs", "cifar10", "mnist", "fashion_mnist")
SIDE = "side"
"""The array that says which side the makers of a public data set put an item on."""


def materialise(uri: str, directory: Path, digest: str | None = None) -> Path:
    """The file of a known data set, written into a directory.

    Args:
        digest: sha256 that a local copy must have; of a folder, that of its four files one after the other.

    Raises:
        BadRecipe: there is no such data, or scikit-learn is not installed.
        BadData: the local copy is not what it ought to be.
    """
    name, _, argument = uri.removeprefix(SCHEME).partition(":")
    if name not in KNOWN:
        raise BadRecipe(f"there is no built-in data {name!r}; there are {', '.join(KNOWN)}")
    if name in {"digits", "blobs"}:
        return _saved(directory / f"{name}-{argument or 'all'}.npz", _generated(uri, name, argument))
    found = _public(uri, name, argument, digest)
    return _saved(directory / f"{name}.npz", {"x": found.images, "y": found.labels, SIDE: found.sides})


def _generated(uri: str, name: str, argument: str) -> dict[str, Any]:
    try:
        if name == "blobs":
            x, y = blobs(int(argument or 1))
            return {"x": x, "y": y}
        first, _, last = (argument or "0-9").partition("-")
        images, labels = digits(int(first), int(last or first))
    except ValueError as error:
        raise BadRecipe(f"{uri!r} is not built-in data: {error}") from error
    except ImportError as error:
        raise BadRecipe("built-in data needs scikit-learn: install graft[presets]") from error
    return {"x": images, "y": labels}


def _public(uri: str, name: str, argument: str, digest: str | None) -> PublicData:
    place = Path(argument)
    kind = "archive" if name == "cifar10" else "folder with four files"
    if not argument or not (place.is_file() if name == "cifar10" else place.is_dir()):
        raise BadRecipe(f"{uri!r}: give the path of a local {kind} after the name, {SCHEME}{name}:PATH")
    if name == "cifar10":
        hold_digest([place], digest, place.name)
        return read_cifar10(place)
    hold_digest(idx_files(place), digest, place.name)
    return read_idx(place, MNIST_LABELS if name == "mnist" else FASHION_LABELS)


def _saved(path: Path, arrays: dict[str, Any]) -> Path:
    np.savez(path, **arrays)
    return path
