"""Provisional heads in a directory of the service's own, laid out as a repository: ``<directory>/<head>/0/``.

Promises that a head is seen whole or not at all; one that takes another's place does so file by file, its manifest
last, which whoever answers from the other does not notice. Not flushed to disk: what a power cut makes of it does not
match its digests, and so is not served.
"""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from service.application.ports import GoldenPair
from service.domain.artifact import GOLDEN, HEAD, HIDDEN_PREFIX, MANIFEST, GoldenKey, Manifest, content_digest
from service.domain.errors import InvalidInput
from service.domain.heads import Head, head_arrays
from service.domain.tensors import Array

VERSION = "0"
"""The number before the first that is ever published."""


class ProvisionalDirectory:
    """The ``ProvisionalShelf`` port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def put(self, model: str, manifest: Manifest, head: Head, golden: GoldenPair) -> None:
        """As the port says."""
        contents = {HEAD: _npz(head_arrays(head)), GOLDEN: _npz(_golden_arrays(golden))}
        files = {str(path): hashlib.sha256(data).hexdigest() for path, data in contents.items()}
        manifest = replace(manifest, files=files, digest="")
        manifest = replace(manifest, digest=content_digest(manifest))
        contents[MANIFEST] = manifest.to_json().encode()
        home = self.directory / model
        home.mkdir(exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=HIDDEN_PREFIX, dir=home))
        try:
            for path, data in contents.items():
                (staged / path).parent.mkdir(parents=True, exist_ok=True)
                (staged / path).write_bytes(data)
            self._reveal(staged, home / VERSION, contents)
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    @staticmethod
    def _reveal(staged: Path, place: Path, contents: Mapping[PurePosixPath, bytes]) -> None:
        try:
            staged.rename(place)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            for path in contents:
                (staged / path).replace(place / path)

    def held(self) -> Mapping[str, str]:
        """As the port says; of one that cannot be read, no job."""
        held = {}
        for home in self.directory.iterdir():
            manifest = home / VERSION / MANIFEST
            try:
                held[home.name] = Manifest.from_json(manifest.read_text(encoding="utf-8")).job_id or ""
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, UnicodeDecodeError, InvalidInput):
                held[home.name] = ""
        return held

    def remove(self, model: str) -> None:
        """As the port says."""
        home = self.directory / model
        if not home.is_dir():
            return
        gone = Path(tempfile.mkdtemp(prefix=HIDDEN_PREFIX, dir=self.directory))
        # All of it at once, with what a killed process may have left in it.
        home.rename(gone / model)
        shutil.rmtree(gone, ignore_errors=True)


def _npz(arrays: Mapping[str, Array]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _golden_arrays(golden: GoldenPair) -> dict[str, Array]:
    arrays = {}
    for side, tensors in (("inputs", golden.inputs), ("outputs", golden.outputs)):
        for alias, array in tensors.items():
            # Texts of a fixed width need no pickling, which no reader of golden pairs does.
            kept = array.astype(np.bytes_) if array.dtype == object else array
            arrays[str(GoldenKey(golden.signature, side, alias))] = kept
    return arrays
