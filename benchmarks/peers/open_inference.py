"""The two Open Inference messages a prediction takes, written and read by hand: no peer's library is needed here."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

INFER = "/inference.GRPCInferenceService/ModelInfer"
_OUTPUTS, _CONTENTS, _FP32, _RAW = 5, 5, 6, 6


def request(model: str, rows: NDArray[np.float32]) -> bytes:
    """A ModelInferRequest with one raw FP32 tensor."""
    shape = b"".join(_varint(size) for size in rows.shape)
    tensor = _text(1, b"input") + _text(2, b"FP32") + _text(3, shape)
    return _text(1, model.encode()) + _text(5, tensor) + _text(7, rows.tobytes())


def answer(message: bytes) -> NDArray[np.float32]:
    """The first output of a ModelInferResponse, raw or in its typed field."""
    fields = _fields(message)
    if _RAW in fields:
        return np.frombuffer(fields[_RAW], np.float32)
    return np.frombuffer(_fields(_fields(fields[_OUTPUTS])[_CONTENTS])[_FP32], np.float32)


def _varint(number: int) -> bytes:
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def _text(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _fields(message: bytes) -> dict[int, bytes]:
    """The last value of every field that is a text, a message or packed."""
    found, at = {}, 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        kind = tag & 7
        if kind == 2:
            length, at = _read_varint(message, at)
            found[tag >> 3] = message[at : at + length]
            at += length
        elif kind == 0:
            _, at = _read_varint(message, at)
        else:
            at += struct.calcsize("d" if kind == 1 else "f")
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
