"""What versions one base path holds. A directory whose name is no number is nobody's version, and one that starts with
a dot is still being written. Of a manifest only that is kept which serving asks for, and what is alike is kept once:
ten thousand heads differ in their numbers and little else.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from service.application.ports import Listing
from service.domain.artifact import (
    EXTRA,
    GOLDEN,
    HEAD,
    HIDDEN_PREFIX,
    MANIFEST,
    REFUSED,
    SAVED_MODEL,
    TFLITE_MODEL,
    Manifest,
    Route,
    content_digest,
    version_number,
)
from service.domain.errors import InvalidInput
from service.domain.versions import VersionId

Value = TypeVar("Value")

_DECIDING = (
    str(SAVED_MODEL),
    str(TFLITE_MODEL),
    str(MANIFEST),
    str(REFUSED),
    "variables",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
)
"""What is looked at to see whether a version changed."""
_ASKED_FOR = (str(HEAD), str(GOLDEN), str(SAVED_MODEL))
"""Files whose digests are kept."""
_ALIKE = 4096
_NOTHING: Mapping[str, Any] = {}


def versions_in(
    model: str, base_path: Path, before: Sequence[Listing], say: Callable[[str], None]
) -> Sequence[Listing]:
    """Every version in one base path; ``before`` itself, when nothing changed. Raises: OSError."""
    known = {listing.id.version: listing for listing in before}
    by_number: dict[int, str] = {}
    for name in folders(base_path):
        number = version_number(name)
        if number is None:
            continue
        if number in by_number:
            say(f"{base_path / by_number[number]} and {base_path / name} are the same version; the latter is served")
        by_number[number] = name
    found = [_listing(model, number, base_path, by_number[number], known.get(number)) for number in sorted(by_number)]
    same = len(found) == len(before) and all(one is other for one, other in zip(found, before, strict=True))
    return before if same else found


def folders(root: Path) -> list[str]:
    """The names of the folders in a folder that may be listed, sorted. Raises: OSError."""
    with os.scandir(root) as entries:
        return sorted(entry.name for entry in entries if _is_listed(entry))


def _is_listed(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(HIDDEN_PREFIX) or not _is_text(entry.name):
        return False
    try:
        return entry.is_dir()
    except OSError as error:
        # Where it leads cannot be told now, unless it leads to itself; to look inside will say more.
        return error.errno != errno.ELOOP


def _is_text(name: str) -> bool:
    """Whether a name can be written to a client: bytes that are no UTF-8 come from the file system as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listing(model: str, number: int, base_path: Path, name: str, before: Listing | None) -> Listing:
    folder = f"{base_path}/{name}"
    stamp = _stamp(folder)
    if before is not None and before.stamp == stamp and before.id.model == model and str(before.directory) == folder:
        return before
    return _look(VersionId(model, number), base_path / name, stamp)


def _stamp(folder: str) -> str:
    """Changes when the files that decide what the version is do."""
    parts = []
    for path in _DECIDING:
        try:
            status = os.stat(f"{folder}/{path}")  # noqa: PTH116 - thousands are asked for, and a Path costs more than it
        except OSError:
            continue
        parts.append(f"{path}:{status.st_mtime_ns}:{status.st_size}:{status.st_ino}")
    return hashlib.sha256(";".join(parts).encode()).hexdigest()[:16]


def _look(version: VersionId, folder: Path, stamp: str) -> Listing:
    try:
        manifest = Manifest.from_json((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = None
        if (folder / REFUSED).is_file():
            problem = (folder / REFUSED).read_text(encoding="utf-8", errors="replace")
        elif (folder / EXTRA).is_dir():
            problem = f"{MANIFEST} is missing: the version was not completely written or copied"
        elif not any((folder / model).is_file() for model in (SAVED_MODEL, TFLITE_MODEL)):
            problem = f"neither {SAVED_MODEL} nor {MANIFEST} is there: this is not a SavedModel, or not all of it yet"
        return Listing(version, folder, stamp, None, problem)
    except (OSError, InvalidInput, UnicodeDecodeError) as error:
        return Listing(version, folder, stamp, None, f"{MANIFEST}: {error}")
    sound = content_digest(manifest) == manifest.digest
    problem = None if sound else "the manifest's digest is not that of its files and labels"
    return Listing(version, folder, stamp, _kept(manifest), problem)


def _kept(manifest: Manifest) -> Manifest:
    """What serving asks of a manifest."""
    return replace(
        manifest,
        task=_once(manifest.task),
        labels=_once(manifest.labels),
        input=_once(manifest.input),
        files={path: manifest.files[path] for path in _ASKED_FOR if path in manifest.files},
        base=_once(manifest.base),
        cut=_once(manifest.cut),
        routes=_routes(tuple(sorted(manifest.routes.items()))),
        features=manifest.features or _NOTHING,
        provenance={"job_id": manifest.job_id} if manifest.job_id else _NOTHING,
    )


@lru_cache(_ALIKE)
def _once(value: Value) -> Value:
    """The first value that was equal to this one, among the last thousands."""
    return value


@lru_cache(_ALIKE)
def _routes(items: tuple[tuple[str, Route], ...]) -> Mapping[str, Route]:
    return dict(items)
