"""A PredictRequest whose large tensors stay in the message that was received.

protobuf copies a tensor's bytes twice: into the message object, and out of it whenever they are asked for. Here a
large ``tensor_content`` is found by walking over the message's fields and left where it is; protobuf reads the rest.
What is not written as every client writes it, a field twice or one that does not end where it says, is protobuf's to
read, or to refuse, as it would without this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from service.tensorflow_protos import predict_pb2, tensor_pb2

LARGE_BYTES = 1 << 16
"""What is smaller is copied in less time than it is looked for."""
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_FIXED = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_MOST_VARINT_BYTES = 10


class _Unusual(ValueError):
    """This is for protobuf."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request, and the contents of large tensors by alias, which it lacks."""

    request: predict_pb2.PredictRequest
    contents: Mapping[str, memoryview] = field(default_factory=dict)


class _Field(NamedTuple):
    """One field of a message: what it is, and where its record, its value and both end, in the bytes."""

    tag: int
    begin: int
    value: int
    end: int


def _tag(number: int) -> int:
    return number << 3 | _LENGTH


_INPUTS = _tag(predict_pb2.PredictRequest.DESCRIPTOR.fields_by_name["inputs"].number)
_KEY, _VALUE = _tag(1), _tag(2)
"""Of an entry of any map."""
_CONTENT = _tag(tensor_pb2.TensorProto.DESCRIPTOR.fields_by_name["tensor_content"].number)


def received(message: bytes) -> Received:
    """Read a request off the wire. Raises: google.protobuf.message.DecodeError."""
    if len(message) >= LARGE_BYTES:
        try:
            return _without_contents(message)
        except ValueError:  # not as every client writes it: a key may be no text, too
            pass
    return Received(predict_pb2.PredictRequest.FromString(message))


def _without_contents(message: bytes) -> Received:
    """Raises: ValueError, protobuf is to read it."""
    view, rest, entries = memoryview(message), bytearray(), 0
    contents: dict[str, memoryview] = {}
    for one in _fields(message, 0, len(message)):
        entries += one.tag == _INPUTS
        if one.tag != _INPUTS or one.end - one.begin < LARGE_BYTES:
            rest += view[one.begin : one.end]
            continue
        key, value = _entry(message, one)
        head, content = bytearray(), None
        for inner in _fields(message, value.value, value.end):
            if inner.tag == _CONTENT:
                if content is not None:
                    raise _Unusual
                content = view[inner.value : inner.end]
            else:
                head += view[inner.begin : inner.end]
        if content is None:
            rest += view[one.begin : one.end]
            continue
        contents[str(view[key.value : key.end], "utf-8")] = content
        rest += _record(_INPUTS, bytes(view[key.begin : key.end]) + _record(_VALUE, bytes(head)))
    request = predict_pb2.PredictRequest.FromString(bytes(rest))
    if len(request.inputs) != entries:  # an alias came twice, and the last one counts
        raise _Unusual
    return Received(request, contents)


def _entry(message: bytes, entry: _Field) -> tuple[_Field, _Field]:
    """The key and the value of an input. Raises: _Unusual, it is not one of each, in this order."""
    parts = list(_fields(message, entry.value, entry.end))
    if [part.tag for part in parts] != [_KEY, _VALUE]:
        raise _Unusual
    return parts[0], parts[1]


def _fields(message: bytes, at: int, end: int) -> Iterator[_Field]:
    """The fields between two places. Raises: _Unusual, they do not end there or are of a kind nobody writes."""
    while at < end:
        begin = at
        tag, at = _varint(message, at, end)
        kind = tag & 7
        value = at
        if kind == _LENGTH:
            length, value = _varint(message, at, end)
            at = value + length
        elif kind == _VARINT:
            _, at = _varint(message, at, end)
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise _Unusual
        if at > end:
            raise _Unusual
        yield _Field(tag, begin, value, at)


def _varint(message: bytes, at: int, end: int) -> tuple[int, int]:
    """A number and where it ends. Raises: _Unusual."""
    number = 0
    for place in range(at, min(end, at + _MOST_VARINT_BYTES)):
        byte = message[place]
        number |= (byte & 0x7F) << 7 * (place - at)
        if byte < 0x80:
            return number, place + 1
    raise _Unusual


def _record(tag: int, content: bytes) -> bytes:
    """A field with a length, on the wire."""
    out, length = bytearray((tag,)), len(content)
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out + content)
