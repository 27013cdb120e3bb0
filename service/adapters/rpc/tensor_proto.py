"""Tensors on the gRPC wire: ``tensor_content`` or the typed fields in, typed fields out, as TensorFlow Serving has it.

Numbers go between message and array as one block; nothing is converted one by one but strings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from service.domain.errors import InvalidInput
from service.domain.tensors import NUMPY_TYPES, Array, TensorSpec, type_name
from service.tensorflow_protos import tensor_pb2, types_pb2

_FIELDS: Mapping[str, str] = {
    "DT_FLOAT": "float_val",
    "DT_DOUBLE": "double_val",
    "DT_HALF": "half_val",
    "DT_BFLOAT16": "half_val",
    "DT_INT8": "int_val",
    "DT_INT16": "int_val",
    "DT_INT32": "int_val",
    "DT_UINT8": "int_val",
    "DT_UINT16": "int_val",
    "DT_INT64": "int64_val",
    "DT_UINT32": "uint32_val",
    "DT_UINT64": "uint64_val",
    "DT_BOOL": "bool_val",
    "DT_STRING": "string_val",
    "DT_COMPLEX64": "scomplex_val",
    "DT_COMPLEX128": "dcomplex_val",
}


@dataclass(frozen=True, slots=True)
class _Form:
    """How tensors of one type are written."""

    name: str
    dtype: np.dtype[Any]
    field: str


_FORMS: Mapping[int, _Form] = {
    types_pb2.DataType.Value(name): _Form(name, NUMPY_TYPES[name], field) for name, field in _FIELDS.items()
}
_NUMBERS = {field.name: field.number for field in tensor_pb2.TensorProto.DESCRIPTOR.fields}
_BLOCKS = frozenset({"DT_FLOAT", "DT_DOUBLE", "DT_COMPLEX64", "DT_COMPLEX128", "DT_BOOL"})
"""Types whose field on the wire is the array's own bytes: numbers of fixed width, and truths of one byte each."""
_MOST_REPEATED_BYTES = 1 << 26
"""A message of a few bytes may claim any shape; one value is only ever repeated up to this, all inputs of a request
together. It takes no memory before the graph runs: the array is a view of the one value."""
_MOST_FILLED = 16
"""How many times as large as what was sent a tensor may be that repeats the last of several values, which does."""
_FILLED_ANYWAY_BYTES = 1 << 20
_NONE: Mapping[str, memoryview] = {}
_MOST_DIMENSIONS = 64
"""numpy has no arrays of more."""
_MOST_BYTES = 2**62
"""Beyond any memory, and still a number that numpy can count to."""


def decode_all(
    protos: Mapping[str, tensor_pb2.TensorProto],
    specs: Mapping[str, TensorSpec],
    contents: Mapping[str, memoryview] = _NONE,
) -> dict[str, Array]:
    """The inputs of a request to a signature that wants them like this. ``contents`` are the ``tensor_content`` of
    those messages that come without it.

    What claims to be of a shape that the signature refuses is refused before it is made.

    Raises:
        InvalidInput
    """
    arrays: dict[str, Array] = {}
    left = _MOST_REPEATED_BYTES
    for alias, proto in protos.items():
        content = contents.get(alias) or proto.tensor_content  # once: each time it is a copy
        if content:
            arrays[alias] = _from_content(alias, proto, content)
            continue
        arrays[alias] = _from_fields(alias, proto, specs.get(alias), left)
        if arrays[alias].nbytes > proto.ByteSize():
            left -= arrays[alias].nbytes
    return arrays


def decode(alias: str, proto: tensor_pb2.TensorProto) -> Array:
    """A message as an array.

    ``tensor_content`` wins and must have the exact length. A typed field shorter than the shape repeats its last value,
    an empty one means zeros, what is too much is ignored: all as TensorFlow reads it.

    Raises:
        InvalidInput
    """
    return decode_all({alias: proto}, {})[alias]


def _form_and_shape(alias: str, proto: tensor_pb2.TensorProto) -> tuple[_Form, tuple[int, ...], int]:
    """Of what type and shape a message says its tensor is, and of how many values. Raises: InvalidInput."""
    form = _FORMS.get(proto.dtype)
    if form is None:
        known = proto.dtype in types_pb2.DataType.values()
        unknown = types_pb2.DataType.Name(proto.dtype) if known else proto.dtype
        raise InvalidInput(f"tensor parsing error: {alias}: type {unknown} is not supported")
    shape = tuple([dim.size for dim in proto.tensor_shape.dim])
    if proto.tensor_shape.unknown_rank or (shape and min(shape) < 0):
        raise InvalidInput(f"tensor parsing error: {alias}: its shape is not fully known")
    size = math.prod(shape)
    claimed = size or math.prod(max(1, dim) for dim in shape)
    if len(shape) > _MOST_DIMENSIONS or claimed * form.dtype.itemsize > _MOST_BYTES:
        raise InvalidInput(f"tensor parsing error: {alias}: no tensor can have the shape it claims")
    return form, shape, size


