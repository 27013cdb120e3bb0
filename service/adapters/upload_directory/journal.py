"""What is written down of an upload: what it is, once, and in a journal what has arrived and what became of it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.domain.errors import UploadNotFound
from service.domain.uploads import Part, Upload

JOURNAL = "journal"


def note(place: Path, line: Mapping[str, Any]) -> None:
    """Add a line to a journal, for good."""
    try:
        journal = os.open(place / JOURNAL, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise not_found() from error
    try:
        fcntl.flock(journal, fcntl.LOCK_EX)
        end = os.fstat(journal).st_size
        # A line that a power failure cut off must not swallow the next one.
        torn = end and os.pread(journal, 1, end - 1) != b"\n"
        os.write(journal, (b"\n" if torn else b"") + json.dumps(line).encode() + b"\n")
        os.fsync(journal)
    finally:
        os.close(journal)


def read_lines(journal: bytes) -> list[dict[str, Any]]:
    """What a journal says; a line that was cut off says nothing."""
    found = []
    for line in journal.splitlines():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def as_json(upload: Upload) -> dict[str, Any]:
    """What an upload is, without what became of it."""
    return {
        "id": upload.id,
        "filename": upload.filename,
        "part_bytes": upload.part_bytes,
        "created": upload.created,
        "term_s": upload.expires - upload.created,
        "size": upload.size,
        "sha256": upload.sha256,
        "format": upload.format,
        "options": dict(upload.options),
    }


def as_upload(about: dict[str, Any], lines: Sequence[Mapping[str, Any]]) -> Upload:
    """An upload, of what it is and what its journal says."""
    term_s = about.pop("term_s")
    parts = {line["part"]: Part(line["bytes"], line["sha256"]) for line in lines if "part" in line}
    heard = max([about["created"], *(line["at"] for line in lines)])
    dataset = next((line["dataset"] for line in lines if "dataset" in line), None)
    sealed = any("sealed" in line for line in lines)
    return Upload(**about, expires=heard + term_s, parts=dict(sorted(parts.items())), dataset=dataset, sealed=sealed)


def not_found() -> UploadNotFound:
    """The error of an upload that is not there."""
    return UploadNotFound("there is no such upload, or it has been given up")
