"""One version from the store into a directory, held against its manifest on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import Executor, wait
from pathlib import Path

from service.adapters.object_store.bucket import Bucket, Stored
from service.adapters.object_store.stored_versions import StoredVersion, unsafe_path
from service.domain.artifact import MANIFEST, Manifest, content_digest
from service.domain.errors import InvalidInput

_BLOCK = 1 << 20


class Refused(Exception):
    """What the store holds is not what was published, or cannot be a version at all."""


def fetch(bucket: Bucket, version: StoredVersion, directory: Path, threads: Executor) -> Manifest | None:
    """Write a version's files into an empty directory; its manifest, if it has one.

    Raises:
        Refused: a file is not what the manifest says, or has a name that no file may have.
        FileNotFoundError: an object has gone since the listing.
        OSError: the store cannot be read now, or the disk not written.
    """
    for path in version.files:
        if unsafe_path(path):
            raise Refused(f"the store holds an object whose name no file may have: {path!r}")
    manifest = _manifest(bucket, version, directory) if version.committed else None
    rest = [path for path in version.files if path != str(MANIFEST)]
    for path in rest:
        try:
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise Refused(f"the store holds {path!r} below something that is a file") from error
    coming = {path: threads.submit(_file, bucket, version, path, directory) for path in rest}
    wait(coming.values())  # nothing writes there any more, however it ended
    digests = {path: one.result() for path, one in coming.items()}
    if manifest is not None:
        _hold(digests, manifest.files)
    return manifest


def _manifest(bucket: Bucket, version: StoredVersion, directory: Path) -> Manifest:
    (directory / MANIFEST).parent.mkdir(parents=True)
    _file(bucket, version, str(MANIFEST), directory)
    try:
        manifest = Manifest.from_json((directory / MANIFEST).read_text(encoding="utf-8"))
    except (InvalidInput, UnicodeDecodeError) as error:
        raise Refused(f"{MANIFEST}: {error}") from error
    if content_digest(manifest) != manifest.digest:
        raise Refused("the manifest's digest is not that of its files and labels")
    for path in manifest.files:
        if path not in version.files:
            raise Refused(f"{path} is in the manifest and not in the store")
    return manifest


def _file(bucket: Bucket, version: StoredVersion, path: str, directory: Path) -> str:
    """Fetch one file; its sha256."""
    file, listed = directory / path, version.files[path]
    bucket.fetch(f"{version.place}/{path}", file)
    _hold_size(file, path, listed)
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _hold_size(file: Path, path: str, listed: Stored) -> None:
    size = file.stat().st_size
    if size != listed.size:
        raise Refused(f"{path} is of {listed.size} bytes in the store's listing, and {size} came")


def _hold(digests: Mapping[str, str], manifest: Mapping[str, str]) -> None:
    for path, expected in manifest.items():
        if digests[path] != expected:
            raise Refused(f"{path} is not the file that was published: its sha256 differs from the manifest's")
