"""Bodies of numbers read straight into buffers: as the careful reader has it, to the last bit, or not at all."""

from __future__ import annotations

import json
import re
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_fakes import signature, spec

from service.adapters.rest import plain_numbers, predict_json, tensor_json
from service.domain.errors import InvalidInput, NotSupported
from service.domain.tensors import NUMPY_TYPES, Array, Signature

ONE = signature([spec("x", None)], [])
TWO = signature([spec("a", None), spec("b", None, "DT_INT32")], [])
PLAIN = sorted(name for name, dtype in NUMPY_TYPES.items() if dtype.kind in "fiu")
OF_EVERY_TYPE = [signature([spec("x", None, dtype)], []) for dtype in NUMPY_TYPES]


def fast(body: str | bytes, to: Signature = ONE) -> tuple[dict[str, Array], bool, str] | None:
    """What is read without looking at each number, or None."""
    request = plain_numbers.read(body.encode() if isinstance(body, str) else body)
    tensors = request.decode(to) if request is not None else None
    return (tensors, request.in_rows, request.signature_name) if request and tensors is not None else None


def careful(body: str | bytes, to: Signature = ONE) -> tuple[dict[str, Array], bool, str]:
    root = tensor_json.parse(body.encode() if isinstance(body, str) else body)
    name = tensor_json.signature_name(root)
    return (*tensor_json.decode(root, to, name), name)


def assert_same(one: tuple[dict[str, Array], bool, str], other: tuple[dict[str, Array], bool, str]) -> None:
    assert one[1:] == other[1:]
    assert one[0].keys() == other[0].keys()
    for alias, array in one[0].items():
        assert (array.dtype, array.shape) == (other[0][alias].dtype, other[0][alias].shape)
        assert array.tobytes() == other[0][alias].tobytes()


@pytest.mark.parametrize(
    "body",
    [
        '{"instances": [[1, 2], [3, 4]]}',
        '{"inputs": [[1, 2], [3, 4]]}',
        '{"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}',
        '{"inputs": {"x": [[1, 2], [3, 4]]}}',
        '{"inputs": {"x": [[1, 2], [3, 4]], "more": [1]}}',
        '{"instances": [1, 2.5e3, -0, -0.0, 1e-400]}',
        '{"instances": [{"x": 1}, {"x": 2}]}',
        '{"signature_name": "serving_default", "instances": [1]}',
        '{"instances": [[1]], "signature_name": "other"}',
        '{"instances": [{"x": 1}], "signature_name": "other"}',
        '{"inputs": {"x": [1]}, "signature_name": "other"}',
        ' {\n "instances" :\t[ {"x" : [ 1 ,\r\n 2 ] } , { "x": [3,4]\n }\n ]\n } \n',
        ' { "inputs" : { "x" : [ 1 , 2 ] } } ',
        '{"inputs": [1, 2] , "signature_name" : "s" }',
        '{"instances": [[[[[1]]]]]}',
    ],
)
def test_plain_forms_are_read_this_way(body: str) -> None:
    read = fast(body)
    assert read is not None
    assert_same(read, careful(body))


def test_several_inputs_are_read_this_way() -> None:
    for body in (
        '{"instances": [{"a": [1.5], "b": 2}, {"b": 4, "a": [3]}]}',
        '{"inputs": {"b": [2, 4], "a": [[1.5], [3]]}}',
    ):
        read = fast(body, TWO)
        assert read is not None
        assert_same(read, careful(body, TWO))


@pytest.mark.parametrize("dtype", PLAIN)
def test_every_type_of_number_is_read_this_way_to_its_ends(dtype: str) -> None:
    kind = NUMPY_TYPES[dtype]
    ends = np.iinfo(kind) if kind.kind in "iu" else np.finfo(kind)
    body = json.dumps({"inputs": [np.array(end, kind).item() for end in (ends.min, ends.max, 0, 1)]})
    to = signature([spec("x", None, dtype)], [])
    read = fast(body, to)
    assert read is not None
    assert_same(read, careful(body, to))


