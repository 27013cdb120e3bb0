"""The content of datasets in a local directory: uploads on their way in, and what was kept of them.

Promises that whatever dies when, the next sweep removes what nobody wants and never what somebody is still busy with:
a file on its way is locked by the process that receives it, and the lock follows it to its place and dies with the
process. Does not know what is in the files.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class DatasetDirectory:
    """The ``DatasetFiles`` port over ``<directory>/uploads`` and ``<directory>/datasets``."""

    def __init__(self, directory: Path) -> None:
        self._uploads = directory / "uploads"
        self._kept = directory / "datasets"
        for place in (self._uploads, self._kept):
            place.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """As the port says."""
        descriptor, path = self._locked_new_file()
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def keep(self, file: Path, name: str) -> None:
        """As the port says. The content is on the disk before its name is."""
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        file.replace(self.path(name))
        _sync(self._kept)

    def path(self, name: str) -> Path:
        """As the port says."""
        return self._kept / name

    def discard(self, name: str) -> None:
        """As the port says."""
        self.path(name).unlink(missing_ok=True)

    def sweep(self, wanted: Callable[[], Collection[str]]) -> int:
        """As the port says."""
        swept = sum(_removed_if_free(path, lambda _: True) for path in self._uploads.iterdir())
        names = wanted()
        # A file may have been given its row since the names were asked for; once it is locked here, none can be.
        strays = [path for path in self._kept.iterdir() if path.name not in names]
        return swept + sum(_removed_if_free(path, lambda name: name not in wanted()) for path in strays)

    def _locked_new_file(self) -> tuple[int, Path]:
        while True:
            descriptor, name = tempfile.mkstemp(prefix="upload-", dir=self._uploads)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return descriptor, Path(name)
            os.close(descriptor)  # a sweep was quicker than the lock


def _removed_if_free(path: Path, unwanted: Callable[[str], bool]) -> bool:
    with suppress(FileNotFoundError, BlockingIOError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if unwanted(path.name):
                path.unlink()
                return True
        finally:
            os.close(descriptor)
    return False


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
