"""CIFAR-10 from a local copy of its archive, the binary one or the one for Python.

The latter holds pickles. They are never unpickled in the usual way, which would run whatever they say: the unpickler
here knows no class at all but two of its own, which only hold what they are given.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.builtin.public import TEST, TRAIN, PublicData, bad

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""As the archives themselves name them, in their order."""
PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
LARGEST_MEMBER = 128 * 2**20
Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def read_cifar10(archive: Path) -> PublicData:
    """All images of an archive.

    Raises:
        BadData: it is cut off, or holds something else.
    """
    batches: dict[str, Batch] = {}
    for name, data in _members(archive):
        stem = PurePosixPath(name).name.removesuffix(".bin")
        if stem in {*BATCHES, TEST_BATCH}:
            batches[stem] = _binary(data, name) if name.endswith(".bin") else _pickled(data, name)
    if TEST_BATCH not in batches or not any(name in batches for name in BATCHES):
        raise bad("wrong_content", "this archive holds no data_batch and test_batch, as CIFAR-10 does", archive.name)
    ordered = [name for name in (*BATCHES, TEST_BATCH) if name in batches]
    planes = np.concatenate([batches[name][0] for name in ordered])
    sides = [TEST if name == TEST_BATCH else TRAIN for name in ordered for _ in range(len(batches[name][1]))]
    return PublicData(
        images=np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)),
        labels=np.array(LABELS)[np.concatenate([batches[name][1] for name in ordered])],
        sides=np.array(sides),
    )


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The plain files of an archive, one at a time. Nothing is written to disk, so that no path can lead astray."""
    try:
        with tarfile.open(archive, "r:*") as opened:
            for member in opened:
                stream = opened.extractfile(member) if member.isreg() else None
                if stream is None:
                    continue
                if member.size > LARGEST_MEMBER:
                    raise bad(
                        "too_large", f"it claims {member.size} bytes; at most {LARGEST_MEMBER} are read", member.name
                    )
                data = stream.read()
                if len(data) != member.size:
                    raise bad("cut_off", "the archive ends inside this file", member.name)
                yield member.name, data
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise bad("cut_off", f"the archive cannot be read to its end: {error}", archive.name) from error


def _binary(data: bytes, name: str) -> Batch:
    if not data or len(data) % RECORD:
        raise bad("wrong_content", f"it has {len(data)} bytes, which is not a number of records of {RECORD}", name)
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, RECORD)
    return records[:, 1:], _checked(records[:, 0], name)


def _pickled(data: bytes, name: str) -> Batch:
    try:
        batch = _HarmlessUnpickler(io.BytesIO(data), encoding="bytes").load()
        pixels, labels = batch[b"data"].array(), np.array(batch[b"labels"], dtype=np.int64)
    except Exception as error:
        # The bytes are foreign: a pickle made to break its reader raises what it likes.
        raise bad("wrong_content", f"this is no batch of CIFAR-10: {error!r}", name) from error
    if pixels.ndim != 2 or pixels.shape != (len(labels), PIXELS):
        raise bad("wrong_content", f"data of {list(pixels.shape)} for {len(labels)} labels", name)
    return pixels, _checked(labels, name)


def _checked(labels: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if len(labels) and (labels.min() < 0 or labels.max() >= len(LABELS)):
        raise bad(
            "wrong_content", f"its labels go from {labels.min()} to {labels.max()}, and CIFAR-10's from 0 to 9", name
        )
    return labels.astype(np.uint8)


class _HeldArray:
    """What a pickled array says of itself, kept as it is."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def array(self) -> NDArray[np.uint8]:
        """The bytes it holds. Raises: ValueError: they are not what it claims."""
        _, shape, dtype, by_columns, data = self.state
        if not isinstance(dtype, _HeldType) or dtype.name != "u1" or not isinstance(data, bytes):
            raise ValueError("it holds no bytes")
        array = np.frombuffer(data, dtype=np.uint8)
        return array.reshape(shape, order="F" if by_columns else "C")


class _HeldType:
    """The name of a pickled array's type."""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name.decode() if isinstance(name, bytes) else name

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like, of no use for bytes."""


def _held(*_: Any) -> _HeldArray:
    return _HeldArray()


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in {"latin1", b"latin1"}:
        raise pickle.UnpicklingError(f"the encoding {encoding!r} has no place in CIFAR-10")
    return text.encode("latin-1")


class _HarmlessUnpickler(pickle.Unpickler):
    """Builds numbers, texts, lists and dictionaries, and for arrays what only holds their bytes."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            "numpy.core.multiarray._reconstruct": _held,
            "numpy._core.multiarray._reconstruct": _held,
            "numpy.ndarray": _HeldArray,
            "numpy.dtype": _HeldType,
            "_codecs.encode": _encoded,
        }
        try:
            return known[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which has no place in CIFAR-10") from None
