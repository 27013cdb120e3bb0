"""Reading what a version holds, each file held against the digest it was published with, from the same bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from service.adapters.repositories.npz import read_npz
from service.application.ports import GoldenPair, Listing
from service.domain.artifact import (
    GOLDEN,
    HEAD,
    MANIFEST,
    OF_EVERY_HEAD,
    SAVED_MODEL,
    TFLITE_MODEL,
    GoldenKey,
    Manifest,
    ModelKind,
    content_digest,
)
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.heads import Head, read_head
from service.domain.tensors import DEFAULT_SIGNATURE, Array
from service.domain.versions import VersionId

_BLOCK = 1 << 20


def read_head_of(listing: Listing) -> Head:
    """The head's numbers. What its manifest must list is there, or it is none. Raises: ModelFailed."""
    manifest = listing.manifest
    if manifest is None:
        raise ModelFailed("a head without a manifest")
    for path in map(str, OF_EVERY_HEAD):
        if path not in manifest.files:
            raise ModelFailed(_unlisted(path))
    arrays = _arrays(listing, HEAD)
    try:
        return read_head(arrays, manifest.labels, manifest.task)
    except (KeyError, ValueError, InvalidInput) as error:
        raise ModelFailed(f"{HEAD} does not hold a head: {error}") from error


def read_golden_of(listing: Listing) -> GoldenPair | None:
    """The golden pair, if the manifest lists one. Raises: ModelFailed."""
    if listing.manifest is None or str(GOLDEN) not in listing.manifest.files:
        return None
    inputs: dict[str, Array] = {}
    outputs: dict[str, Array] = {}
    of_base: str | None = None
    for name, array in _arrays(listing, GOLDEN).items():
        key = GoldenKey.read(name)
        if key is None or key.signature != DEFAULT_SIGNATURE:
            raise ModelFailed(f"{GOLDEN} holds {name!r}, which is no part of a golden pair")
        # Texts lie there in a fixed width; everywhere else a text is an object.
        array = array.astype(object) if array.dtype.kind == "S" else array
        match key.side:
            case "inputs":
                inputs[key.alias] = array
            case "outputs":
                outputs[key.alias] = array
            case _:
                of_base = str(array)
    return GoldenPair(DEFAULT_SIGNATURE, inputs, outputs, of_base)


def golden_in(directory: Path) -> GoldenPair | None:
    """The golden pair of the version in a directory, if it has one that can be read."""
    try:
        manifest = Manifest.from_json((directory / MANIFEST).read_text(encoding="utf-8"))
        golden = read_golden_of(Listing(VersionId("", 0), directory, "", manifest))
    except (OSError, UnicodeDecodeError, InvalidInput, ModelFailed):
        return None  # whoever loads the version says so
    return golden if golden is not None and golden.inputs else None


def damage_of(listing: Listing) -> str | None:
    """Hold every file against the manifest: None, or the first that differs."""
    if listing.manifest is None:
        return None
    try:
        manifest = Manifest.from_json((listing.directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, InvalidInput, UnicodeDecodeError) as error:
        return f"{MANIFEST} cannot be read: {error}"
    if content_digest(manifest) != listing.manifest.digest:
        return "the manifest's digest is not that of its files and labels"
    for path in _deciding_files(listing.directory, manifest.kind):
        if path not in manifest.files:
            return _unlisted(path)
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
            return _another(path)
    return None


def _unlisted(path: str) -> str:
    return f"{path} is not in the manifest, but would decide what the model answers"


def _another(path: str) -> str:
    return f"{path} is not the file that was published: its sha256 differs from the manifest's"


def _deciding_files(directory: Path, kind: ModelKind) -> list[str]:
    """What must be in the manifest: whatever a graph is loaded from, and a head's own files, there or not."""
    files = [directory / SAVED_MODEL, directory / TFLITE_MODEL, *sorted((directory / "variables").glob("*"))]
    present = [str(file.relative_to(directory)) for file in files if file.is_file()]
    return [*present, *map(str, OF_EVERY_HEAD)] if kind is ModelKind.HEAD else present


def _arrays(listing: Listing, path: PurePosixPath) -> dict[str, Array]:
    """The arrays of a file that the manifest lists."""
    assert listing.manifest is not None
    try:
        content = (listing.directory / path).read_bytes()
    except OSError as error:
        raise ModelFailed(f"{path} cannot be read: {error.strerror or error}") from error
    if hashlib.sha256(content).hexdigest() != listing.manifest.files[str(path)]:
        raise ModelFailed(_another(str(path)))
    try:
        return read_npz(content)
    except Exception as error:  # an archive can break in more ways than zipfile, zlib and numpy document
        raise ModelFailed(f"{path.name} cannot be read: {error}") from error


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
