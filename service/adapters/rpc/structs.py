"""JSON objects as ``google.protobuf.Struct``, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct, Value


def as_struct(values: Mapping[str, Any]) -> Struct:
    """A JSON object as a message."""
    struct = Struct()
    struct.update(values)
    return struct


def from_struct(struct: Struct) -> dict[str, Any]:
    """A message as a JSON object. Its numbers are all doubles: one without a fraction is a whole number again."""
    return {name: _plain(value) for name, value in struct.fields.items()}


def _plain(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return [_plain(item) for item in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "string_value":
            return value.string_value
        case _:
            return None
