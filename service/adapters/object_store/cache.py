"""The directory that mirrors a store: versions come into it whole and leave it at once, by one rename each.

What it brought in carries a mark; whatever else lies there is somebody else's and is left alone. One process at a time
writes; the others that serve the same read.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from service.domain.artifact import HIDDEN_PREFIX, REFUSED, version_number
from service.domain.versions import VersionId

_MARK = f"{HIDDEN_PREFIX}mirrored.json"
_UNFINISHED = f"{HIDDEN_PREFIX}mirroring-"
_LOCK = f"{HIDDEN_PREFIX}mirror.lock"
_STATUS = f"{HIDDEN_PREFIX}mirror.json"
_EXCHANGE, _HERE = 2, -100


@dataclass(frozen=True, slots=True)
class Held:
    """A version as it was brought in; ``stamp`` is of what the store had then."""

    stamp: str
    size: int
    base: VersionId | None = None
    refused: bool = False
    """Whether only a word stands in its place, why it was not let in."""


@dataclass(frozen=True, slots=True)
class Status:
    """How the mirror is, for all who read it."""

    url: str = ""
    complete: bool = False
    """Whether all that is needed of what the store held at a look has been brought in, or refused, since the writer
    began.
    """
    problem: str | None = None
    """Why the store could not be looked at, if so."""


class Cache:
    """A directory of versions."""

    def __init__(self, root: Path) -> None:
        """Raises: OSError."""
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self._lock: int | None = None
        self._read: tuple[int, Status] = (0, Status())

    def write_alone(self, url: str) -> bool:
        """Become the one process that writes here, if there is none; then what another left unfinished, and what was
        brought from another store, is removed.
        """
        if self._lock is not None:
            return True
        descriptor = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        for unfinished in self.root.glob(f"*/{_UNFINISHED}*"):
            shutil.rmtree(unfinished)
        before = self.status()
        if before.url not in ("", url):
            for place in self.held():
                self.drop(place)
        return True

    def close(self) -> None:
        """Let another process write."""
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None

    def held(self) -> Mapping[str, Held]:
        """What was brought in, by place."""
        found = {}
        for model in _folders(self.root):
            for version in _folders(self.root / model):
                if version_number(version) is not None and (one := _mark(self.root / model / version)) is not None:
                    found[f"{model}/{version}"] = one
        return found

    @contextmanager
    def bringing_in(self, place: str) -> Iterator[Path]:
        """A hidden empty directory beside a version's place, gone after the block unless it took that place."""
        home = (self.root / place).parent
        home.mkdir(exist_ok=True)
        staged = home / f"{_UNFINISHED}{secrets.token_hex(6)}"
        staged.mkdir()
        try:
            yield staged
        finally:
            _remove(staged)

    def let_in(self, staged: Path, place: str, held: Held) -> None:
        """Flush what lies in a hidden directory to disk, and give it its place; what was there goes.

        Raises:
            FileExistsError: what is there was not brought in from the store.
        """
        (staged / _MARK).write_text(json.dumps(asdict(held)), encoding="utf-8")
        for path in sorted(staged.rglob("*"), reverse=True):
            _flush(path)
        _flush(staged)
        final = self.root / place
        if final.exists():
            if _mark(final) is None:
                raise FileExistsError(f"{final} is there and did not come from the store")
            _swap(staged, final)
        else:
            staged.rename(final)
        _flush(final.parent)

    def refuse(self, place: str, stamp: str, reason: str) -> None:
        """Where nothing is held, say why: whoever lists the directory repeats it."""
        with self.bringing_in(place) as staged:
            (staged / REFUSED).write_text(reason, encoding="utf-8", errors="replace")
            self.let_in(staged, place, Held(stamp, 0, refused=True))

    def drop(self, place: str) -> None:
        """Remove a version: first its name, then its files."""
        final = self.root / place
        gone = final.with_name(f"{_UNFINISHED}{secrets.token_hex(6)}")
        final.rename(gone)
        _remove(gone)
        try:
            final.parent.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    def tell(self, status: Status) -> None:
        """Let all readers know how the mirror is."""
        unfinished = self.root / f"{_STATUS}.{secrets.token_hex(4)}"
        unfinished.write_text(json.dumps(asdict(status)), encoding="utf-8")
        unfinished.replace(self.root / _STATUS)

    def status(self) -> Status:
        """What was told last, by whichever process."""
        try:
            changed = (self.root / _STATUS).stat().st_mtime_ns
            if changed != self._read[0]:
                told = json.loads((self.root / _STATUS).read_text(encoding="utf-8"))
                self._read = (changed, Status(**told))
        except (OSError, ValueError, TypeError):
            return Status()
        return self._read[1]


def _folders(root: Path) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return [one.name for one in entries if not one.name.startswith(HIDDEN_PREFIX) and one.is_dir()]
    except FileNotFoundError:
        return []


def _mark(version: Path) -> Held | None:
    try:
        raw = json.loads((version / _MARK).read_text(encoding="utf-8"))
        base = raw.pop("base")
        return Held(**raw, base=VersionId(**base) if base else None)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remove(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)


def _swap(one: Path, other: Path) -> None:
    """Let two directories trade places: whoever looks sees the one or the other, and never neither."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None, use_errno=True)
        if library.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EINVAL):
            raise OSError(number, os.strerror(number), str(other))
    aside = one.with_name(f"{_UNFINISHED}{secrets.token_hex(6)}")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
