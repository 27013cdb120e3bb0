"""Tensors as TF Serving's JSON on the way out: ``predictions`` in rows or ``outputs`` in columns.

Numbers go from the array to text as one block, each as short as its own type allows; the numbers that are none are the
bare words ``NaN``, ``Infinity`` and ``-Infinity``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import orjson

from service.domain.errors import InvalidInput, ModelFailed
from service.domain.tensors import BFLOAT16, Array, Tensors

_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_PIECE = 256 * 1024
"""Bytes of an array that are written without a pause: a millisecond or two."""


def encode(outputs: Tensors, in_rows: bool) -> bytes:
    """The answer's body. One output loses its name; several keep theirs.

    Raises:
        InvalidInput: rows were asked for but the outputs are not rows.
        ModelFailed: an output cannot be said in JSON.
    """
    return _dumped({"predictions" if in_rows else "outputs": _said(outputs, in_rows)})


def _said(outputs: Tensors, in_rows: bool) -> Any:
    if not outputs:
        raise InvalidInput("Cannot convert empty tensor map to JSON")
    if in_rows:
        return _rows(outputs)
    values = {alias: _sayable(alias, array) for alias, array in outputs.items()}
    return next(iter(values.values())) if len(values) == 1 else values


def encode_many(answers: Mapping[str, Tensors], in_rows: bool) -> bytes:
    """The body of an answer by several heads: of each what ``encode`` would say, under its name. Raises: as that."""
    said = {name: _said(outputs, in_rows) for name, outputs in answers.items()}
    return _dumped({"predictions" if in_rows else "outputs": said})


def weight(outputs: Tensors) -> int:
    """About how many bytes it is to say these tensors: what ``encode`` takes is in proportion to it."""
    return sum([array.nbytes for array in outputs.values()])


def results(values: Sequence[Any]) -> bytes:
    """The answer's body of classify and regress: nested lists of text and of numpy's numbers."""
    return _dumped({"results": values})


def number(value: np.floating[Any]) -> Any:
    """A number that may be none, for ``results``."""
    return value if np.isfinite(value) else orjson.Fragment(_word(value))


def _dumped(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body, option=_NUMPY)
    except orjson.JSONEncodeError as error:
        raise ModelFailed(f"the outputs cannot be written as JSON: {error}") from error


def _rows(outputs: Tensors) -> Any:
    first: int | None = None
    for alias, array in outputs.items():
        if array.ndim == 0:
            raise InvalidInput(f"Tensor name: {alias} has no shape information ")
        first = array.shape[0] if first is None else first
        if array.shape[0] != first:
            raise InvalidInput(f"Tensor name: {alias} has inconsistent batch size: {array.shape[0]} expecting: {first}")
    if len(outputs) == 1:
        ((alias, array),) = outputs.items()
        return _sayable(alias, array)
    columns = [_sayable_rows(alias, array) for alias, array in outputs.items()]
    return [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]


def _sayable_rows(alias: str, array: Array) -> Any:
    """A value a row, which orjson can write."""
    whole = _sayable(alias, array)
    if isinstance(whole, orjson.Fragment):
        return [_sayable(alias, row) for row in array]
    # A row that is no number is an array again, and must be one that orjson takes.
    return whole


def _sayable(alias: str, array: Array) -> Any:
    """What orjson can write for this tensor without changing a value."""
    if array.dtype.kind in "OSU":
        return _said_strings(alias, array)
    if array.dtype.kind not in "fiub":
        word = "bfloat16" if array.dtype == BFLOAT16 else array.dtype
        raise InvalidInput(f"Failed to write JSON value for tensor type: {word}")
    if array.dtype == np.float16:
        # The shortest text of a half, read as a double: that double's own shortest text is the same.
        array = np.asarray(array).astype("U").astype(np.float64)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return orjson.Fragment(b"".join(_said_words(np.asarray(array))))
    # Without a dimension it is no array to orjson, and would get one from numpy.
    if not array.ndim:
        return array[()]
    if array.nbytes > _PIECE:
        return orjson.Fragment(_in_pieces(np.ascontiguousarray(array)))
    return np.ascontiguousarray(array)


def _in_pieces(array: Array) -> bytes:
    """A large array's text, written some of it at a time: who writes it on a thread lets others go on in between."""
    if array.nbytes <= _PIECE or array.ndim == 0:
        return orjson.dumps(array, option=_NUMPY)
    a_row = array.nbytes // len(array)
    if a_row > _PIECE:
        return b"[" + b",".join(map(_in_pieces, array)) + b"]"
    step = max(1, _PIECE // a_row)
    pieces = (orjson.dumps(array[at : at + step], option=_NUMPY)[1:-1] for at in range(0, len(array), step))
    return b"[" + b",".join(pieces) + b"]"


def _said_words(array: Array) -> Iterator[bytes]:
    """The text of floats of which some are none: orjson writes ``null`` for those, and for nothing else here."""
    between = orjson.dumps(np.ascontiguousarray(array) if array.ndim else array[()], option=_NUMPY).split(b"null")
    words = map(_word, array[~np.isfinite(array)])
    return chain.from_iterable(zip_longest(between, words, fillvalue=b""))


def _word(value: Any) -> bytes:
    if np.isnan(value):
        return b"NaN"
    return b"Infinity" if value > 0 else b"-Infinity"


def _said_strings(alias: str, array: Array) -> Any:
    flat = np.empty(array.size, dtype=object)
    for index, value in enumerate(array.ravel()):
        raw = value.encode() if isinstance(value, str) else bytes(value)
        if alias.endswith("_bytes"):
            flat[index] = {"b64": base64.b64encode(raw).decode()}
            continue
        try:
            flat[index] = raw.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"output {alias!r} holds bytes that are not UTF-8 text; outputs named *_bytes are written as base64"
            ) from error
    return flat.reshape(array.shape).tolist()
