"""Where image files lie, so that they can be read again, some at a time; and names of places without a text each."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import tempfile
import zipfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Protocol, overload

LARGEST_ITEM = 64 * 2**20
"""Bytes of one image file."""


class Images(Protocol):
    """The image files of a dataset."""

    def read(self, items: Iterable[int]) -> Iterator[bytes]:
        """The files of some items, one after the other."""


@dataclass(frozen=True)
class ZipImages:
    """Entries of a zip archive, by their index in its directory."""

    path: Path
    entries: Sequence[int]

    def read(self, items: Iterable[int]) -> Iterator[bytes]:
        """As the protocol says."""
        archive, directory = self._opened
        for item in items:
            yield archive.read(directory[self.entries[item]])

    @cached_property
    def _opened(self) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
        """Opened once: an archive's directory is read whole each time, which for every batch would be quadratic."""
        archive = zipfile.ZipFile(self.path)
        return archive, archive.infolist()


@dataclass(frozen=True, slots=True)
class FolderImages:
    """Files of a folder, by their path in it."""

    path: Path
    names: Sequence[str]

    def read(self, items: Iterable[int]) -> Iterator[bytes]:
        """As the protocol says."""
        for item in items:
            yield read_plain_file(self.path / self.names[item], LARGEST_ITEM)


@dataclass(frozen=True, slots=True)
class SliceImages:
    """Pieces of one file, each holding an image in some wrapping."""

    path: Path
    offsets: Sequence[int]
    lengths: Sequence[int]
    unwrap: Callable[[bytes], bytes]

    def read(self, items: Iterable[int]) -> Iterator[bytes]:
        """As the protocol says."""
        with self.path.open("rb") as stream:
            for item in items:
                stream.seek(self.offsets[item])
                yield self.unwrap(stream.read(self.lengths[item]))


@dataclass(frozen=True)
class InflatedImages:
    """Pieces of a file in gzip, by where they lie once it is inflated. Gzip cannot be read from the middle: at the
    first reading the whole is inflated into a file without a name, which goes with the process.
    """

    path: Path
    offsets: Sequence[int]
    lengths: Sequence[int]

    def read(self, items: Iterable[int]) -> Iterator[bytes]:
        """As the protocol says."""
        descriptor = self._inflated.fileno()
        for item in items:
            yield os.pread(descriptor, self.lengths[item], self.offsets[item])

    @cached_property
    def _inflated(self) -> IO[bytes]:
        beside = self.path.parent if os.access(self.path.parent, os.W_OK) else None
        whole = tempfile.TemporaryFile(dir=beside)  # noqa: SIM115 - held as long as this is
        with gzip.open(self.path, "rb") as stream:
            shutil.copyfileobj(stream, whole, 2**20)
        whole.flush()
        return whole


@dataclass(frozen=True, slots=True)
class Numbered(Sequence[str]):
    """Places such as ``row 7``: the numbers are held, and become texts when they are asked for."""

    noun: str
    numbers: array[int]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, item: int) -> str: ...
    @overload
    def __getitem__(self, item: slice) -> Sequence[str]: ...
    def __getitem__(self, item: int | slice) -> str | Sequence[str]:
        if isinstance(item, slice):
            return [f"{self.noun} {number}" for number in self.numbers[item]]
        return f"{self.noun} {self.numbers[item]}"


def as_it_is(data: bytes) -> bytes:
    """An image without any wrapping."""
    return data


def read_plain_file(path: Path, most: int) -> bytes:
    """A file's bytes, but no more than show that it is larger than ``most``.

    Raises:
        OSError: it cannot be read, or is a link, a pipe or a device, which might lead anywhere or never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path.name} is no plain file")
        return stream.read(most + 1)
