"""TF Serving's JSON for tensors: rows (``instances``) or columns (``inputs``) in, ``predictions`` or ``outputs`` back.

Numbers never become one Python object each on the way out, and one list conversion on the way in checks shape and type
for a whole tensor at once.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

from service.domain.errors import InvalidInput, ModelFailed
from service.domain.tensors import NUMPY_TYPES, Array, Signature, Tensors, TensorSpec

_SHOWN = 200
_MOST_DIMENSIONS = 64
"""numpy has no arrays of more."""
_SAID_TYPES: Mapping[str, frozenset[type]] = {
    "f": frozenset({int, float}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "b": frozenset({bool}),
}
"""What a number may be in JSON, by the kind of its tensor: nothing is rounded to an integer or taken from a string."""


def parse(body: bytes) -> dict[str, Any]:
    """The request's root object. ``NaN`` and ``Infinity`` are numbers here, as in TF Serving.

    Raises:
        InvalidInput
    """
    if not body.strip():
        raise InvalidInput("JSON Parse error: The document is empty")
    try:
        root = orjson.loads(body)
    except orjson.JSONDecodeError as strict:
        try:
            root = json.loads(body)
            if b"\\u" in body:
                _refuse_half_characters(root)
        except (ValueError, RecursionError):
            raise InvalidInput(f"JSON Parse error: {strict}") from strict
    if not isinstance(root, dict):
        raise InvalidInput(f"JSON Value: {_shown(root)} Is not object")
    return root


def signature_name(root: Mapping[str, Any]) -> str:
    """The signature asked for, empty when none is named. Raises: InvalidInput."""
    name = root.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidInput("'signature_name' key must be a string value.")
    return name


def decode(root: Mapping[str, Any], signature: Signature, name: str) -> tuple[dict[str, Array], bool]:
    """The tensors of a predict request, and whether it came in rows.

    Raises:
        InvalidInput
    """
    if not signature.inputs:
        raise InvalidInput(f"Failed to get input map for signature: {name}")
    if "instances" in root and "inputs" in root:
        raise InvalidInput(
            f"JSON Value: {_shown(dict(root))} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist"
        )
    if "instances" in root:
        return _from_rows(root["instances"], signature), True
    if "inputs" in root:
        return _from_columns(root["inputs"], signature), False
    raise InvalidInput("Missing 'inputs' or 'instances' key")


def _from_rows(rows: Any, signature: Signature) -> dict[str, Array]:
    if not isinstance(rows, list):
        raise InvalidInput("Expecting 'instances' to be an list/array")
    if not rows:
        raise InvalidInput("No values in 'instances' array")
    named = _is_named(rows[0])
    for index, row in enumerate(rows):
        if _is_named(row) != named:
            wanted, got = ("object", "value/list") if named else ("value/list", "object")
            raise InvalidInput(f"Expecting {wanted} but got {got} at item {index} of input list")
    aliases = sorted(signature.inputs)
    if not named:
        if len(aliases) > 1:
            raise InvalidInput(
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {aliases[0]: _tensor(rows, signature.inputs[aliases[0]], "instances")}
    for index, row in enumerate(rows):
        _check_keys(index, row, aliases)
    return {a: _tensor([row[a] for row in rows], signature.inputs[a], f"instances, input {a}") for a in aliases}


def _check_keys(index: int, row: Mapping[str, Any], aliases: Sequence[str]) -> None:
    if row.keys() == set(aliases):
        return
    extra = sorted(row.keys() - set(aliases))
    if extra:
        raise InvalidInput(
            f"Failed to process element: {index} key: {extra[0]} of 'instances' list. Error: INVALID_ARGUMENT: JSON "
            f"object: does not have named input: {extra[0]}"
        )
    raise InvalidInput(
        f"Failed to process element: {index} of 'instances' list. JSON object: {_shown(dict(row))} keys must be equal "
        f"to: {','.join(aliases)}"
    )


def _from_columns(columns: Any, signature: Signature) -> dict[str, Array]:
    aliases = sorted(signature.inputs)
    if not _is_named(columns):
        if len(aliases) > 1:
            raise InvalidInput(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {aliases[0]: _tensor(columns, signature.inputs[aliases[0]], "inputs")}
    missing = [alias for alias in aliases if alias not in columns]
    if missing:
        raise InvalidInput(f"Missing named input: {missing[0]} in 'inputs' object.")
    return {alias: _tensor(columns[alias], signature.inputs[alias], f"input {alias}") for alias in aliases}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _tensor(value: Any, spec: TensorSpec, place: str) -> Array:
    dtype = NUMPY_TYPES.get(spec.dtype)
    if dtype is None or dtype.kind == "c":
        raise InvalidInput(f"Conversion of JSON Value: {_shown(value)} to type: {spec.dtype} is not supported")
    shape, items = _flattened(value, place)
    if dtype.kind == "O":
        array = np.empty(len(items), dtype=object)
        array[:] = [_string(item, place) for item in items]
        return array.reshape(shape)
    # Asked before numpy sees them: to it one long string among numbers is a reason to make all of them as long.
    if not set(map(type, items)) <= _SAID_TYPES[dtype.kind]:
        raise InvalidInput(f"Failed to process {place}: JSON Value is not of expected type: {spec.dtype}")
    try:
        with np.errstate(over="ignore"):
            return np.array(items, dtype).reshape(shape)
    except OverflowError as error:
        raise InvalidInput(f"Failed to process {place}: {error}, that is {spec.dtype}") from error


def _flattened(value: Any, place: str) -> tuple[list[int], list[Any]]:
    """The shape of nested lists and what they hold, in order. Raises: InvalidInput, they are no tensor."""
    shape: list[int] = []
    items = [value]
    while items and type(items[0]) is list:
        if len(shape) == _MOST_DIMENSIONS:
            raise InvalidInput(f"Failed to process {place}: its lists are nested more than {_MOST_DIMENSIONS} deep")
        if set(map(type, items)) != {list}:
            raise _ragged(place, "a value", len(shape))
        sizes = set(map(len, items))
        if len(sizes) > 1:
            raise _ragged(place, f"list at unexpected size: {sorted(sizes)[0]}", len(shape), sorted(sizes)[-1])
        shape.append(sizes.pop())
        items = list(chain.from_iterable(items))
    if list in set(map(type, items)):
        raise _ragged(place, "list", len(shape))
    return shape, items


def _ragged(place: str, what: str, level: int, size: int | None = None) -> InvalidInput:
    expected = "" if size is None else f" expected size: {size}"
    return InvalidInput(f"Failed to process {place}: encountered {what} at level: {level}{expected}")


def _string(value: Any, place: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not _is_base64(value):
        raise InvalidInput(f"Failed to process {place}: JSON Value: {_shown(value)} is not of expected type: DT_STRING")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except ValueError as error:
        raise InvalidInput(f"Failed to process {place}: Unable to base64 decode") from error


def encode(outputs: Tensors, in_rows: bool) -> bytes:
    """The answer's body. One output loses its name; several keep theirs.

    Raises:
        InvalidInput: rows were asked for but the outputs are not rows.
        ModelFailed: an output cannot be said in JSON.
    """
    if not outputs:
        raise InvalidInput("Cannot convert empty tensor map to JSON")
    values = {alias: _sayable(alias, array) for alias, array in outputs.items()}
    if not in_rows:
        body: Any = {"outputs": next(iter(values.values())) if len(values) == 1 else values}
    else:
        body = {"predictions": _rows(outputs, values)}
    try:
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:
        raise ModelFailed(f"the outputs cannot be written as JSON: {error}") from error


def _rows(outputs: Tensors, values: Mapping[str, Any]) -> Any:
    sizes = {}
    for alias, array in outputs.items():
        if array.ndim == 0:
            raise InvalidInput(f"Tensor name: {alias} has no shape information")
        sizes[alias] = array.shape[0]
    first = next(iter(sizes.values()))
    for alias, size in sizes.items():
        if size != first:
            raise InvalidInput(f"Tensor name: {alias} has inconsistent batch size: {size} expecting: {first}")
    if len(values) == 1:
        return next(iter(values.values()))
    aliases = list(values)
    return [dict(zip(aliases, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _sayable(alias: str, array: Array) -> Any:
    """What orjson can write for this tensor without changing a value."""
    if array.dtype.kind in "OSU":
        return _said_strings(alias, array)
    if array.dtype.kind not in "fiub":
        raise InvalidInput(f"Failed to write JSON value for tensor type: {array.dtype}")
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return _said_floats(array)
    # Without a dimension it is no array to orjson, and would get one from numpy.
    return np.ascontiguousarray(array) if array.ndim else array[()]


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


def _said_floats(array: Array) -> Any:
    """Non-finite numbers as the bare words TF Serving writes, which orjson would turn into null."""

    def said(value: Any) -> Any:
        if isinstance(value, list):
            return [said(item) for item in value]
        if math.isfinite(value):
            return float(str(array.dtype.type(value)))
        return orjson.Fragment("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")

    return said(array.tolist())


def _refuse_half_characters(root: Any) -> None:
    """Python reads half a surrogate pair as a character; it cannot be written again. Raises: ValueError."""
    json.dumps(root, ensure_ascii=False).encode()


def _shown(value: Any) -> str:
    """The beginning of a value, without writing all of it."""
    text = ""
    for part in json.JSONEncoder(default=str).iterencode(value):
        text += part[:_SHOWN]
        if len(text) >= _SHOWN:
            break
    return text[:_SHOWN]