@pytest.mark.parametrize(
    "body",
    [
        # Lists that are not even, but hold as many numbers as those that are.
        '{"instances": [[1, 2, 3], [4]]}',
        '{"instances": [[1, 2], [3, 4, 5], [6]]}',
        '{"inputs": [[1, 2], 3, 4]}',
        '{"inputs": [[], [1, 2]]}',
        '{"inputs": [[1], []]}',
        '{"inputs": [[[1]], [[]], [[2, 3]]]}',
        '{"instances": [{"x": [1]}, {"x": 2}]}',
        '{"instances": [{"x": [1, 2]}, {"x": [[1, 2]]}]}',
        # Frames that would be sound if the values between them were put together.
        '{"instances": [{"x":[1},{"x":2]}]}',
        '{"instances": [{"x":1],[2}]}',
        '{"instances": [{"x":1,2}]}',
        '{"instances": [{"x":},{"x":2}]}',
        '{"instances": [{"x":1}{"x":2}]}',
        '{"instances": [{"x":1},{"x":2},]}',
        '{"instances": [{"x":1 2}]}',
        '{"inputs": {"x":[1]},}',
        '{"inputs": {"x":[1],}}',
        '{"inputs": [1]}}',
        '{"inputs": [1]} x',
        '{"inputs": [1]',
        '{"inputs": [1},]',
        '{"inputs": [1]],[[1]}',
        '{"inputs": 1],[1}',
        '{"inputs" [1]}',
        '{"inputs": [1] "signature_name": "s"}',
        '{"inputs": [1], "signature_name" "s"}',
        '["inputs": [1]]',
        # No numbers of JSON, or none that fit.
        '{"inputs": [01]}',
        '{"inputs": [+1]}',
        '{"inputs": [1.]}',
        '{"inputs": [.5]}',
        '{"inputs": [1e]}',
        '{"inputs": [-]}',
        '{"inputs": [1-1]}',
        '{"inputs": [NaN]}',
        '{"inputs": [true]}',
        '{"inputs": [null]}',
        '{"inputs": [1e400]}',
        '{"inputs": [123456789012345678901]}',
        '{"inputs": ["1"]}',
        '{"inputs": [{"b64": "AAAA"}]}',
        # Something else besides.
        '{"inputs": [1], "inputs": [2]}',
        '{"inputs": [1], "instances": [2]}',
        '{"inputs": [1], "other": [2]}',
        '{"signature_name": "a", "signature_name": "b", "inputs": [1]}',
        '{"signature_name": 5, "inputs": [1]}',
        '{"inputs": {"x": [1], "x": [2]}}',
        '{"instances": [{"x": 1, "x": 2}]}',
        '{"instances": [{"x": 1}, {"y": 2}]}',
        '{"instances": {"x": [1]}}',
        '{"inputs": [{"x": 1}]}',
        '{"inputs": {"y": [1]}}',
        '{"inputs": {}}',
        '{"instances": []}',
        '{"inputs": {"\\u0078": [1]}}',
        '{"inputs": {"x\n": [1]}}',
        '{"inputs": {"x": [1]}, "signature_name": "\x01"}',
        "{}",
        '"',
        '""',
        "",
    ],
)
def test_whatever_else_is_left_to_the_careful_reader(body: str) -> None:
    assert fast(body) is None


def test_bytes_that_are_no_text_are_left_to_the_careful_reader() -> None:
    assert fast(b'{"inputs": {"\xff": [1], "x": [1]}}') is None
    assert fast(b'{"inputs": {"x": [1\xff]}}') is None
    assert fast(b'{"inputs": {"x": [1\x0b]}}') is None


@pytest.mark.parametrize("dtype", sorted(name for name, kind in NUMPY_TYPES.items() if kind.kind in "iu"))
def test_integers_beyond_their_type_are_left_to_the_careful_reader(dtype: str) -> None:
    ends = np.iinfo(NUMPY_TYPES[dtype])
    to = signature([spec("x", None, dtype)], [])
    for text in (str(ends.min - 1), str(ends.max + 1), "1.0", "1e2"):
        assert fast(f'{{"inputs": [1, {text}]}}', to) is None


def test_a_few_lists_that_claim_a_huge_shape_take_no_memory() -> None:
    row = [0] * 2000
    nested: Any = [row] + [[0]] * 2000
    for _ in range(6):
        nested = [nested] + [0] * 2000
    body = json.dumps({"inputs": nested})
    tracemalloc.start()
    try:
        assert fast(body) is None
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("depth", [64, 65, 1000, 1100, 100_000])
def test_lists_nested_without_end_harm_nothing(depth: int) -> None:
    body = '{"inputs": ' + "[" * depth + "1" + "]" * depth + "}"
    assert (fast(body) is not None) == (depth == 64)


