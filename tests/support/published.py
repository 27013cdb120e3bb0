"""Published versions on disk, small and without TensorFlow."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from service.application.ports import GoldenPair
from service.domain.artifact import GOLDEN, HEAD, MANIFEST, Manifest, content_digest
from service.domain.heads import Head

SAVED_MODEL = {"saved_model.pb": b"a graph", "variables/variables.index": b"names"}


def arrays(**named: np.ndarray) -> bytes:
    """The bytes of an npz file."""
    stream = io.BytesIO()
    np.savez(stream, **named)
    return stream.getvalue()


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)


def write_version(
    directory: Path,
    manifest: Manifest,
    *,
    head: Head | None = None,
    golden: GoldenPair | None = None,
    files: Mapping[str, bytes] = SAVED_MODEL,
) -> Manifest:
    """Write a version as the trainer publishes it, manifest last; the manifest with its digests."""
    contents = dict(files)
    if head is not None:
        contents[str(HEAD)] = arrays(weights=head.weights, bias=head.bias)
    if golden is not None:
        sides = {"inputs": golden.inputs, "outputs": golden.outputs}
        contents[str(GOLDEN)] = arrays(
            **{
                f"{golden.signature}/{side}/{alias}": array
                for side, named in sides.items()
                for alias, array in named.items()
            }
        )
    write_files(directory, contents)
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    complete = replace(manifest, files=digests)
    complete = replace(complete, digest=content_digest(complete))
    write_files(directory, {str(MANIFEST): complete.to_json().encode()})
    return complete
