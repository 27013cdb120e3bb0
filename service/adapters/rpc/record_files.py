"""TFRecord files, read without TensorFlow: each record behind its length, both with a checksum, CRC-32C."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEAD, _TAIL = struct.Struct("<QI"), struct.Struct("<I")
_MASK = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78
_BITS = np.arange(32, dtype=np.uint32)
_LANE_BYTES, _MOST_LANES = 64, 1024

Words = NDArray[np.uint32]


class BrokenRecords(ValueError):
    """The file is not, or not from here on, a TFRecord file."""


def records(file: Path) -> Iterator[bytes]:
    """The records, one after the other.

    Raises:
        BrokenRecords: one is torn, or not as it was written.
        OSError: the file cannot be read.
    """
    left = file.stat().st_size
    with file.open("rb") as stream:
        while left:
            if left < _HEAD.size:
                raise BrokenRecords("it ends within the length of a record")
            head = stream.read(_HEAD.size)
            length, checksum = _HEAD.unpack(head)
            if masked(head[:8]) != checksum:
                raise BrokenRecords("the length of a record is damaged")
            left -= _HEAD.size + length + _TAIL.size
            if left < 0:
                raise BrokenRecords("it ends within a record")
            record = stream.read(length)
            if _TAIL.unpack(stream.read(_TAIL.size)) != (masked(record),):
                raise BrokenRecords("a record is damaged")
            yield record


def masked(data: bytes) -> int:
    """The checksum as it stands in the file: turned and shifted, so that it may be checked itself."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C. Many stretches of the data at once, which are then put together: the remainder is linear, and zeros
    before the data do not change it.
    """
    lanes = 1
    while lanes < _MOST_LANES and lanes * _LANE_BYTES < len(data):
        lanes *= 2
    columns = -(-len(data) // lanes)
    padded = np.zeros(lanes * columns, np.uint8)
    padded[lanes * columns - len(data) :] = np.frombuffer(data, np.uint8)
    remainders = np.zeros(lanes, np.uint32)
    for column in padded.reshape(lanes, columns).T:
        remainders = _TABLE[(remainders ^ column) & 0xFF] ^ (remainders >> 8)
    further = _power(_A_ZERO, columns)
    while len(remainders) > 1:
        remainders = _applied(further, remainders[::2]) ^ remainders[1::2]
        further = _applied(further, further)
    begun = _applied(_power(_A_ZERO, len(data)), np.array([0xFFFFFFFF], np.uint32))
    return int(remainders[0] ^ begun[0] ^ np.uint32(0xFFFFFFFF))


def _applied(operator: Words, words: Words) -> Words:
    """What a linear operator, given as its images of the 32 bits, makes of each word."""
    chosen: Any = np.where((words[:, None] >> _BITS) & 1, operator, np.uint32(0))
    return np.bitwise_xor.reduce(chosen, axis=1).astype(np.uint32)


def _power(operator: Words, times: int) -> Words:
    result = _ONES
    while times:
        if times & 1:
            result = _applied(operator, result)
        operator = _applied(operator, operator)
        times >>= 1
    return result


def _table() -> Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


_TABLE = _table()
_ONES = np.left_shift(np.uint32(1), _BITS)
_A_ZERO: Words = _TABLE[_ONES & 0xFF] ^ (_ONES >> 8)
"""What one more byte of zero makes of each bit of a remainder."""
