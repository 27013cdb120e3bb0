"""Tensors on the gRPC wire, held against TensorFlow's own reader and writer."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow.core.framework import tensor_pb2, types_pb2

from service.adapters.rpc import tensor_proto
from service.domain.errors import InvalidInput
from service.domain.tensors import BFLOAT16, NUMPY_TYPES, Array, TensorSpec

NUMBERS = sorted(NUMPY_TYPES.keys() - {"DT_STRING", "DT_BFLOAT16"})


def message(dtype: str, shape: tuple[int, ...] | None = (), **fields: object) -> tensor_pb2.TensorProto:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DataType.Value(dtype), **fields)  # type: ignore[arg-type]
    if shape is None:
        proto.tensor_shape.unknown_rank = True
    for size in shape or ():
        proto.tensor_shape.dim.add(size=size)
    return proto


def decode(proto: tensor_pb2.TensorProto) -> Array:
    return tensor_proto.decode("x", proto)


def refusal(proto: tensor_pb2.TensorProto) -> str:
    with pytest.raises(InvalidInput) as caught:
        decode(proto)
    assert "tensor parsing error: x" in str(caught.value)
    return str(caught.value)


def same(one: Array, other: Array) -> None:
    assert one.shape == other.shape
    if one.dtype.kind in "OSU":
        assert one.tolist() == other.tolist()
    else:
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def some(dtype: str, shape: tuple[int, ...]) -> Array:
    drawn = np.random.default_rng(3).integers(0, 2**32, (*shape, 2), dtype=np.uint32).view(np.uint64)[..., 0]
    if NUMPY_TYPES[dtype].kind in "iub":
        return drawn.astype(NUMPY_TYPES[dtype])
    return (drawn / 2**60).astype(NUMPY_TYPES[dtype])


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (2, 0)])
def test_what_tensorflow_writes_is_read_and_what_is_written_tensorflow_reads(
    dtype: str, shape: tuple[int, ...]
) -> None:
    """In both of its forms: one block of bytes, and typed fields."""
    import tensorflow as tf

    array = some(dtype, shape)
    same(decode(tf.make_tensor_proto(array)), array)
    same(decode(tensor_proto.encode(array)), array)
    same(tf.make_ndarray(tensor_proto.encode(array)), array)
    if array.size:
        same(decode(message(dtype, shape, tensor_content=array.tobytes())), array)


@pytest.mark.parametrize("shape", [(), (2,), (2, 2), (0,)])
def test_strings_are_read_and_written_as_tensorflow_does(shape: tuple[int, ...]) -> None:
    import tensorflow as tf

    array = np.empty(shape, dtype=object)
    array.ravel()[:] = [b"\xff\0", b"", "für".encode(), b"x" * 1000][: array.size]
    if not shape:
        array = np.array(b"\xff\0", dtype=object)
    if array.size:
        same(decode(tf.make_tensor_proto(array)), array)
        same(tf.make_ndarray(tensor_proto.encode(array)), array)
    same(decode(tensor_proto.encode(array)), array)


@pytest.mark.parametrize("shape", [(), (3,), (2, 2), (0,)])
def test_bfloat16_is_carried_as_its_bits(shape: tuple[int, ...]) -> None:
    import tensorflow as tf

    theirs = some("DT_FLOAT", shape).astype(tf.bfloat16.as_numpy_dtype)
    ours = theirs.view(BFLOAT16)
    same(decode(tf.make_tensor_proto(theirs)), ours)
    same(tf.make_ndarray(tensor_proto.encode(ours)), theirs)
    same(decode(message("DT_BFLOAT16", (2,), half_val=[0x3F80])), np.array([0x3F80] * 2, np.uint16).view(BFLOAT16))


@pytest.mark.parametrize("dtype", [*NUMBERS, "DT_BFLOAT16"])
def test_numbers_can_go_out_as_one_block(dtype: str) -> None:
    import tensorflow as tf

    array = some("DT_INT64", (2, 3)).astype(np.uint8).astype(np.uint16).astype("u2")
    array = array.view(BFLOAT16) if dtype == "DT_BFLOAT16" else array.astype(NUMPY_TYPES[dtype])
    proto = tensor_pb2.TensorProto()
    tensor_proto.write(array.T, proto, as_content=True)
    assert proto.tensor_content == array.T.tobytes()
    same(decode(proto), array.T)
    assert tf.make_ndarray(proto).tobytes() == array.T.tobytes()


def test_strings_have_no_block_to_go_out_as() -> None:
    proto = tensor_pb2.TensorProto()
    tensor_proto.write(np.array([b"a"], dtype=object), proto, as_content=True)
    assert (proto.tensor_content, list(proto.string_val)) == (b"", [b"a"])


@pytest.mark.parametrize("dtype", NUMBERS)
def test_every_length_of_block_is_written_as_protobuf_writes_it(dtype: str) -> None:
    """The wire form is made here for some types; what is read from it says whether that was right."""
    for size in (0, 1, 15, 16, 127, 128, 5000, 70_000):
        array = some(dtype, (size,))
        proto = tensor_pb2.TensorProto.FromString(tensor_proto.encode(array).SerializeToString())
        same(decode(proto), array)


def test_text_goes_out_as_bytes() -> None:
    same(decode(tensor_proto.encode(np.array(["für"]))), np.array(["für".encode()], dtype=object))


def test_a_short_field_repeats_its_last_value_an_empty_one_is_zeros_and_what_is_too_much_is_ignored() -> None:
    assert decode(message("DT_FLOAT", (2, 2), float_val=[1, 2])).tolist() == [[1, 2], [2, 2]]
    assert decode(message("DT_INT64", (3,))).tolist() == [0, 0, 0]
    assert decode(message("DT_STRING", (2,))).tolist() == [b"", b""]
    assert decode(message("DT_STRING", (3,), string_val=[b"a", b"b"])).tolist() == [b"a", b"b", b"b"]
    assert decode(message("DT_INT32", (1,), int_val=[7, 8, 9])).tolist() == [7]
    assert decode(message("DT_BOOL", (3,), bool_val=[True])).tolist() == [True] * 3
    assert decode(message("DT_COMPLEX64", (2,), scomplex_val=[1, 2])).tolist() == [1 + 2j, 1 + 2j]
    assert decode(message("DT_FLOAT", (), float_val=[5])).tolist() == 5


def test_half_a_complex_number_is_none() -> None:
    assert decode(message("DT_COMPLEX128", (1,), dcomplex_val=[1, 2, 3])).tolist() == [1 + 2j]
    assert decode(message("DT_COMPLEX128", (1,), dcomplex_val=[1])).tolist() == [0]


def test_small_integers_wrap_as_they_do_in_tensorflow() -> None:
    assert decode(message("DT_INT8", (1,), int_val=[300])).tolist() == [44]
    assert decode(message("DT_UINT8", (2,), int_val=[-1, 255])).tolist() == [255, 255]
    assert decode(message("DT_HALF", (2,), half_val=[15360, 70000])).tolist()[0] == 1


def test_large_unsigned_integers_beside_small_ones_keep_every_bit() -> None:
    assert decode(message("DT_UINT64", (2,), uint64_val=[2**64 - 1, 1])).tolist() == [2**64 - 1, 1]
    assert decode(message("DT_INT64", (2,), int64_val=[2**63 - 1, -1])).tolist() == [2**63 - 1, -1]


@pytest.mark.parametrize(
    "proto",
    [
        message("DT_FLOAT", (2,), tensor_content=b"\0" * 7),
        message("DT_FLOAT", (), tensor_content=b"\0" * 8),
        message("DT_FLOAT", (-1,), float_val=[1]),
        message("DT_FLOAT", None, float_val=[1]),
        message("DT_INVALID", (1,)),
        message("DT_RESOURCE", ()),
        message("DT_FLOAT_REF", (1,), float_val=[1]),
        message("DT_FLOAT", (1,) * 65, float_val=[1]),
        message("DT_STRING", (1,), tensor_content=b"\1a"),
    ],
)
def test_what_is_no_tensor_is_refused(proto: tensor_pb2.TensorProto) -> None:
    refusal(proto)


def test_a_type_of_a_later_tensorflow_is_refused_by_its_number() -> None:
    proto = tensor_pb2.TensorProto.FromString(b"\x08\xe7\x07")
    assert "type 999 is not supported" in refusal(proto)


@pytest.mark.parametrize(
    "shape", [(2**31,), (2**62, 2**62), (2**40, 1, 1), (0, 2**62, 2**62), (2**63 - 1,), (2**32, 2**32, 2**32, 0)]
)
@pytest.mark.parametrize("dtype", ["DT_INT8", "DT_FLOAT", "DT_STRING", "DT_COMPLEX128"])
def test_a_few_bytes_that_claim_a_huge_tensor_take_no_memory(shape: tuple[int, ...], dtype: str) -> None:
    tracemalloc.start()
    try:
        refusal(message(dtype, shape))
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_any_message_is_an_array_or_is_refused(raw: bytes) -> None:
    try:
        proto = tensor_pb2.TensorProto.FromString(raw)
    except DecodeError:
        return
    try:
        decode(proto)
    except InvalidInput:
        return


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(types_pb2.DataType.values()),
    st.lists(st.integers(-2, 5) | st.sampled_from([2**31, 2**62]), max_size=4),
    st.dictionaries(
        st.sampled_from(["half_val", "int_val", "float_val", "double_val", "scomplex_val", "dcomplex_val", "bool_val"]),
        st.lists(st.integers(0, 1), max_size=5),
        max_size=3,
    ),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
    st.binary(max_size=16),
)
def test_any_combination_of_fields_is_an_array_or_is_refused(
    dtype: int, shape: list[int], fields: dict[str, list[int]], wild: list[int], content: bytes
) -> None:
    proto = tensor_pb2.TensorProto(dtype=dtype, tensor_content=content, **fields)  # type: ignore[arg-type]
    proto.half_val.extend(wild)
    proto.int_val.extend(wild)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    try:
        array = decode(proto)
    except InvalidInput:
        return
    assert list(array.shape) == shape


@settings(deadline=None, max_examples=100)
@given(st.data(), st.sampled_from(NUMBERS))
def test_numbers_come_back_as_they_went(data: st.DataObject, dtype: str) -> None:
    array = data.draw(hnp.arrays(NUMPY_TYPES[dtype], hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)))
    same(decode(tensor_proto.encode(array)), array)
    same(decode(tensor_proto.encode(array.T)), array.T)


def test_an_output_of_a_type_that_the_wire_has_no_field_for_is_refused() -> None:
    with pytest.raises(InvalidInput):
        tensor_proto.encode(np.zeros(1, "datetime64[s]"))


# --- A few bytes that claim to be much --------------------------------------------------------------------------------


def claim(shape: list[int], *values: float) -> tensor_pb2.TensorProto:
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=values)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def test_one_value_for_a_whole_tensor_takes_no_memory() -> None:
    for values in ((), (7.0,)):
        array = tensor_proto.decode("x", claim([1024, 1024, 8], *values))
        assert (array.shape, array.strides) == ((1024, 1024, 8), (0, 0, 0))
        assert array[5, 6, 7] == (values[0] if values else 0)


def test_what_is_claimed_is_bounded_over_all_inputs_and_by_what_was_sent() -> None:
    large = [1024, 1024, 12]
    free = {alias: TensorSpec(alias, "DT_FLOAT", None) for alias in "ab"}
    assert set(tensor_proto.decode_all({"a": claim(large, 1)}, free)) == {"a"}
    for protos in (
        {"a": claim(large, 1), "b": claim(large, 1)},
        {"a": claim([1024, 1024, 17], 1)},
        {"a": claim(large, 1, 2)},
    ):
        with pytest.raises(InvalidInput, match="too few"):
            tensor_proto.decode_all(protos, free)


def test_a_claim_that_the_signature_refuses_is_refused_before_it_is_made() -> None:
    spec = {"a": TensorSpec("a", "DT_FLOAT", (None, 3))}
    with pytest.raises(InvalidInput, match=r"input 'a' expects shape \[\?,3\] but got \[500, 500\]"):
        tensor_proto.decode_all({"a": claim([500, 500], 1, 2)}, spec)
