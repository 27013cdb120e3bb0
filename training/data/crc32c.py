"""CRC-32C, the checksum of TFRecord files, fast enough for images without a compiled library.

The register after a long piece of data is linear in the data over GF(2). So the data is cut into blocks that are run
through the table side by side, and the results are joined in pairs: the left one is moved on by as many zero bytes as
the right one is long.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, bits reversed."""
BLOCK = 64
"""Bytes."""
MASK_DELTA = 0xA282EAD8
"""What TFRecord adds, so that a checksum over data with checksums in it is still a good one."""
WORD = 0xFFFFFFFF
Words = NDArray[np.uint32]


def crc32c(data: bytes) -> int:
    """The checksum of some bytes."""
    whole = len(data) // BLOCK
    register = WORD
    if whole >= 4:
        # A block in front of which the register is not 0 is one whose first four bytes are turned by it.
        head = np.frombuffer(data, dtype=np.uint8, count=whole * BLOCK).copy()
        head[:4] ^= 0xFF
        register = _joined(_side_by_side(head.reshape(whole, BLOCK)))
        data = data[whole * BLOCK :]
    table = _table()
    for byte in data:
        register = int(table[(register ^ byte) & 0xFF]) ^ (register >> 8)
    return register ^ WORD


def masked(data: bytes) -> int:
    """The checksum as TFRecord stores it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + MASK_DELTA) & WORD


def _side_by_side(blocks: NDArray[np.uint8]) -> Words:
    """The register of each block [n, length], starting from 0."""
    table, registers = _table(), np.zeros(len(blocks), dtype=np.uint32)
    for place in range(blocks.shape[1]):
        registers = table[(registers ^ blocks[:, place]) & np.uint32(0xFF)] ^ (registers >> np.uint32(8))
    return registers


def _joined(registers: Words) -> int:
    """The register of all blocks, given that of each."""
    length = BLOCK
    while len(registers) > 1:
        if len(registers) % 2:
            # Zeros in front of a register that starts from 0 change nothing.
            registers = np.concatenate([np.zeros(1, dtype=np.uint32), registers])
        registers = _moved(registers[0::2], length) ^ registers[1::2]
        length *= 2
    return int(registers[0])


def _moved(registers: Words, zeros: int) -> Words:
    """The registers after so many zero bytes more."""
    tables = _moving(zeros)
    moved = np.zeros_like(registers)
    for place, table in enumerate(tables):
        moved ^= table[(registers >> np.uint32(8 * place)) & np.uint32(0xFF)]
    return moved


@cache
def _moving(zeros: int) -> tuple[Words, ...]:
    """For each of a register's four bytes, what its 256 values become after so many zero bytes (a power of two)."""
    each = np.arange(256, dtype=np.uint32)
    if zeros == 1:
        return tuple(_one_zero(each << np.uint32(8 * place)) for place in range(4))
    half = zeros // 2
    return tuple(_moved(_moved(each << np.uint32(8 * place), half), half) for place in range(4))


def _one_zero(registers: Words) -> Words:
    return _table()[registers & np.uint32(0xFF)] ^ (registers >> np.uint32(8))


@cache
def _table() -> Words:
    """What a register's lowest byte does to it as it is shifted out."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> np.uint32(1)) ^ np.uint32(POLYNOMIAL), table >> np.uint32(1))
    return table
