"""Predict requests off the wire, held against protobuf's own reader: whatever the bytes are, both read the same."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2

from service.adapters.rpc import tensor_proto
from service.adapters.rpc.predict_request import LARGE_BYTES, Received, received
from service.domain.errors import InvalidInput
from service.tensorflow_protos import predict_pb2 as our_predict_pb2

NUMBERS = np.arange(LARGE_BYTES // 4 + 1, dtype=np.float32)


def tensor(array: np.ndarray, content: bool = True) -> tensor_pb2.TensorProto:
    made = tensor_pb2.TensorProto()
    tensor_proto.write(array, made, as_content=content)
    return made


def message(*, content: bool = True, **inputs: np.ndarray) -> bytes:
    request = predict_pb2.PredictRequest(output_filter=["y"])
    request.model_spec.name, request.model_spec.version.value = "m", 3
    for alias, array in inputs.items():
        request.inputs[alias].CopyFrom(tensor(array, content))
    return bytes(request.SerializeToString())


def whole(read: Received) -> predict_pb2.PredictRequest:
    """What was read, with the contents put back."""
    request = predict_pb2.PredictRequest.FromString(read.request.SerializeToString())
    for alias, content in read.contents.items():
        request.inputs[alias].tensor_content = bytes(content)
    return request


def agree(raw: bytes) -> Received | None:
    """Read by both; None where both refuse."""
    try:
        expected = predict_pb2.PredictRequest.FromString(raw)
    except DecodeError:
        with pytest.raises(DecodeError):
            received(raw)
        return None
    read = received(raw)
    assert whole(read) == expected
    assert inputs(read) == inputs(Received(expected))
    return read


def inputs(read: Received) -> object:
    """What becomes of its inputs: types, shapes and bytes, or the words of a refusal."""
    try:
        arrays = tensor_proto.decode_all(read.request.inputs, {}, read.contents)
    except InvalidInput as error:
        return str(error)
    return {alias: (array.dtype, array.shape, array.tobytes()) for alias, array in arrays.items()}


def length(size: int) -> bytes:
    """A length on the wire, as protobuf itself writes it behind a tag."""
    return tensor_pb2.TensorProto(int64_val=[size]).SerializeToString()[2:]


def record(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + length(len(content)) + content


def test_a_large_tensor_stays_where_it_was_received() -> None:
    raw = message(x=NUMBERS)
    read = agree(raw)
    assert read is not None
    assert not read.request.inputs["x"].tensor_content
    array = tensor_proto.decode_all(read.request.inputs, {}, read.contents)["x"]
    np.testing.assert_array_equal(array, NUMBERS)
    start = np.frombuffer(raw, np.uint8).ctypes.data
    assert start < array.ctypes.data < start + len(raw)
    assert not array.flags.writeable


def test_the_bytes_live_as_long_as_an_array_of_them() -> None:
    raw = message(x=NUMBERS)
    before = sys.getrefcount(raw)
    read = received(raw)
    array = tensor_proto.decode_all(read.request.inputs, {}, read.contents)["x"]
    del read
    assert sys.getrefcount(raw) > before
    del array
    assert sys.getrefcount(raw) == before


@pytest.mark.parametrize("content", [True, False])
def test_large_and_small_inputs_beside_each_other(content: bool) -> None:
    read = agree(message(content=content, large=NUMBERS, small=NUMBERS[:3], other=NUMBERS[::-1].copy()))
    assert read is not None
    assert sorted(read.contents) == (["large", "other"] if content else [])


def test_a_small_message_is_protobufs() -> None:
    read = agree(message(x=NUMBERS[:100]))
    assert read is not None
    assert not read.contents


KEY, TYPE = record(0x0A, b"x"), bytes((0x08, types_pb2.DT_FLOAT))
SHAPE = record(0x12, record(0x12, b"\x08" + length(len(NUMBERS))))
CONTENT = record(0x22, NUMBERS.tobytes())
VALUE = record(0x12, TYPE + SHAPE + CONTENT)
UNKNOWN = b"\xc2\x3e\x02ab"
STRANGE = {
    "as clients write it": record(0x12, KEY + VALUE),
    "value before key": record(0x12, VALUE + KEY),
    "no key": record(0x12, VALUE),
    "key twice": record(0x12, KEY + record(0x0A, b"z") + VALUE),
    "value twice": record(0x12, KEY + VALUE + record(0x12, TYPE)),
    "content twice": record(0x12, KEY + record(0x12, TYPE + SHAPE + CONTENT + CONTENT)),
    "content before shape": record(0x12, KEY + record(0x12, CONTENT + SHAPE + TYPE)),
    "empty content after it": record(0x12, KEY + record(0x12, TYPE + SHAPE + CONTENT + b"\x22\x00")),
    "alias twice": record(0x12, KEY + VALUE) * 2,
    "alias twice, small the second time": record(0x12, KEY + VALUE) + record(0x12, KEY + record(0x12, TYPE)),
    "alias twice, small the first time": record(0x12, KEY + record(0x12, TYPE)) + record(0x12, KEY + VALUE),
    "key that is no text": record(0x12, record(0x0A, b"\xff") + VALUE),
    "key with nothing in it": record(0x12, b"\x0a\x00" + VALUE),
    "unknown fields everywhere": b"\xc2\x3e\x02ab"
    + record(0x12, KEY + record(0x12, TYPE + b"\xc2\x3e\x02ab" + SHAPE + CONTENT)),
    "a group": record(0x12, KEY + record(0x12, TYPE + SHAPE + b"\xdb\x06\xdc\x06" + CONTENT)),
    "numbers of fixed width": b"\xa1\x06" + bytes(8) + b"\xa5\x06" + bytes(4) + record(0x12, KEY + VALUE),
    "field number nought": b"\x02\x00" + record(0x12, KEY + VALUE),
    "tag written long": record(0x12, KEY + b"\x92\x00" + VALUE[1:]),
    "spec twice": record(0x0A, b"\x0a\x01a") + record(0x12, KEY + VALUE) + record(0x0A, b"\x1a\x01b"),
    "cut off in the content": record(0x12, KEY + VALUE)[:-1],
    "cut off in the head": record(0x12, KEY + VALUE)[:3],
    "longer within than without": b"\x12" + length(len(VALUE)) + KEY + VALUE,
    "a byte too many": record(0x12, KEY + VALUE) + b"\x80",
    "a number without end": record(0x12, KEY + record(0x12, b"\x08" + b"\xff" * 11 + CONTENT)),
    "a length beyond counting": b"\x12" + b"\xff" * 9 + b"\x01" + KEY + VALUE,
    "not a message": b"\xff" * LARGE_BYTES,
    "zeros": bytes(LARGE_BYTES),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_is_written_strangely_is_read_as_protobuf_reads_it(name: str) -> None:
    agree(STRANGE[name])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_messages_are_read_or_refused_as_protobuf_does(data: st.DataObject) -> None:
    raw = bytearray(
        message(a=NUMBERS, b=NUMBERS[:2]) if data.draw(st.booleans()) else STRANGE["unknown fields everywhere"]
    )
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.one_of(st.integers(0, 60), st.integers(len(raw) - 60, len(raw) - 1)))
        way = data.draw(st.sampled_from(["change", "insert", "drop"]))
        byte = data.draw(st.sampled_from([0x00, 0x01, 0x08, 0x0A, 0x12, 0x1A, 0x22, 0x7F, 0x80, 0xFF]))
        if way == "change":
            raw[place] = byte
        elif way == "insert":
            raw.insert(place, byte)
        else:
            del raw[place]
    agree(bytes(raw))


def test_our_message_classes_are_the_ones_that_are_read() -> None:
    assert isinstance(received(message(x=NUMBERS)).request, our_predict_pb2.PredictRequest)
