"""Publishing: a version appears in the repository whole, or not at all.

It is written into a hidden sibling, verified there by a fresh process, flushed to disk and renamed. Numbers only grow,
a number that was taken meanwhile is passed over, and what a job has published once it does not publish again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from service.domain.artifact import (
    CHECKSUMS,
    HIDDEN_PREFIX,
    MANIFEST,
    MAX_VERSION,
    Manifest,
    checksums,
    content_digest,
    version_number,
)
from service.domain.errors import InvalidInput
from training.errors import BadArtifact
from training.verify import digests

LOCK_SUFFIX = ".lock"
NUMBERING = f"{HIDDEN_PREFIX}numbering{LOCK_SUFFIX}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version ready to be published."""

    model: str
    files: Path
    """The exported files, laid out as in the version."""
    manifest: Manifest
    """Complete but for ``digest`` and ``files``."""
    documents: Mapping[PurePosixPath, bytes]
    """Report and cards, by their place in the version."""


def publish(repository: Path, candidate: Candidate, verify: Callable[[Path], object]) -> int:
    """The number of the new version, or of the one this candidate's job has published before.

    Args:
        verify: called with the complete hidden directory; raises when it is not sound, and then nothing is published.
    """
    home = repository / candidate.model
    home.mkdir(parents=True, exist_ok=True)
    remove_leftovers(home)
    earlier = published_by(home, candidate.manifest.job_id)
    if earlier is not None:
        return earlier
    with _staging(home, candidate.model) as staged:
        shutil.copytree(candidate.files, staged, dirs_exist_ok=True)
        complete(staged, candidate)
        verify(staged)
        _flush(staged)
        with _numbering(home):
            # Asked again under the lock: of two runs of one job only one may pass here.
            earlier = published_by(home, candidate.manifest.job_id)
            return earlier if earlier is not None else _reveal(staged, home)


def complete(staged: Path, candidate: Candidate) -> Manifest:
    """Write documents, checksums and, last, the manifest into a directory that holds the exported files."""
    for place, content in candidate.documents.items():
        (staged / place).parent.mkdir(parents=True, exist_ok=True)
        (staged / place).write_bytes(content)
    (staged / CHECKSUMS).write_text(checksums(digests(staged)), encoding="utf-8")
    files = digests(staged)
    manifest = replace(candidate.manifest, files=files)
    manifest = replace(manifest, digest=content_digest(manifest))
    (staged / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def versions(home: Path) -> list[int]:
    """The numbers there are under a model, in order."""
    if not home.is_dir():
        return []
    return sorted(number for entry in home.iterdir() if (number := version_number(entry.name)) is not None)


def published_by(home: Path, job_id: str | None) -> int | None:
    """The version a job has published under a model, if any."""
    if job_id is None:
        return None
    for number in reversed(versions(home)):
        try:
            manifest = Manifest.from_json((home / str(number) / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, InvalidInput):
            # Put there by someone else, in a form of their own: then it is not this job's.
            continue
        if manifest.job_id == job_id:
            return number
    return None


def remove_leftovers(home: Path) -> None:
    """Remove hidden directories whose writers are dead: those whose lock can be taken."""
    for lock in home.glob(f"{HIDDEN_PREFIX}*{LOCK_SUFFIX}"):
        if lock.name == NUMBERING:
            continue
        with _lock_file(lock, os.O_RDWR) as descriptor:
            if descriptor is not None and _take(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)


@contextmanager
def _staging(home: Path, model: str) -> Iterator[Path]:
    """A hidden empty directory whose lock is held as long as this process lives; gone afterwards unless renamed."""
    while True:
        staged = home / f"{HIDDEN_PREFIX}{model}.{secrets.token_hex(6)}"
        lock = staged.with_name(staged.name + LOCK_SUFFIX)
        with _lock_file(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL) as descriptor:
            assert descriptor is not None
            # A cleaner may have taken the lock between its creation and now, and have removed the file.
            if not _take(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB) or not _is_still(lock, descriptor):
                continue
            staged.mkdir()
            try:
                yield staged
            finally:
                shutil.rmtree(staged, ignore_errors=True)
                lock.unlink(missing_ok=True)
            return


@contextmanager
def _numbering(home: Path) -> Iterator[None]:
    """One publisher of a model at a time gives itself a number."""
    with _lock_file(home / NUMBERING, os.O_RDWR | os.O_CREAT) as descriptor:
        assert descriptor is not None
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _reveal(staged: Path, home: Path) -> int:
    """Rename to the next free number. Raises: BadArtifact: the numbers are used up."""
    number = max(versions(home), default=0) + 1
    while True:
        if number > MAX_VERSION:
            raise BadArtifact(f"{home.name} has a version {MAX_VERSION}, and there is no number after that")
        try:
            staged.rename(home / str(number))
        except OSError as error:
            # Someone who does not know of the lock took this number; a rename never replaces a directory with content.
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise
            number += 1
        else:
            _flush_one(home)
            return number


@contextmanager
def _lock_file(path: Path, flags: int) -> Iterator[int | None]:
    try:
        descriptor = os.open(path, flags, 0o644)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    return True


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _flush(directory: Path) -> None:
    """Force every file and folder to disk, the deepest first."""
    for path in sorted(directory.rglob("*"), reverse=True):
        _flush_one(path)
    _flush_one(directory)


def _flush_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def provenance(job_id: str | None, **facts: Any) -> dict[str, Any]:
    """What a manifest says of its origin: the given facts, and the libraries at work."""
    from importlib.metadata import version

    libraries = {name: version(name) for name in ("tensorflow", "keras", "numpy", "scipy")}
    return {"job_id": job_id, "libraries": libraries, **facts}