def _from_content(alias: str, proto: tensor_pb2.TensorProto, content: bytes | memoryview) -> Array:
    """A view of the content, which need not be aligned. Raises: InvalidInput."""
    form, shape, size = _form_and_shape(alias, proto)
    if form.name == "DT_STRING":
        raise InvalidInput(f"tensor parsing error: {alias}: strings belong in string_val, not in tensor_content")
    if len(content) != size * form.dtype.itemsize:
        raise InvalidInput(
            f"tensor parsing error: {alias}: {len(content)} bytes of tensor_content, but shape "
            f"{list(shape)} of {form.name} needs {size * form.dtype.itemsize}"
        )
    return np.frombuffer(content, form.dtype).reshape(shape)


def _from_fields(alias: str, proto: tensor_pb2.TensorProto, spec: TensorSpec | None, most_repeated_bytes: int) -> Array:
    """Raises: InvalidInput."""
    form, shape, size = _form_and_shape(alias, proto)
    name, dtype = form.name, form.dtype
    values = _typed(form, proto)
    if size > len(values):
        sent = max(_FILLED_ANYWAY_BYTES, _MOST_FILLED * proto.ByteSize())
        most = most_repeated_bytes if len(values) < 2 else min(most_repeated_bytes, sent)
        if size * dtype.itemsize > most:
            raise InvalidInput(
                f"tensor parsing error: {alias}: {len(values)} values for shape {list(shape)} are too few"
            )
        if spec is not None and spec.dtype == name and not spec.accepts(shape):
            raise InvalidInput(f"input {alias!r} expects shape {spec.shape_text()} but got {list(shape)}")
        if len(values) < 2:
            return np.broadcast_to(values.reshape(()) if len(values) else _nothing(dtype), shape)
    return _filled(values, size, dtype).reshape(shape)


def _typed(form: _Form, proto: tensor_pb2.TensorProto) -> Array:
    name, dtype = form.name, form.dtype
    values = getattr(proto, form.field)
    if name == "DT_STRING":
        strings = np.empty(len(values), dtype=object)
        strings[:] = list(values)
        return strings
    if form.field == "half_val":
        return np.array(values, np.int32).astype(np.uint16).view(dtype)
    if dtype.kind == "c":
        parts = np.array(values, np.float32 if name == "DT_COMPLEX64" else np.float64)
        return parts[: len(parts) // 2 * 2].view(dtype)
    if form.field == "int_val":
        return np.array(values, np.int32).astype(dtype)
    return np.array(values, dtype)


def _nothing(dtype: np.dtype[Any]) -> Array:
    """What a tensor is filled with that has no value at all."""
    nothing = np.zeros((), dtype)
    if dtype.kind == "O":
        nothing[()] = b""
    return nothing


def _filled(values: Array, size: int, dtype: np.dtype[Any]) -> Array:
    if len(values) == size:
        return values
    if len(values) > size:
        return values[:size]
    filled = np.empty(size, dtype=dtype)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1]
    return filled


def encode(array: Array) -> tensor_pb2.TensorProto:
    """An array as a message of typed fields."""
    proto = tensor_pb2.TensorProto()
    write(array, proto)
    return proto


def write(array: Array, proto: tensor_pb2.TensorProto, *, as_content: bool = False) -> None:
    """Put an array into an empty message: into its typed field, or as one block of bytes where ``as_content`` asks for
    that and the type has such a form.
    """
    name = type_name(array)
    head = _head(name, array.shape)
    if name in _BLOCKS and not as_content:
        proto.MergeFromString(head + _block(_FIELDS[name], array.tobytes()))
        return
    proto.MergeFromString(head)
    flat = array.ravel()
    if name == "DT_STRING":
        proto.string_val.extend(value.encode() if isinstance(value, str) else bytes(value) for value in flat)
    elif as_content:
        proto.tensor_content = flat.tobytes()
    elif _FIELDS[name] == "half_val":
        proto.half_val.extend(flat.view(np.uint16).tolist())
    else:
        getattr(proto, _FIELDS[name]).extend(flat.tolist())


@lru_cache(maxsize=1024)
def _head(name: str, shape: tuple[int, ...]) -> bytes:
    """Type and shape on the wire; a model's answers have few. A shape is there even without dimensions, as TensorFlow
    writes it.
    """
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DataType.Value(name))
    proto.tensor_shape.SetInParent()
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto.SerializeToString()


def _block(field: str, content: bytes) -> bytes:
    """A packed field on the wire: its tag, its length, its values."""
    return _varint(_NUMBERS[field] << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
