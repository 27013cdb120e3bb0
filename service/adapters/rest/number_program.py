"""The program that reads large bodies of numbers for a server, in a process of its own.

It shares a block of memory with who started it: a body lies at its beginning, the numbers found are written behind. On
the socket between the two go the body's length and, back, what was found where. It ends when the other side is gone.
"""

from __future__ import annotations

import math
import mmap
import os
import socket
import sys
from collections.abc import Iterator
from functools import partial

import numpy as np
import orjson

from service.adapters.rest import plain_numbers
from service.adapters.rest.plain_numbers import NumberRequest, Numbers
from service.domain.tensors import Array

LARGEST = 8 * 2**20
"""Bytes of the largest body that is read here."""
MEMORY = 5 * LARGEST
"""Bytes of the shared block. A number takes two bytes of text at least, and eight when it is read."""
READY = b"ready"
LONGEST_WORD = 64 * 1024
_NOTHING = b"null"
_LIGHTER = 16
"""A number that is read becomes one of its tensor's type in less than a sixteenth of the time its text took."""


def answer(memory: mmap.mmap, size: int) -> bytes:
    """Read the body of this size in shared memory; what ``found`` takes, whatever the body is."""
    request = plain_numbers.read(memory[:size])
    exact = request.exact() if request is not None else None
    if request is None or exact is None:
        return _NOTHING
    tensors = []
    at = LARGEST
    for alias, shape, flat in exact:
        np.frombuffer(memory, flat.dtype, flat.size, at)[:] = flat
        tensors.append((alias, shape, flat.dtype.str, at))
        at += flat.nbytes
    said = orjson.dumps((request.signature_name, request.heads, request.in_rows, tensors))
    return said if len(said) < LONGEST_WORD else _NOTHING


def found(said: bytes, memory: mmap.mmap) -> NumberRequest | None:
    """The request that was read, its numbers copied out of shared memory; None when it is more than plain numbers."""
    answered = orjson.loads(said)
    if answered is None:
        return None
    name, heads, in_rows, tensors = answered
    numbers, weight = {}, 0
    for alias, shape, dtype, at in tensors:
        flat = np.frombuffer(memory, dtype, math.prod(shape), at).copy()
        weight += flat.nbytes
        numbers[alias] = Numbers(tuple(shape), partial(_of_kind, flat))
    return NumberRequest(name, tuple(heads), in_rows, numbers, weight // _LIGHTER)


def _of_kind(flat: Array, kind: str) -> Array | None:
    """Numbers as the widest of a kind, as they would be read from their text; None where that would change one."""
    if kind == "f":
        return flat.astype(np.float64, copy=False)
    if flat.dtype.kind == kind:
        return flat
    # What was read as unsigned has a number too large for a signed one.
    return flat.astype(np.uint64) if kind == "u" and flat.dtype.kind == "i" and flat.min() >= 0 else None


def _asked(words: socket.socket) -> Iterator[int]:
    """The sizes of bodies to read, until nobody asks any more."""
    while word := words.recv(LONGEST_WORD):
        yield int(word)


def main() -> None:
    """Read until whoever started this is gone. The arguments are descriptors: the socket and the memory."""
    with socket.socket(fileno=int(sys.argv[1])) as words, mmap.mmap(int(sys.argv[2]), MEMORY) as memory:
        os.close(int(sys.argv[2]))
        words.send(READY)
        for size in _asked(words):
            words.send(answer(memory, size))


if __name__ == "__main__":
    main()
