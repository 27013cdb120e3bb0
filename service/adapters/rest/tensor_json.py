"""TF Serving's JSON for tensors on the way in: rows (``instances``) or columns (``inputs``), of any type, right or not.

One list conversion checks shape and type for a whole tensor at once; only when it fails are the values looked at one by
one, to say which of them is to blame. Requests of nothing but numbers come in faster through ``plain_numbers``, which
must agree with this.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import orjson

from service.adapters.rest.tensor_faults import TOO_DEEP, Leaf, in_rows, in_tensor, shown, wrong_type
from service.domain.errors import InvalidInput, NotSupported
from service.domain.tensors import NUMPY_TYPES, Array, Signature, TensorSpec

_MOST_NESTS = 4_000_000
"""Lists and objects in one request: an empty one is two bytes to send and two hundred to keep."""
_MOST_DIMENSIONS = 64
"""numpy has no arrays of more."""
_SAID_TYPES: Mapping[str, frozenset[type]] = {
    "f": frozenset({int, float}),
    "i": frozenset({int}),
    "u": frozenset({int}),
    "b": frozenset({bool}),
}
"""What a number may be in JSON, by the kind of its tensor: nothing is rounded to an integer or taken from a string."""
_BOM = b"\xef\xbb\xbf"
_SHORT_INFINITY = re.compile(rb'"(?:[^"\\]|\\.)*+"?|(-?)Inf(?!inity)', re.DOTALL)
"""The word, outside of strings. A string may lack its end; to look for it again from each quote takes for ever."""


def parse(body: bytes) -> dict[str, Any]:
    """The request's root object. ``NaN`` and ``Infinity`` are numbers here, as in TF Serving.

    Raises:
        InvalidInput
    """
    body = body.removeprefix(_BOM)
    if not body.strip():
        raise InvalidInput("JSON Parse error: The document is empty")
    if len(body) > _MOST_NESTS and body.count(b"[") + body.count(b"{") > _MOST_NESTS:
        raise InvalidInput(f"JSON Parse error: more than {_MOST_NESTS} lists and objects")
    try:
        root = _with_first_of_equal_keys(body) if _names_twice(body) else orjson.loads(body)
    except orjson.JSONDecodeError as strict:
        try:
            root = _with_infinities(body)
        except (ValueError, RecursionError):
            raise InvalidInput(f"JSON Parse error: {strict}") from strict
    if not isinstance(root, dict):
        raise InvalidInput(f"JSON Value: {shown(root)} Is not object")
    return root


def _names_twice(body: bytes) -> bool:
    """Whether a key that is looked up may be there twice. orjson takes the last, TF Serving the first."""
    return any(body.count(name) > 1 for name in (b'"instances"', b'"inputs"', b'"signature_name"'))


def _with_first_of_equal_keys(body: bytes) -> Any:
    """Read JSON whose keys may not be unique. Raises: orjson.JSONDecodeError."""
    orjson.loads(body)
    return json.loads(body.decode(), object_pairs_hook=lambda pairs: dict(pairs) | _first_of(pairs))


def _first_of(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in reversed(pairs) if name in ("instances", "inputs", "signature_name")}


def _with_infinities(body: bytes) -> Any:
    """Read JSON in which numbers may be none. Raises: ValueError, RecursionError."""
    if b"Inf" in body:
        body = _SHORT_INFINITY.sub(lambda found: found[0] if found[1] is None else found[1] + b"Infinity", body)
    root = json.loads(body.decode())
    if b"\\u" in body:
        # Python reads half a surrogate pair as a character; it cannot be written again.
        json.dumps(root, ensure_ascii=False).encode()
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
        NotSupported: a column of a type that JSON has no word for.
    """
    if not signature.inputs:
        raise InvalidInput(f"Failed to get input map for signature: {name}")
    if "instances" in root and "inputs" in root:
        raise InvalidInput(
            f"JSON Value: {shown(dict(root))} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
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
            wanted = "object but got list" if named else "value/list but got object"
            raise InvalidInput(f"Expecting {wanted} at item {index} of input list")
    aliases = sorted(signature.inputs)
    if not named:
        if len(aliases) > 1:
            raise InvalidInput(
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {aliases[0]: _rows_tensor(rows, signature.inputs[aliases[0]], "")}
    for index, row in enumerate(rows):
        _check_keys(index, row, aliases)
    return {a: _rows_tensor([row[a] for row in rows], signature.inputs[a], f" key: {a}") for a in aliases}


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
        f"Failed to process element: {index} of 'instances' list. JSON object: {shown(dict(row))} keys must be equal "
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
        return {aliases[0]: _column_tensor(columns, signature.inputs[aliases[0]])}
    missing = [alias for alias in aliases if alias not in columns]
    if missing:
        raise InvalidInput(f"Missing named input: {missing[0]} in 'inputs' object.")
    return {alias: _column_tensor(columns[alias], signature.inputs[alias]) for alias in aliases}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _rows_tensor(rows: Sequence[Any], spec: TensorSpec, key: str) -> Array:
    """One tensor from a value a row. Raises: InvalidInput, for whatever reason, as TF Serving has it."""

    def refused(index: int, why: str) -> InvalidInput:
        return InvalidInput(
            f"Failed to process element: {index}{key} of 'instances' list. Error: INVALID_ARGUMENT: {why}"
        )

    try:
        array = _tensor(rows, spec)
    except NotSupported as error:
        raise refused(0, str(error)) from error
    if array is None:
        raise refused(*(in_rows(rows, _leaf(spec)) or (0, TOO_DEEP)))
    return array


def _column_tensor(value: Any, spec: TensorSpec) -> Array:
    """One tensor from its whole value. Raises: InvalidInput, NotSupported."""
    array = _tensor(value, spec)
    if array is None:
        raise InvalidInput(in_tensor(value, _leaf(spec)) or TOO_DEEP)
    return array


def _tensor(value: Any, spec: TensorSpec) -> Array | None:
    """The tensor, or None when the value is none. Raises: NotSupported, no value would be one."""
    dtype = NUMPY_TYPES.get(spec.dtype)
    if dtype is None or dtype.kind in "cV":
        while isinstance(value, list) and value:
            value = value[0]
        word = spec.dtype.removeprefix("DT_").lower()
        raise NotSupported(f"Conversion of JSON Value: {shown(value)} to type: {word} is not supported")
    flattened = _flattened(value)
    if flattened is None:
        return None
    shape, items, types = flattened
    if dtype.kind == "O":
        strings = [_string(item) for item in items]
        if None in strings:
            return None
        array = np.empty(len(items), dtype=object)
        array[:] = strings
        return array.reshape(shape)
    # Asked before numpy sees them: to it one long string among numbers is a reason to make all of them as long.
    if not types <= _SAID_TYPES[dtype.kind]:
        return None
    try:
        with np.errstate(over="ignore"):
            return np.array(items, dtype).reshape(shape)
    except OverflowError:
        return None


def _flattened(value: Any) -> tuple[list[int], list[Any], set[type]] | None:
    """The shape of nested lists, what they hold in order, and the types of that; None when they are no tensor."""
    shape: list[int] = []
    items = value if isinstance(value, list) else [value]
    if isinstance(value, list):
        shape.append(len(items))
    types = set(map(type, items))
    while list in types:
        if len(shape) == _MOST_DIMENSIONS or len(types) > 1:
            return None
        sizes = set(map(len, items))
        if len(sizes) > 1:
            return None
        shape.append(sizes.pop())
        items = items[0] if len(items) == 1 else list(chain.from_iterable(items))
        types = set(map(type, items))
    return shape, items, types


def _string(value: Any) -> bytes | None:
    if isinstance(value, str):
        return value.encode()
    if not _is_base64(value):
        return None
    try:
        return base64.b64decode(value["b64"], validate=True)
    except ValueError:
        return None


def _leaf(spec: TensorSpec) -> Leaf:
    """How a single value is judged for a tensor of this type."""
    return partial(_leaf_fault, spec)


def _leaf_fault(spec: TensorSpec, value: Any) -> str | None:
    dtype = NUMPY_TYPES[spec.dtype]
    if dtype.kind == "O":
        if _string(value) is not None:
            return None
        if _is_base64(value):
            return "Unable to base64 decode"
        why = "; it is not formatted correctly for base64 data" if isinstance(value, dict) else ""
        return wrong_type(value, spec.dtype) + why
    if type(value) in _SAID_TYPES[dtype.kind]:
        try:
            np.array(value, dtype)
        except OverflowError:
            return wrong_type(value, spec.dtype)
        return None
    return wrong_type(value, spec.dtype)
