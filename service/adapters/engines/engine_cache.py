"""Findings of trials, kept on disk under a name that says all they depend on, so that a restart need not try again.

Several processes may share one: who wants what another is about to find out waits for it, and what is kept is written
beside its place and renamed. The least recently used go when there is too much.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)

_DECIDING = ("saved_model.pb", "variables", "assets")
_UNFINISHED = ".trial-"
_LOCK = ".lock-"


class EngineCache:
    """A directory of findings, at most so many bytes of them."""

    def __init__(self, directory: Path | None, most_bytes: int) -> None:
        """Without a ``directory`` nothing is kept."""
        self._directory, self._most_bytes = directory, most_bytes

    def find(self, key: str) -> Path | None:
        """The findings of this name, if they are there."""
        if self._directory is None:
            return None
        place = self._directory / key
        try:
            os.utime(place)
        except OSError:
            return None
        return place

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Nobody else, in this process or another, is at the findings of this name meanwhile. Blocks; who dies lets
        go. Where nothing can be kept, nobody is waited for.
        """
        place = self._directory and self._directory / f"{_LOCK}{key}"
        lock = _locked(place) if place is not None else None
        try:
            yield
        finally:
            if place is not None and lock is not None:
                place.unlink(missing_ok=True)
                os.close(lock)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory for findings to be; gone afterwards unless they were kept."""
        place = self._new_place()
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _new_place(self) -> Path:
        if self._directory is not None:
            try:
                self._directory.mkdir(parents=True, exist_ok=True)
                return Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._directory))
            except OSError as error:
                log.warning("compiled models cannot be kept for the next start: %s", error)
        return Path(tempfile.mkdtemp(prefix="graft-trial-"))

    def keep(self, scratch: Path, key: str) -> Path:
        """Give findings their name; where they are now."""
        if self._directory is None or scratch.parent != self._directory:
            return scratch
        place = self._directory / key
        try:
            scratch.rename(place)
        except OSError:
            return scratch  # another process was first; what is in scratch serves this time
        self._make_room(self._directory, key)
        return place

    def discard(self, key: str) -> None:
        """They are of no use."""
        if self._directory is not None:
            shutil.rmtree(self._directory / key, ignore_errors=True)

    def _make_room(self, directory: Path, newest: str) -> None:
        sizes: dict[Path, int] = {}
        for place in directory.iterdir():
            with contextlib.suppress(OSError):  # another process may make room at the same time
                sizes[place] = sum(file.stat().st_size for file in place.iterdir())
        surplus = sum(sizes.values()) - self._most_bytes
        for place in sorted(sizes, key=_last_used):
            if surplus <= 0:
                return
            if place.name != newest and not place.name.startswith(_UNFINISHED):
                shutil.rmtree(place, ignore_errors=True)
                surplus -= sizes[place]


def _locked(file: Path) -> int | None:
    """A descriptor that holds the lock on this file, made where there is none; None where that cannot be."""
    while True:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            return None  # nor can anything be kept there: whoever tries to says so
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), file.stat()):
                return descriptor
        except FileNotFoundError:
            pass  # whoever held it removed it: what we have is the lock of nothing
        except OSError:
            os.close(descriptor)
            return None  # this file system has no locks
        os.close(descriptor)


def _last_used(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except OSError:
        return 0.0


def content_of(directory: Path) -> str:
    """The digest of all that decides what a SavedModel answers. Raises: OSError."""
    digest = hashlib.sha256()
    for part in _DECIDING:
        root = directory / part
        for file in [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file()):
            with file.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            digest.update(f"{found}  {file.relative_to(directory)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def has_nvidia() -> bool:
    """Whether there may be a GPU that TensorFlow can use: only it can tell for sure."""
    return Path("/dev/nvidiactl").exists() and os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1")


@cache
def processor() -> str:
    """What a compiled graph runs on: it is made for these instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    told = (line.partition(":") for line in lines if line.startswith(("model name", "flags")))
    return " ".join({name.strip(): value.strip() for name, _, value in told}.values())