# --- Both readers, the same bodies ------------------------------------------------------------------------------------

BLANKS = st.sampled_from(["", "", " ", "\n", "\t\r\n  "])
NUMBERS = (
    st.floats(allow_nan=True).map(json.dumps)
    | st.floats(width=32).map(json.dumps)
    | st.integers().map(str)
    | st.integers(-(2**64), 2**65).map(str)
    | st.integers(-300, 300).map(str)
    | st.sampled_from(
        ["-0", "-0.0", "1e400", "1E-400", "1e39", "0.1e1", "01", "1.", "--1", "true", "null", '"1"', "1 2", ""]
    )
)


@st.composite
def tensors(draw: st.DrawFn) -> str:
    """The text of a tensor, now and then with a flaw."""
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    kind = draw(st.sampled_from([NUMBERS, st.integers(0, 100).map(str), st.floats(-10, 10).map(json.dumps)]))

    def text(level: int) -> str:
        if level == len(shape):
            return draw(BLANKS) + draw(kind) + draw(BLANKS)
        return "[" + ",".join(text(level + 1) for _ in range(shape[level])) + "]" + draw(BLANKS)

    whole = text(0)
    if draw(st.integers(0, 3)) == 0 and whole:
        at = draw(st.integers(0, len(whole) - 1))
        whole = whole[:at] + draw(st.sampled_from(["", "[", "]", ",", "1", "}", "{", '"'])) + whole[at + 1 :]
    return whole


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """The text of a request, now and then with a flaw."""
    name = st.sampled_from(["x", "x", "a", "b"])
    parts = []
    for key in draw(st.lists(st.sampled_from(["instances", "inputs", "signature_name"]), min_size=1, max_size=3)):
        if key == "signature_name":
            value = json.dumps(draw(st.sampled_from(["", "s", "serving default", "\x01", "ü"])), ensure_ascii=False)
        elif draw(st.booleans()):
            value = draw(tensors())
        else:
            rows = draw(st.integers(1, 3)) if key == "instances" else 1
            same = draw(tensors())
            names = draw(st.integers(1, 2))
            objects = [
                "{" + ",".join(f'"{draw(name)}"{draw(BLANKS)}:{draw(tensors() | st.just(same))}' for _ in range(names))
                for _ in range(rows)
            ]
            value = "[" + "},".join(objects) + "}]" if key == "instances" else objects[0] + "}"
        parts.append(f'{draw(BLANKS)}"{key}"{draw(BLANKS)}:{draw(BLANKS)}{value}{draw(BLANKS)}')
    return draw(BLANKS) + "{" + ",".join(parts) + "}" + draw(BLANKS)


@settings(deadline=None, max_examples=3000)
@given(bodies(), st.sampled_from([*OF_EVERY_TYPE, ONE, TWO, ONE]))
def test_both_readers_read_the_same(body: str, to: Signature) -> None:
    """What is read fast is what the careful reader reads; what only that one reads, or refuses, is left to it."""
    read = fast(body, to)
    if read is not None:
        assert_same(read, careful(body, to))


@settings(deadline=None, max_examples=1000)
@given(bodies(), st.sampled_from(OF_EVERY_TYPE))
def test_a_request_is_answered_the_same_whichever_reader_had_it(body: str, to: Signature) -> None:
    """As a door reads it, large enough to try the fast way: same tensors, or the same error."""
    padded = body + " " * 2048
    try:
        expected = careful(padded, to)
    except (InvalidInput, NotSupported) as error:
        with pytest.raises(type(error), match=f"^{re.escape(str(error))}$"):
            as_the_door_reads(padded, to)
    else:
        assert_same(as_the_door_reads(padded, to), expected)


def as_the_door_reads(body: str, to: Signature) -> tuple[dict[str, Array], bool, str]:
    request = predict_json.read(body.encode())
    return (*request.tensors(to, request.signature_name), request.signature_name)


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=80))
def test_any_bytes_are_numbers_or_are_left_alone(raw: bytes) -> None:
    plain_numbers.read(raw)
    plain_numbers.read(b'{"inputs":' + raw + b"}")
