"""Predict requests that hold nothing but numbers, read from the text straight into buffers.

No number becomes a Python object. What is read here is read exactly as ``tensor_json`` reads it, which a test proves;
whatever is out of the ordinary, right or wrong, is left to ``tensor_json``, and so every error is worded there.

simdjson's flat buffer forgets the nesting: ``[[1,2,3],[4]]`` gives the same four numbers as two rows of two. So the
nesting is proven apart. A text without its digits and blanks leaves only brackets and commas, and those of a tensor
follow from its shape alone, but for one thing: ``[]`` may have held one number or none, which the count tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import simdjson

from service.adapters.rest.predict_envelope import Envelope, split
from service.domain.tensors import NUMPY_TYPES, Array, Signature

_DIGITS_AND_BLANKS = b"0123456789+-.eE \t\n\r"
_MOST_DIMENSIONS = 64
_SPARE: list[Any] = []
"""Parsers that nobody reads from any more. The memory of a new one comes page by page, which takes longer than parsing;
an old one serves again once nothing it parsed is left."""
_MOST_KEPT, _LARGEST_KEPT = 4, 8 * 2**20
"""How many are kept, and the largest document, in bytes, after which one is: it stays as large as that."""
_READ_AS: Mapping[str, tuple[Any, np.dtype[Any]]] = {
    "f": ("d", np.dtype(np.float64)),
    "i": ("i", np.dtype(np.int64)),
    "u": ("u", np.dtype(np.uint64)),
}
"""How simdjson is asked for the numbers of a tensor, by the kind of its type: it refuses what would lose a bit."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of one tensor, parsed and of a proven shape, not yet of a type."""

    shape: tuple[int, ...]
    _flat: Callable[[str], Array | None]
    """All of them in a row as the widest of a kind, ``f``, ``i`` or ``u``; None where one of them is none of those."""

    def array(self, type_name: str) -> Array | None:
        """As a tensor of this type; None when they are not plainly that."""
        dtype = NUMPY_TYPES.get(type_name)
        count = math.prod(self.shape)
        if dtype is None or dtype.kind not in _READ_AS or not (count and self.shape):
            return None
        flat = self._flat(dtype.kind)
        if flat is None or flat.size != count or not _within(flat, dtype):
            return None
        with np.errstate(over="ignore"):
            return flat.astype(dtype, copy=False).reshape(self.shape)

    def exact(self) -> Array | None:
        """All of them in a row, as integers where that is what they are, else as floats; None when they are neither."""
        count = math.prod(self.shape)
        if not (count and self.shape):
            return None
        found = (self._flat(kind) for kind in "iuf")
        flat = next((flat for flat in found if flat is not None), None)
        return flat if flat is not None and flat.size == count else None


@dataclass(frozen=True, slots=True)
class NumberRequest:
    """A request that was read this way. Its JSON is known to be sound before its signature is."""

    signature_name: str
    heads: tuple[str, ...]
    in_rows: bool
    _tensors: dict[str | None, Numbers]
    weight: int | None = None
    """How many bytes of text take as long to read as ``decode`` does, where the document was left behind already."""
    _parser: Any = None

    def decode(self, signature: Signature) -> dict[str, Array] | None:
        """Its tensors, or None when it does not plainly fit the signature. Once: what was parsed is given up."""
        decoded = self._decoded(signature)
        self._give_up()
        return decoded

    def exact(self) -> list[tuple[str | None, tuple[int, ...], Array]] | None:
        """Its numbers without a signature: names, shapes, and all of a tensor in a row. Once, as ``decode``."""
        exact = [(alias, numbers.shape, numbers.exact()) for alias, numbers in self._tensors.items()]
        self._give_up()
        whole = [(alias, shape, flat) for alias, shape, flat in exact if flat is not None]
        return whole if len(whole) == len(exact) else None

    def _give_up(self) -> None:
        self._tensors.clear()
        if self._parser is not None and len(_SPARE) < _MOST_KEPT:
            _SPARE.append(self._parser)

    def _decoded(self, signature: Signature) -> dict[str, Array] | None:
        tensors: Mapping[str | None, Numbers] = self._tensors
        if None in tensors:
            if len(signature.inputs) != 1:
                return None
            tensors = dict.fromkeys(signature.inputs, tensors[None])
        elif not signature.inputs or (self.in_rows and tensors.keys() != signature.inputs.keys()):
            return None
        decoded = {}
        for alias, spec in signature.inputs.items():
            numbers = tensors.get(alias)
            array = numbers.array(spec.dtype) if numbers is not None else None
            if array is None:
                return None
            decoded[alias] = array
        return decoded


def read(body: bytes) -> NumberRequest | None:
    """The request, or None when there is anything to it but numbers in lists of even length."""
    envelope = split(body)
    if envelope is None:
        return None
    document = _as_one_document(envelope)
    parser = _parser()
    root: Any
    try:
        root = parser.parse(document)
    except (ValueError, RuntimeError):
        return None
    if len(root) != len(envelope.pieces):
        return None
    tensors = {}
    for index, (alias, pieces) in enumerate(envelope.pieces.items()):
        value = root[index]
        shape = _shape(value)
        if shape is None or not _has_shape(pieces, shape[1:] if envelope.named_rows else shape):
            return None
        tensors[alias] = Numbers(shape, partial(_parsed, value))
    spare = parser if len(document) <= _LARGEST_KEPT else None
    return NumberRequest(envelope.signature_name, envelope.heads, envelope.in_rows, tensors, _parser=spare)


def _parser() -> Any:
    try:
        return _SPARE.pop()
    except IndexError:  # asked first, another thread might take the last in between
        return simdjson.Parser()


def _as_one_document(envelope: Envelope) -> bytes:
    """A list of the tensors, each a list of its rows where those came by themselves."""
    opening, closing = (b"[", b"]") if envelope.named_rows else (b"", b"")
    parts: list[bytes | memoryview] = [b"["]
    for pieces in envelope.pieces.values():
        parts.append(opening)
        for piece in pieces:
            parts += (piece, b",")
        parts[-1:] = (closing, b",")
    parts[-1] = b"]"
    return b"".join(parts)


def _parsed(value: Any, kind: str) -> Array | None:
    letter, wide = _READ_AS[kind]
    try:
        return np.frombuffer(value.as_buffer(of_type=letter), wide)
    except (ValueError, TypeError):
        return None


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape that a tensor has if it is one, from its first elements; None when it is no tensor's."""
    shape: list[int] = []
    while isinstance(value, simdjson.Array):
        if len(shape) == _MOST_DIMENSIONS:
            return None
        shape.append(len(value))
        if not shape[-1]:
            break
        value = value[0]
    return tuple(shape)


def _has_shape(pieces: Sequence[memoryview], shape: Sequence[int]) -> bool:
    """Whether each text nests as a tensor of this shape does."""
    length = 0
    for size in reversed(shape):
        length = 2 + max(0, size - 1) + size * length
    nesting = None
    for piece in pieces:
        bare = bytes(piece).translate(None, _DIGITS_AND_BLANKS)
        # Its length first: a few lists of very different lengths claim a shape beyond any memory.
        if len(bare) != length:
            return False
        if nesting is None:
            nesting = _nesting(shape)
        if bare != nesting:
            return False
    return True


def _nesting(shape: Sequence[int]) -> bytes:
    text = b""
    for size in reversed(shape):
        text = b"[" + b",".join([text] * size) + b"]"
    return text


def _within(flat: Array, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "f" or dtype.itemsize == 8:
        return True
    limits = np.iinfo(dtype)
    return bool(flat.min() >= limits.min and flat.max() <= limits.max)
