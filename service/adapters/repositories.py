"""A repository in a directory: ``<root>/<model>/<version>/``, laid out as TF Serving expects.

A look costs one listing a model and a few stats a version; manifests are read again only when they changed. A directory
whose name is no number is nobody's version, and one that starts with a dot is still being written.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np

from service.application.ports import GoldenPair, Listing
from service.domain.artifact import (
    EXTRA,
    GOLDEN,
    HEAD,
    HIDDEN_PREFIX,
    MANIFEST,
    OF_EVERY_HEAD,
    SAVED_MODEL,
    TFLITE_MODEL,
    Manifest,
    ModelKind,
    content_digest,
    version_number,
)
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.heads import Head, read_head
from service.domain.tensors import DEFAULT_SIGNATURE, Array
from service.domain.versions import VersionId

log = logging.getLogger(__name__)

_BLOCK = 1 << 20
_DECIDING = (
    SAVED_MODEL,
    TFLITE_MODEL,
    MANIFEST,
    "variables",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
)
"""What is looked at to see whether a version changed."""


class DirectoryRepository:
    """Versions in local directories. One thread at a time calls ``scan``; the rest is thread-safe."""

    def __init__(self, root: Path | None) -> None:
        """Without a root there are only the models whose own directories are named."""
        self._root = root
        self._found: Mapping[str, Sequence[Listing]] = {}
        self._said: set[str] = set()

    def scan(self) -> Mapping[str, Sequence[Listing]]:
        """Every model and version there is now. Raises: OSError when the root cannot be listed."""
        found: dict[str, Sequence[Listing]] = {}
        for model in _folders(self._root) if self._root else ():
            try:
                listings = self.list_versions(model.name, model, self._found.get(model.name, ()))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                # Not knowing what a model holds is no reason to take it away, nor to keep the others waiting.
                self._say_once(f"model {model.name} cannot be read, its versions stay as they are: {error}")
                listings = self._found.get(model.name, ())
            if listings:
                found[model.name] = listings
        self._found = found
        return found

    def head(self, listing: Listing) -> Head:
        """Read ``head.npz``. Raises: ModelFailed."""
        manifest = listing.manifest
        if manifest is None:
            raise ModelFailed("a head without a manifest")
        arrays = _read_arrays(listing.directory / HEAD)
        try:
            return read_head(arrays, manifest.labels, manifest.task)
        except (KeyError, ValueError, InvalidInput) as error:
            raise ModelFailed(f"{HEAD} does not hold a head: {error}") from error

    def golden(self, listing: Listing) -> GoldenPair | None:
        """Read ``golden.npz``, if the version has one. Raises: ModelFailed."""
        if listing.manifest is None or str(GOLDEN) not in listing.manifest.files:
            return None
        sides: dict[str, dict[str, Array]] = {"inputs": {}, "outputs": {}}
        for key, array in _read_arrays(listing.directory / GOLDEN).items():
            signature, _, rest = key.partition("/")
            side, _, alias = rest.partition("/")
            if signature != DEFAULT_SIGNATURE or side not in sides or not alias:
                raise ModelFailed(f"{GOLDEN} holds {key!r}, which is no part of a golden pair")
            # Texts lie there in a fixed width; everywhere else a text is an object.
            sides[side][alias] = array.astype(object) if array.dtype.kind == "S" else array
        return GoldenPair(DEFAULT_SIGNATURE, sides["inputs"], sides["outputs"])

    def damage(self, listing: Listing) -> str | None:
        """Hold every file against the manifest: None, or the first that differs."""
        manifest = listing.manifest
        if manifest is None:
            return None
        if content_digest(manifest) != manifest.digest:
            return "the manifest's digest is not that of its files and labels"
        for path in _deciding_files(listing.directory, manifest.kind):
            if path not in manifest.files:
                return f"{path} is not in the manifest, but would decide what the model answers"
        for path, expected in manifest.files.items():
            try:
                file = (listing.directory / path).resolve()
                if not file.is_relative_to(listing.directory.resolve()):
                    return f"the manifest names a file outside the version: {path}"
                actual = _sha256(file)
            except OSError as error:
                return f"{path} cannot be read: {error.strerror or error}"
            except (ValueError, RuntimeError) as error:  # a NUL in the name, a loop of links
                return f"{path} cannot be read: {error}"
            if actual != expected:
                return f"{path} is not the file that was published: its sha256 differs from the manifest's"
        return None

    def list_versions(self, model: str, base_path: PurePath, before: Sequence[Listing]) -> Sequence[Listing]:
        """Every version in one base path. Raises: OSError."""
        known = {listing.directory: listing for listing in before}
        by_number: dict[int, Path] = {}
        for folder in _folders(Path(base_path)):
            number = version_number(folder.name)
            if number is None:
                continue
            if number in by_number:
                self._say_once(f"{by_number[number]} and {folder} are the same version; the latter is served")
            by_number[number] = folder
        return [
            _listing(VersionId(model, number), folder, known.get(folder))
            for number, folder in sorted(by_number.items())
        ]

    def _say_once(self, warning: str) -> None:
        if warning not in self._said:
            self._said.add(warning)
            log.warning(warning)


def _folders(root: Path) -> list[Path]:
    with os.scandir(root) as entries:
        names = [entry.name for entry in entries if _is_listed(entry)]
    return [root / name for name in sorted(names)]


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


def _deciding_files(directory: Path, kind: ModelKind) -> list[str]:
    """What must be in the manifest: whatever a graph is loaded from, and a head's own files, there or not."""
    files = [directory / SAVED_MODEL, directory / TFLITE_MODEL, *sorted((directory / "variables").glob("*"))]
    present = [str(file.relative_to(directory)) for file in files if file.is_file()]
    return [*present, *map(str, OF_EVERY_HEAD)] if kind is ModelKind.HEAD else present


def _listing(version: VersionId, folder: Path, before: Listing | None) -> Listing:
    stamp = _stamp(folder)
    if before is not None and (before.id, before.stamp) == (version, stamp):
        return before
    return _look(version, folder, stamp)


def _stamp(folder: Path) -> str:
    """Changes when the files that decide what the version is do."""
    parts = []
    for path in _DECIDING:
        try:
            status = (folder / path).stat()
        except OSError:
            continue
        parts.append(f"{path}:{status.st_mtime_ns}:{status.st_size}:{status.st_ino}")
    return hashlib.sha256(";".join(parts).encode()).hexdigest()[:16]


def _look(version: VersionId, folder: Path, stamp: str) -> Listing:
    try:
        manifest = Manifest.from_json((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        problem = None
        if (folder / EXTRA).is_dir():
            problem = f"{MANIFEST} is missing: the version was not completely written or copied"
        elif not any((folder / model).is_file() for model in (SAVED_MODEL, TFLITE_MODEL)):
            problem = f"neither {SAVED_MODEL} nor {MANIFEST} is there: this is not a SavedModel, or not all of it yet"
        return Listing(version, folder, stamp, None, problem)
    except (OSError, InvalidInput, UnicodeDecodeError) as error:
        return Listing(version, folder, stamp, None, f"{MANIFEST}: {error}")
    return Listing(version, folder, stamp, manifest)


def _read_arrays(file: Path) -> dict[str, Array]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # an archive can break in more ways than zipfile, zlib and numpy document
        raise ModelFailed(f"{file.name} cannot be read: {error}") from error


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
