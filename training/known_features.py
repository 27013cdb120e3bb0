"""What a base made of items in earlier jobs, kept on disk by the item's digest, so that more data costs only the new.

A job adds one segment: a folder of arrays, written aside and renamed, never changed after. So jobs may read and add at
the same time, and whatever is killed leaves a whole segment or none. All together are bounded in bytes; the segments
that were not used for longest go. A segment that cannot be read, or that says something else than the base says now, is
removed and computed anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import Manifest

Floats = NDArray[np.float32]
DIGESTS = "digests.npy"
CHUNK = 4_096
"""Items copied at a time."""
STALE_S = 86_400.0
"""What is half written for so long was left by a process that died."""
NEW, GONE = ".new-", ".gone-"


@dataclass(frozen=True, slots=True)
class Segment:
    """Some of the items that are asked for, and where a folder has them."""

    directory: Path
    items: NDArray[np.int64]
    """Their places among those asked for."""
    rows: NDArray[np.int64]
    """Their places in the folder's arrays."""

    def read(self, name: str, chosen: slice) -> Floats:
        """An array's rows of some of them. Raises: OSError, ValueError: it cannot be read."""
        return np.asarray(np.load(self.directory / f"{name}.npy", mmap_mode="r")[self.rows[chosen]])

    def touch(self) -> None:
        """Note that it was used."""
        with suppress(FileNotFoundError):
            os.utime(self.directory)

    def remove(self) -> None:
        """It is of no use."""
        _remove(self.directory)


class KnownFeatures:
    """The segments of every base below one directory."""

    def __init__(self, directory: Path, most_bytes: int) -> None:
        self._root, self._most_bytes = directory, most_bytes

    def find(self, base: Manifest, digests: Sequence[str]) -> list[Segment]:
        """Where items with these digests are, each at most once."""
        wanted: dict[bytes, list[int]] = {}
        for item, digest in enumerate(digests):
            wanted.setdefault(bytes.fromhex(digest), []).append(item)
        segments = []
        place = self._root / _key(base)
        for directory in sorted(place.glob("[!.]*")) if place.is_dir() else ():
            try:
                listed = np.load(directory / DIGESTS)
            except (OSError, ValueError):
                _remove(directory)
                continue
            items: list[int] = []
            rows: list[int] = []
            for row, digest in enumerate(listed):
                found = wanted.pop(digest.tobytes(), ())
                items += found
                rows += [row] * len(found)
            if items:
                segments.append(Segment(directory, np.array(items, np.int64), np.array(rows, np.int64)))
        return segments

    def add(
        self, base: Manifest, digests: Sequence[str], arrays: Mapping[str, Floats], items: NDArray[np.int64]
    ) -> None:
        """Keep the rows of some ``items`` of arrays [n, width] by name, whose digests are ``digests``."""
        size = sum(len(items) * array.shape[1] * 4 for array in arrays.values())
        if not len(items) or size > self._most_bytes:
            return
        place = self._root / _key(base)
        place.mkdir(parents=True, exist_ok=True)
        new = place / f"{NEW}{secrets.token_hex(8)}"
        new.mkdir()
        try:
            for name, array in arrays.items():
                kept = np.lib.format.open_memmap(
                    new / f"{name}.npy", mode="w+", dtype=np.float32, shape=(len(items), array.shape[1])
                )
                for start in range(0, len(items), CHUNK):
                    kept[start : start + CHUNK] = array[items[start : start + CHUNK]]
                kept.flush()
            listed = np.frombuffer(b"".join(bytes.fromhex(digest) for digest in digests), np.uint8).reshape(-1, 32)
            np.save(new / DIGESTS, listed)
            for file in new.iterdir():
                _sync(file)
            new.rename(place / secrets.token_hex(8))
        except OSError:
            shutil.rmtree(new, ignore_errors=True)
            raise
        self._keep_within_bounds()

    def _keep_within_bounds(self) -> None:
        with self._one_at_a_time():
            sizes = {}
            for directory in self._root.glob("*/*"):
                with suppress(FileNotFoundError):
                    used = directory.stat().st_mtime
                    if directory.name.startswith("."):
                        if used < time.time() - STALE_S:
                            shutil.rmtree(directory, ignore_errors=True)
                    else:
                        sizes[directory] = (used, sum(file.stat().st_size for file in directory.iterdir()))
            total = sum(size for _, size in sizes.values())
            for directory, (_, size) in sorted(sizes.items(), key=lambda found: found[1][0]):
                if total <= self._most_bytes:
                    break
                _remove(directory)
                total -= size

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _key(base: Manifest) -> str:
    """All that an item's features depend on beside the item: the base with what it does to its input, and its cuts."""
    said = [base.digest, str(base.input), sorted(base.features.items())]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def _remove(directory: Path) -> None:
    """Gone at once for whoever looks, and then from the disk; who is reading goes on reading."""
    gone = directory.with_name(f"{GONE}{secrets.token_hex(8)}")
    with suppress(FileNotFoundError):
        directory.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
