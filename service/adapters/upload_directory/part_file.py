"""One part of an upload, on its way to its place."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from service.adapters.upload_directory.journal import note
from service.domain.uploads import Part


class PartFile:
    """Where one part is written, piece by piece, and hashed on the way."""

    def __init__(self, place: Path, content: int, number: int, start: int) -> None:
        self._place, self._content, self._number, self._at = place, content, number, start
        self._hash = hashlib.sha256()
        self._bytes = 0

    def write(self, data: bytes | bytearray) -> None:
        """As the port says."""
        self._hash.update(data)
        view = memoryview(data)
        while view:
            written = os.pwrite(self._content, view, self._at)
            self._at += written
            self._bytes += written
            view = view[written:]

    @property
    def part(self) -> Part:
        """As the port says."""
        return Part(self._bytes, self._hash.hexdigest())

    def keep(self, at: float) -> None:
        """As the port says."""
        os.fdatasync(self._content)
        note(self._place, {"part": self._number, "bytes": self._bytes, "sha256": self.part.sha256, "at": at})
