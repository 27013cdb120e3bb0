"""What the loaders of public data sets share: what they give, how they fail, and the digest of an archive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.faults import Fault
from training.errors import BadData

TRAIN, TEST = "train", "test"


@dataclass(frozen=True, slots=True)
class PublicData:
    """Images with their classes and the sides that their makers put them on."""

    images: NDArray[np.uint8]
    """[n, height, width, channels] on 0..255."""
    labels: NDArray[np.str_]
    """[n]."""
    sides: NDArray[np.str_]
    """[n] of ``train`` and ``test``."""


def bad(code: str, message: str, place: str) -> BadData:
    """What is wrong with an archive, and where in it."""
    return BadData([Fault(code, message, place)])


def files_digest(files: Iterable[Path]) -> str:
    """sha256 of a file, or of several one after the other."""
    whole = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(2**20):
                whole.update(chunk)
    return whole.hexdigest()


def hold_digest(files: list[Path], wanted: str | None, place: str) -> None:
    """Raises: BadData: the files are not those that ``dataset.digest`` says, or it says none."""
    found = files_digest(files)
    if wanted is None:
        raise bad("no_digest", f"an archive needs dataset.digest, its sha256; that of this one is {found}", place)
    if found != wanted:
        raise bad("wrong_digest", f"its sha256 is {found}, and dataset.digest says {wanted}", place)
