"""Files in a directory that an operator shares with us, named by paths below it.

A name leads to a plain file below the directory or nowhere: every folder on the way is opened from the one above it,
and no link is followed, so that nothing renamed meanwhile leads out either. The bytes are copied, not linked: a second
name would leave them for others to change. Where the file system can share blocks until one side writes, the copy does.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from service.domain.errors import Conflict, InvalidInput, NoRoom, UploadTooLarge

PIECE = 64 * 2**20
LONGEST = 1024


class SharedDirectory:
    """The ``SharedFiles`` port."""

    def __init__(self, root: Path) -> None:
        """Raises: OSError, there is no such directory."""
        os.close(os.open(root, os.O_RDONLY | os.O_DIRECTORY))
        self._root = root

    def copy(self, reference: str, into: Path, most_bytes: int, wanted: Callable[[], bool]) -> None:
        """As the port says."""
        source = self._opened(_parts(reference))
        try:
            before = os.fstat(source)
            if before.st_size > most_bytes:
                raise UploadTooLarge(f"the file is larger than this server accepts: {most_bytes} bytes")
            with into.open("wb") as target:
                _copied(source, target.fileno(), before.st_size, wanted)
            after = os.fstat(source)
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise Conflict("the file was changed while it was read; refer to it again when it is whole")
        finally:
            os.close(source)

    def _opened(self, parts: list[str]) -> int:
        """Raises: InvalidInput, it is no plain file below the root."""
        *folders, name = parts
        try:
            place = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for folder in folders:
                above = place
                try:
                    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
                finally:
                    os.close(above)
            try:
                found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
            finally:
                os.close(place)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.EIO):
                raise
            raise InvalidInput(f"no plain file can be read at {'/'.join(parts)[:200]!r}") from error
        if not stat.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise InvalidInput(f"{'/'.join(parts)[:200]!r} is no plain file")
        return found


def _parts(reference: str) -> list[str]:
    parts = reference.split("/")
    if len(reference) > LONGEST or "\0" in reference or any(part in ("", ".", "..") for part in parts):
        raise InvalidInput("a reference is a path such as set/flowers.zip: relative, and without . or .. in it")
    return parts


def _copied(source: int, target: int, size: int, wanted: Callable[[], bool]) -> None:
    done = 0
    try:
        while done < size and wanted():
            try:
                count = os.copy_file_range(source, target, min(PIECE, size - done))
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
                count = os.write(target, os.read(source, min(2**20, size - done)))
            if not count:
                break  # it shrank, which is told by who compares
            done += count
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise NoRoom("there is no room left for the file where this server keeps its data") from error
