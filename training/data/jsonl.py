"""JSON lines: one object a line, read line by line with a bound on each, and strictly: what two readers might
understand differently (a key twice, ``NaN``) is a fault.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from service.domain.dataset import DatasetFormat
from training.data.contents import Contents
from training.data.findings import Findings
from training.data.gathering import Gathering
from training.data.reading import Reading
from training.data.records import Records
from training.data.sources import SliceImages

LONGEST_LINE = 96 * 2**20
"""Bytes: the largest image in base64, and something beside it."""
CHUNK = 2**20
DATA_URL = "data:image/"


def read(path: Path, reading: Reading, findings: Findings) -> Contents | None:
    """Look at every line; None when nothing usable could be read. Faults go to ``findings``."""
    records = Records(Gathering(reading, findings), image_of, "line")
    with path.open("rb") as stream:
        for number, offset, line in _lines(stream):
            if line is None:
                records.bad("line_too_long", f"this line is longer than {LONGEST_LINE} bytes", number)
            elif line.strip():
                before = findings.item_faults
                record = findings.attempt_item(
                    partial(parsed, line), "not_json", "this line is no JSON object", f"line {number}"
                )
                if record is not None:
                    records.add(record, number, offset, len(line))
                elif findings.item_faults > before:
                    findings.items += 1
                    findings.lost += 1
    return records.contents(
        DatasetFormat.JSONL,
        path,
        SliceImages(path, records.offsets, records.lengths, partial(_image_in, key=records.input_key)),
    )


def parsed(line: bytes) -> Mapping[str, Any]:
    """The object in a line.

    Raises:
        ValueError: it is none, or not strictly so.
        RecursionError: it is nested too deeply.
    """
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from error
    value = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refused)
    if not isinstance(value, dict):
        raise ValueError(f"it is of type {type(value).__name__}")  # noqa: TRY004 - a fault of the file, not of a caller
    return value


def image_of(record: Mapping[str, Any], key: str) -> bytes:
    """The image that stands under a key in base64. Raises: ValueError: there is none."""
    text = record[key]
    if not isinstance(text, str):
        raise ValueError("an image is a text in base64")  # noqa: TRY004
    if text.startswith(DATA_URL):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"it is not base64: {error}") from error


def _image_in(line: bytes, key: str) -> bytes:
    return image_of(parsed(line), key)


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, int, bytes | None]]:
    """Number from 1, offset and bytes of each line; None in place of bytes that are too many to hold."""
    number = 0
    while True:
        number, offset = number + 1, stream.tell()
        line = stream.readline(LONGEST_LINE + 1)
        if not line:
            return
        if len(line) <= LONGEST_LINE or line.endswith(b"\n"):
            yield number, offset, line
            continue
        while rest := stream.readline(CHUNK):
            if rest.endswith(b"\n"):
                break
        yield number, offset, None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:40]!r} is there twice")
    return found


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
