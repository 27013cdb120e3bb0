"""Why JSON values are no tensor, in TensorFlow Serving's words: the first fault in the order of the text.

Only asked when the values have already been found wanting, so it takes its time: it walks them one by one. Not without
end, though: whoever sends millions of values learns only that one of the later ones is at fault.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_SHOWN = 200
_MOST_DIMENSIONS = 64
TOO_DEEP = f"its lists are nested more than {_MOST_DIMENSIONS} deep"

_MOST_LOOKED_AT = 200_000
_LATER = f"a value after the first {_MOST_LOOKED_AT} is not like those before it"

Leaf = Callable[[Any], str | None]
"""What is wrong with one value that is no list, if anything."""

_TYPE_NAMES = {"NoneType": "Null", "bool": "Bool", "dict": "Object", "list": "Array", "str": "String"}


def shown(value: Any) -> str:
    """The beginning of a value, without writing all of it."""
    text = ""
    for part in json.JSONEncoder(default=str).iterencode(value):
        text += part[:_SHOWN]
        if len(text) >= _SHOWN:
            break
    return text[:_SHOWN]


def json_type(value: Any) -> str:
    """What JSON calls the type of a value."""
    return _TYPE_NAMES.get(type(value).__name__, "Number")


def wrong_type(value: Any, type_name: str) -> str:
    """The text for a value that cannot be an element of this type."""
    word = type_name.removeprefix("DT_").lower()
    return f"JSON Value: {shown(value)} Type: {json_type(value)} is not of expected type: {word}"


def in_tensor(value: Any, leaf: Leaf) -> str | None:
    """What is wrong with a value that ought to be a whole tensor."""
    return _in_whole(value, _shape(value), leaf, iter(range(_MOST_LOOKED_AT)))


def in_rows(rows: Sequence[Any], leaf: Leaf) -> tuple[int, str] | None:
    """The first of several rows that is no tensor, or not one of the first's shape, and why."""
    first: list[int] = []
    left = iter(range(_MOST_LOOKED_AT))
    for index, row in enumerate(rows):
        shape = _shape(row)
        fault = _in_whole(row, shape, leaf, left)
        if fault is None and index and shape != first:
            fault = _not_alike(first, shape)
        if fault is not None:
            return index, fault
        first = shape if not index else first
    return None


def _not_alike(expected: list[int], got: list[int]) -> str:
    if _count(expected) != _count(got):
        return f"Expecting tensor size: {_count(expected)} but got: {_count(got)}"
    return f"Expecting shape {_shape_text(expected)} but got: {_shape_text(got)}"


def _in_whole(value: Any, shape: Sequence[int], leaf: Leaf, left: Iterator[int]) -> str | None:
    return TOO_DEEP if len(shape) > _MOST_DIMENSIONS else _in_part(value, shape, 0, leaf, left)


def _in_part(value: Any, shape: Sequence[int], level: int, leaf: Leaf, left: Iterator[int]) -> str | None:
    if next(left, None) is None:
        return _LATER
    if not isinstance(value, list):
        if level == len(shape):
            return leaf(value)
        return (
            f"JSON Value: {shown(value)} found at incorrect level: {level} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    if level >= len(shape):
        return f"Encountered list at unexpected level: {level} expected < {len(shape)}"
    if len(value) != shape[level]:
        return f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
    faults = (_in_part(part, shape, level + 1, leaf, left) for part in value)
    return next((fault for fault in faults if fault is not None), None)


def _shape(value: Any) -> list[int]:
    """The shape that the first elements promise."""
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _shape_text(shape: Sequence[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
