"""A TFRecord file of ``tf.Example``: length, checksum of the length, data, checksum of the data, and so on.

Every checksum is held against its bytes. A broken record is one fault and the next one is read; after a broken length
nothing can be found any more, and the fault says from which byte on.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from service.domain.dataset import DatasetFormat
from training.data.contents import Contents
from training.data.crc32c import masked
from training.data.examples import parsed_example
from training.data.findings import Findings
from training.data.gathering import Gathering
from training.data.reading import Reading
from training.data.records import Records
from training.data.sources import SliceImages

LARGEST_RECORD = 128 * 2**20
HEADER, FOOTER = struct.Struct("<QI"), struct.Struct("<I")


def looks_like_one(head: bytes) -> bool:
    """Whether a file begins with a record's length and its checksum."""
    return len(head) >= HEADER.size and masked(head[:8]) == HEADER.unpack_from(head)[1]


def read(path: Path, reading: Reading, findings: Findings) -> Contents | None:
    """Look at every record; None when nothing usable could be read. Faults go to ``findings``."""
    records = Records(Gathering(reading, findings), image_of, "record")
    with path.open("rb") as stream:
        number = 0
        while _read_one(stream, number, records, findings):
            number += 1
    images = SliceImages(path, records.offsets, records.lengths, partial(_image_in, key=records.input_key))
    return records.contents(DatasetFormat.TFRECORD, path, images)


def image_of(record: Mapping[str, Any], key: str) -> bytes:
    """The image that stands under a key. Raises: ValueError: there is none."""
    value = record[key]
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes):
        raise ValueError("an image is one entry of a bytes_list")  # noqa: TRY004 - a fault of the file
    return value


def _image_in(record: bytes, key: str) -> bytes:
    return image_of(parsed_example(record), key)


def _read_one(stream: IO[bytes], number: int, records: Records, findings: Findings) -> bool:
    """Whether there may be another record after this one."""
    start = stream.tell()
    header = stream.read(HEADER.size)
    if not header:
        return False
    if len(header) < HEADER.size:
        message = f"the file ends inside the length of this record, at byte {start + len(header)}: it was cut off"
        findings.fault("cut_off", message, f"record {number}")
        return False
    length, checksum = HEADER.unpack(header)
    if masked(header[:8]) != checksum:
        message = (
            f"the length of this record, at byte {start}, does not agree with its checksum; nothing after it is read"
        )
        findings.fault("broken_length", message, f"record {number}")
        return False
    if length > LARGEST_RECORD:
        message = f"this record, at byte {start}, claims {length} bytes; at most {LARGEST_RECORD} are read"
        findings.fault("too_large", message, f"record {number}")
        return False
    data, footer = stream.read(length), stream.read(FOOTER.size)
    if len(data) < length or len(footer) < FOOTER.size:
        end = start + HEADER.size + len(data) + len(footer)
        message = f"the file ends at byte {end}, inside this record, which begins at byte {start}: it was cut off"
        findings.fault("cut_off", message, f"record {number}")
        return False
    if masked(data) != FOOTER.unpack(footer)[0]:
        message = f"the data of this record, at byte {start + HEADER.size}, does not agree with its checksum"
        records.bad("broken_record", message, number)
        return True
    example = findings.attempt_item(
        partial(parsed_example, data), "not_an_example", f"the record at byte {start}", f"record {number}"
    )
    if example is None:
        findings.items += 1
        findings.lost += 1
    else:
        records.add(example, number, start + HEADER.size, length)
    return True
