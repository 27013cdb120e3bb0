"""Uploads in parts, in a local directory: ``<id>/{upload.json,content,journal}`` each.

Every part is written at its own place in one sparse file, so that the whole is there once, when it is there at all. A
part counts when its line is in the journal, and its bytes are on the disk before that; so whatever is killed when, what
is there is what was said. A part that is being written is locked at its place in the file, and all of it while it is
being used: such locks hold over threads and processes, and die with who holds them.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from service.adapters.upload_directory.journal import JOURNAL, as_json, as_upload, not_found, note, read_lines
from service.adapters.upload_directory.part_file import PartFile
from service.domain.errors import NoRoom, Overloaded, UploadNotFound
from service.domain.uploads import Upload

ABOUT, CONTENT, WHOLE = "upload.json", "content", "whole"
_ID = re.compile(r"up-[0-9a-f]{20}")
_NEW, _GONE = ".new-", ".gone-"
_TO_THE_END = 0


class UploadDirectory:
    """The ``UploadStore`` port. Any number of processes may use one directory."""

    def __init__(self, directory: Path) -> None:
        self._root = directory
        directory.mkdir(parents=True, exist_ok=True)

    def add(self, upload: Upload, admit: Callable[[Sequence[Upload], int], None]) -> None:
        """As the port says."""
        new, place = self._root / f"{_NEW}{upload.id}", self._root / upload.id
        with self._one_at_a_time(), _room_told():
            there = self.uploads()
            unwritten = sum(max(0, one.reserved_bytes - one.received_bytes) for one in there)
            admit(there, shutil.disk_usage(self._root).free - unwritten)
            new.mkdir()
            try:
                with (new / CONTENT).open("wb") as content:
                    content.truncate(upload.size or 0)
                (new / JOURNAL).touch()
                _write_down(new / ABOUT, json.dumps(as_json(upload)).encode())
                _sync(new)
                new.rename(place)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
            _sync(self._root)

    def upload(self, id: str) -> Upload:
        """As the port says."""
        place = self._place(id)
        try:
            about = json.loads((place / ABOUT).read_bytes())
            journal = (place / JOURNAL).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise not_found() from error
        return as_upload(about, read_lines(journal))

    def uploads(self) -> Sequence[Upload]:
        """As the port says."""
        found = []
        for place in self._root.iterdir():
            if _ID.fullmatch(place.name):
                with suppress(UploadNotFound):
                    found.append(self.upload(place.name))
        return found

    @contextmanager
    def receive(self, upload: Upload, number: int, most_bytes: int) -> Iterator[PartFile]:
        """As the port says."""
        start = upload.offset(number)
        with self._locked(upload.id, start, most_bytes, f"part {number} of this upload is being received") as content:
            yield PartFile(self._place(upload.id), content, number, start)

    @contextmanager
    def whole(self, id: str) -> Iterator[Path]:
        """As the port says."""
        place = self._place(id)
        path = place / WHOLE
        with self._locked(
            id, 0, _TO_THE_END, "parts of this upload are being received, or it is being used"
        ) as content:
            # What lies among the datasets is left alone by sweeps for as long as it is locked in this way.
            fcntl.flock(content, fcntl.LOCK_EX)
            path.unlink(missing_ok=True)
            # A second name of the same bytes: taken away when they are kept, while the upload still has its own.
            path.hardlink_to(place / CONTENT)
            try:
                yield path
            finally:
                path.unlink(missing_ok=True)

    def seal(self, id: str, size: int, at: float) -> None:
        """As the port says."""
        place = self._place(id)
        os.truncate(place / CONTENT, size)
        note(place, {"sealed": True, "at": at})

    def finish(self, id: str, dataset_id: str, at: float) -> None:
        """As the port says."""
        place = self._place(id)
        note(place, {"dataset": dataset_id, "at": at})
        (place / CONTENT).unlink(missing_ok=True)

    def discard(self, id: str) -> None:
        """As the port says."""
        place = self._place(id)
        if (place / CONTENT).exists():
            with self._locked(id, 0, _TO_THE_END, "parts of this upload are being received, or it is being used"):
                self._remove(place)
        else:
            self._remove(place)

    def sweep(self) -> int:
        """As the port says."""
        with self._one_at_a_time():
            left = [path for path in self._root.iterdir() if path.name.startswith((_NEW, _GONE))]
            for path in left:
                shutil.rmtree(path, ignore_errors=True)
        return len(left)

    def _remove(self, place: Path) -> None:
        gone = self._root / f"{_GONE}{secrets.token_hex(6)}"
        try:
            place.rename(gone)
        except FileNotFoundError as error:
            raise not_found() from error
        shutil.rmtree(gone, ignore_errors=True)

    def _place(self, id: str) -> Path:
        if not _ID.fullmatch(id):
            raise not_found()
        return self._root / id

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _locked(self, id: str, start: int, length: int, busy: str) -> Iterator[int]:
        try:
            descriptor = os.open(self._place(id) / CONTENT, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise not_found() from error
        try:
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
            try:
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, asked)
            except (BlockingIOError, PermissionError) as error:
                raise Overloaded(f"{busy}; try again") from error
            with _room_told():
                yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _room_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise NoRoom("there is no room left for the upload where this server keeps its data") from error


def _write_down(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
