"""``:classify`` and ``:regress`` in JSON: objects of features become serialized ``tf.Example``, labels and scores come
back.

The messages are written here byte by byte, because their form is that small, and reading them from TensorFlow would
mean to import it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.adapters.rest import answer_json
from service.adapters.rest.tensor_faults import json_type
from service.domain.errors import InvalidInput
from service.domain.inference import Classification
from service.domain.tensors import Array

_BYTES, _FLOAT, _INT64 = 1, 2, 3
"""The lists a feature may have, by their field's number."""
_NAMES = {_BYTES: "bytes", _FLOAT: "float", _INT64: "int64"}
_LEAST_INT64, _MOST_INT64, _MOST_UINT64 = -(2**63), 2**63 - 1, 2**64 - 1


def examples(root: Mapping[str, Any], method: str) -> Array:
    """Each example, serialized, with the context in front of it: what both have is the example's.

    Raises:
        InvalidInput
    """
    context = _example(root["context"]) if "context" in root else b""
    if "examples" not in root:
        raise InvalidInput(f"When method is {method}, key 'examples' is expected and was not found")
    listed = root["examples"]
    if not isinstance(listed, list):
        raise InvalidInput("Expecting 'examples' value to be an list/array")
    if not listed:
        raise InvalidInput("'examples' value is an empty array")
    rows = np.empty(len(listed), dtype=object)
    rows[:] = [context + _example(one) for one in listed]
    return rows


def classified(results: Sequence[Classification]) -> bytes:
    """The answer to ``:classify``. Raises: InvalidInput, a label is no text."""
    return answer_json.results([[[_text(label), answer_json.number(score)] for label, score in one] for one in results])


def regressed(values: Array) -> bytes:
    """The answer to ``:regress``."""
    return answer_json.results([answer_json.number(value) for value in values])


def _text(label: bytes) -> str:
    try:
        return label.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput("the model gave a class that is not UTF-8 text") from error


def _example(value: Any) -> bytes:
    """A ``tf.Example``: features, a map from names to features."""
    if not isinstance(value, dict):
        raise InvalidInput(f"Example must be JSON object but got JSON {json_type(value)}")
    features = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, _feature(name, given))) for name, given in value.items()
    )
    return _field(1, features)


def _feature(name: str, given: Any) -> bytes:
    values = given if isinstance(given, list) else [given]
    kind = 0
    for value in values:
        found = _kind(name, value)
        if kind not in (0, found):
            raise InvalidInput(f"Unexpected element type in feature: {name} expecting type: {_NAMES[kind]}")
        kind = found
    if not kind:
        return b""
    return _field(kind, _list(kind, values))


def _kind(name: str, value: Any) -> int:
    """Which list a value belongs in: 80 and 80.0 are two different things here."""
    if isinstance(value, str) or (isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)):
        return _BYTES
    if isinstance(value, float):
        return _FLOAT
    if isinstance(value, bool):
        return _INT64
    if isinstance(value, int):
        if _MOST_INT64 < value <= _MOST_UINT64:
            raise InvalidInput(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        return _INT64 if _LEAST_INT64 <= value <= _MOST_INT64 else _FLOAT
    raise InvalidInput(f"Feature: {name} has element with unexpected JSON type: {json_type(value)}")


def _list(kind: int, values: Sequence[Any]) -> bytes:
    if kind == _BYTES:
        return b"".join(_field(1, _raw(value)) for value in values)
    if kind == _FLOAT:
        with np.errstate(over="ignore"):
            return _field(1, np.array([_float(value) for value in values]).astype("<f4").tobytes())
    return _field(1, b"".join(_varint(value & _MOST_UINT64) for value in values))


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _raw(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    try:
        return base64.b64decode(value["b64"], validate=True)
    except ValueError as error:
        raise InvalidInput("Unable to base64 decode") from error


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
