"""TF Serving's JSON for tensors: every type, both forms, and whatever a client may send instead."""

from __future__ import annotations

import base64
import json
import math
import tracemalloc
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from serving_fakes import signature, spec

from service.adapters.rest import answer_json, tensor_json
from service.domain.errors import InvalidInput, NotSupported
from service.domain.tensors import BFLOAT16, NUMPY_TYPES, Array, Signature

ONE = signature([spec("x", None)], [])
TWO = signature([spec("a", None), spec("b", None, "DT_INT32")], [])
TEXT = signature([spec("text", None, "DT_STRING")], [])
SIGNED = {"DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64"}
UNSIGNED = {"DT_UINT8", "DT_UINT16", "DT_UINT32", "DT_UINT64"}
FLOATS = {"DT_FLOAT", "DT_DOUBLE", "DT_HALF"}


def decode(body: str | bytes, to: Signature = ONE) -> tuple[dict[str, Array], bool]:
    root = tensor_json.parse(body.encode() if isinstance(body, str) else body)
    return tensor_json.decode(root, to, tensor_json.signature_name(root) or "serving_default")


def column(text: str, dtype: str = "DT_FLOAT") -> Array:
    """What ``inputs`` with this JSON becomes."""
    return decode(f'{{"inputs": {text}}}', signature([spec("x", None, dtype)], []))[0]["x"]


def refusal(body: str | bytes, to: Signature = ONE) -> str:
    with pytest.raises(InvalidInput) as caught:
        decode(body, to)
    return str(caught.value)


def said(outputs: dict[str, Any], in_rows: bool = False) -> Any:
    text = answer_json.encode(outputs, in_rows).decode()
    return json.loads(text)["predictions" if in_rows else "outputs"]


# --- In ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", sorted(SIGNED | UNSIGNED | FLOATS))
def test_numbers_become_the_tensors_own_type(dtype: str) -> None:
    array = column("[[1, 2], [3, 0]]", dtype)
    assert array.dtype == NUMPY_TYPES[dtype]
    assert array.tolist() == [[1, 2], [3, 0]]


@pytest.mark.parametrize("dtype", sorted(SIGNED | UNSIGNED))
def test_integers_reach_the_ends_of_their_type_and_not_beyond(dtype: str) -> None:
    limits = np.iinfo(NUMPY_TYPES[dtype])
    assert column(f"[{limits.min}, {limits.max}, 1]", dtype).tolist() == [limits.min, limits.max, 1]
    for beyond in (limits.min - 1, limits.max + 1, 10**30):
        said = refusal(f'{{"inputs": [{beyond}, 1]}}', signature([spec("x", None, dtype)], []))
        assert said.endswith(f"Type: Number is not of expected type: {dtype.removeprefix('DT_').lower()}")


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ('"1"', "DT_FLOAT"),
        ('[1, "2"]', "DT_FLOAT"),
        ("[1, true]", "DT_FLOAT"),
        ("[null]", "DT_FLOAT"),
        ("[1, {}]", "DT_FLOAT"),
        ('[{"b64": "AAAA"}, 1]', "DT_FLOAT"),
        ("1.0", "DT_INT32"),
        ("[1, 2.5]", "DT_INT64"),
        ("[true, 1]", "DT_INT32"),
        ("NaN", "DT_INT32"),
        ("1", "DT_BOOL"),
        ("[true, 0]", "DT_BOOL"),
        ("1", "DT_STRING"),
        ("[null]", "DT_STRING"),
        ('["a", true]', "DT_STRING"),
        ('[{"b64": "AAAA", "more": 1}]', "DT_STRING"),
        ('[{"b64": 5}]', "DT_STRING"),
    ],
)
def test_nothing_is_taken_for_another_type(text: str, dtype: str) -> None:
    assert "not of expected type" in refusal(f'{{"inputs": {{"x": {text}}}}}', signature([spec("x", None, dtype)], []))


@pytest.mark.parametrize("dtype", ["DT_COMPLEX64", "DT_BFLOAT16", "DT_RESOURCE"])
def test_a_type_that_json_has_no_word_for_is_refused(dtype: str) -> None:
    """The kind of error depends on the form, and that is TF Serving's doing."""
    to = signature([spec("x", None, dtype)], [])
    text = f"Conversion of JSON Value: 1 to type: {dtype.removeprefix('DT_').lower()}"
    with pytest.raises(NotSupported, match=text):
        decode('{"inputs": 1}', to)
    assert "Failed to process element: 0 of 'instances' list. Error: " in refusal('{"instances": [1]}', to)


def test_truths_are_truths() -> None:
    assert column("[true, false]", "DT_BOOL").tolist() == [True, False]


def test_numbers_that_are_none_are_read_as_tf_serving_reads_them() -> None:
    array = column("[NaN, Infinity, -Infinity, 1]")
    assert np.isnan(array[0])
    assert array[1:].tolist() == [math.inf, -math.inf, 1]


def test_what_is_too_large_for_a_float_is_infinite_and_what_is_too_small_is_nothing() -> None:
    assert column("[1e39, -1e39, 1e-50]").tolist() == [math.inf, -math.inf, 0]
    assert column("[1e400]", "DT_DOUBLE").tolist() == [math.inf]
    assert column("[1e5]", "DT_HALF").tolist() == [math.inf]


def test_floats_keep_every_bit() -> None:
    values = [0.1, 1 / 3, 1.17549435e-38, 16777217.0, 5e-324]
    assert column(json.dumps(values), "DT_DOUBLE").tolist() == values
    assert column(json.dumps(values)).tolist() == np.array(values, np.float32).tolist()
    assert column("[9223372036854775807, 1]", "DT_DOUBLE").tolist() == [float(2**63), 1]


def test_large_unsigned_integers_beside_small_ones_keep_every_bit() -> None:
    assert column("[18446744073709551615, 1]", "DT_UINT64").tolist() == [2**64 - 1, 1]


@pytest.mark.parametrize(
    ("text", "shape"),
    [("1", ()), ("[]", (0,)), ("[[], []]", (2, 0)), ("[[[1]]]", (1, 1, 1)), ("[[1, 2, 3]]", (1, 3))],
)
def test_the_nesting_is_the_shape(text: str, shape: tuple[int, ...]) -> None:
    assert column(text).shape == shape
    assert column(text.replace("1", '"1"').replace("2", '"2"').replace("3", '"3"'), "DT_STRING").shape == shape


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[1], [1, 2]]", "Encountered list at unexpected size: 2 at level: 1 expected size: 1"),
        ("[[1, 2], [1]]", "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ("[[1], 1]", "found at incorrect level: 1 in the JSON DOM. Expected at level: 2"),
        ("[1, [1]]", "Encountered list at unexpected level: 1 expected < 1"),
        ("[[], [1]]", "Encountered list at unexpected size: 1 at level: 1 expected size: 0"),
        ("[[[1]], [1]]", "found at incorrect level: 2 in the JSON DOM. Expected at level: 3"),
        ("[[1], []]", "Encountered list at unexpected size: 0 at level: 1 expected size: 1"),
    ],
)
@pytest.mark.parametrize("dtype", ["DT_FLOAT", "DT_INT64", "DT_STRING"])
def test_ragged_lists_are_no_tensor(text: str, fault: str, dtype: str) -> None:
    ragged = text if dtype != "DT_STRING" else text.replace("1", '"1"').replace("2", '"2"')
    assert fault in refusal(f'{{"inputs": {ragged}}}', signature([spec("x", None, dtype)], []))


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (
            "[[1, 2], [1, 2, 3]]",
            "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but",
        ),
        ("[[1, 2], [[1, 2]]]", "INVALID_ARGUMENT: Expecting shape [2] but got: [1,2]"),
        ("[[[1, 2], [3]]]", "element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Encountered list at unexpected"),
        ('[1, 2, "x"]', "element: 2 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"x\" Type: String is"),
        ('[{"x": 1}, {"x": null}]', "Failed to process element: 1 key: x of 'instances' list. Error: INVALID_ARGUMENT"),
    ],
)
def test_the_first_row_that_is_not_like_the_first_is_named(rows: str, fault: str) -> None:
    assert fault in refusal(f'{{"instances": {rows}}}')


def test_a_fault_far_behind_is_said_to_be_there_and_not_looked_for() -> None:
    rows = json.dumps([[0]] * 300_000 + [[0, 0]])
    assert "element: 100000 of 'instances' list." in refusal(f'{{"instances": {rows}}}')
    assert "a value after the first 200000 is not like" in refusal(f'{{"inputs": {rows}}}')


def test_strings_are_text_or_base64() -> None:
    raw = bytes(range(256))
    encoded = base64.b64encode(raw).decode()
    array = column(json.dumps([["für", {"b64": encoded}], ["", {"b64": ""}]]), "DT_STRING")
    assert array.tolist() == [["für".encode(), raw], [b"", b""]]
    assert column(json.dumps({"b64": encoded}), "DT_STRING").tolist() == raw


@pytest.mark.parametrize("bad", ["a", "a===", "!!!!", "ü", "AAA", "A A="])
def test_base64_that_is_none_is_refused(bad: str) -> None:
    assert "Unable to base64 decode" in refusal(json.dumps({"inputs": [{"b64": bad}]}), TEXT)


def test_rows_of_one_input_are_values_or_objects_but_of_one_kind() -> None:
    assert decode('{"instances": [[1, 2], [3, 4]]}')[0]["x"].tolist() == [[1, 2], [3, 4]]
    assert decode('{"instances": [{"x": 1}, {"x": 2}]}')[0]["x"].tolist() == [1, 2]
    assert refusal('{"instances": [{"x": 1}, 2]}') == "Expecting object but got list at item 1 of input list"
    assert refusal('{"instances": [1, {"x": 2}]}') == "Expecting value/list but got object at item 1 of input list"
    assert decode('{"instances": [{"b64": "AAAA"}, "b"]}', TEXT)[0]["text"].tolist() == [b"\0\0\0", b"b"]


def test_rows_of_several_inputs_have_exactly_their_names() -> None:
    rows = '{"instances": [{"a": [1], "b": 2}, {"b": 4, "a": [3]}]}'
    tensors, in_rows = decode(rows, TWO)
    assert in_rows
    assert {alias: array.tolist() for alias, array in tensors.items()} == {"a": [[1], [3]], "b": [2, 4]}
    assert "key: c of 'instances' list" in refusal('{"instances": [{"a": 1, "b": 2, "c": 3}]}', TWO)
    assert "keys must be equal to: a,b" in refusal('{"instances": [{"a": 1}]}', TWO)
    assert "expecting list of objects" in refusal('{"instances": [1]}', TWO)


def test_columns_may_hold_more_than_is_needed_and_not_less() -> None:
    tensors, in_rows = decode('{"inputs": {"a": [1], "b": [2], "c": "whatever"}}', TWO)
    assert not in_rows
    assert tensors.keys() == {"a", "b"}
    assert refusal('{"inputs": {"a": [1]}}', TWO) == "Missing named input: b in 'inputs' object."
    assert "expecting an object" in refusal('{"inputs": [1]}', TWO)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error: The document is empty"),
        (" \n", "JSON Parse error: The document is empty"),
        ("{", "JSON Parse error: "),
        ('{"instances": [1]}xyz', "JSON Parse error: "),
        ("[1]", "JSON Value: [1] Is not object"),
        ("null", "Is not object"),
        ('{"signature_name": 5, "instances": [1]}', "'signature_name' key must be a string value."),
        ('{"instances": [1], "inputs": [1]}', "expecting only one of 'inputs' or 'instances'"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        ('{"instances": 1}', "Expecting 'instances' to be an list/array"),
        ('{"instances": {}}', "Expecting 'instances' to be an list/array"),
        ('{"instances": []}', "No values in 'instances' array"),
    ],
)
def test_a_request_without_its_form_hears_what_is_missing(body: str, message: str) -> None:
    assert message in refusal(body)


def test_a_signature_without_inputs_cannot_be_asked_here() -> None:
    text = refusal('{"signature_name": "s", "instances": [1]}', signature([], []))
    assert text == "Failed to get input map for signature: s"


@pytest.mark.parametrize("depth", [65, 500, 1000, 1020, 1100, 100_000])
@pytest.mark.parametrize("to", [ONE, TEXT])
def test_lists_nested_without_end_are_refused_and_harm_nothing(depth: int, to: Signature) -> None:
    nested = "[" * depth + "]" * depth
    for body in (
        f'{{"inputs": {nested}}}',
        f'{{"instances": {nested}}}',
        nested,
        f'{{"inputs": 1, "instances": {nested}}}',
    ):
        refusal(body, to)


def test_half_a_character_is_refused_whichever_reader_would_take_it() -> None:
    """It could be decoded, but neither passed on as bytes nor said back in an error."""
    for body in ('{"inputs": ["\\ud800", NaN]}', '{"signature_name": "\\ud800", "inputs": NaN}', '{"\\udfff": NaN}'):
        assert refusal(body, TEXT).startswith("JSON Parse error")
    assert column('["\\ud83d\\ude00", "\\u00e9"]', "DT_STRING").tolist() == ["😀".encode(), "é".encode()]


def test_a_few_bytes_of_request_do_not_become_gigabytes() -> None:
    """One long string among many short ones: numpy alone would make them all as long."""
    body = json.dumps({"inputs": ["x" * 100_000] + [""] * 50_000})
    tracemalloc.start()
    try:
        refusal(body)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60), st.sampled_from([ONE, TWO, TEXT]))
def test_any_bytes_are_tensors_or_are_refused(body: bytes, to: Signature) -> None:
    try:
        decode(body, to)
    except InvalidInput as error:
        str(error).encode()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=4)
    | st.builds(lambda text: {"b64": text}, st.text("AB=", max_size=4)),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["x", "a", "b", "b64"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=500)
@given(
    st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name"]), JSON, min_size=1),
    st.sampled_from([signature([spec("x", None, dtype)], []) for dtype in NUMPY_TYPES] + [TWO]),
)
def test_any_json_is_tensors_or_is_refused(body: dict[str, Any], to: Signature) -> None:
    try:
        tensors, _ = decode(json.dumps(body), to)
    except (InvalidInput, NotSupported) as error:
        str(error).encode()
        return
    assert tensors.keys() == to.inputs.keys()
    assert all(array.dtype == NUMPY_TYPES[to.inputs[alias].dtype] for alias, array in tensors.items())


# --- Out --------------------------------------------------------------------------------------------------------------


def test_one_output_loses_its_name_and_several_keep_theirs() -> None:
    a, b = np.array([1, 2], np.int32), np.array([[1.5], [2.5]], np.float32)
    assert said({"a": a}) == [1, 2]
    assert said({"a": a}, in_rows=True) == [1, 2]
    assert said({"a": a, "b": b}) == {"a": [1, 2], "b": [[1.5], [2.5]]}
    assert said({"a": a, "b": b}, in_rows=True) == [{"a": 1, "b": [1.5]}, {"a": 2, "b": [2.5]}]


def test_floats_are_as_short_as_their_own_type_allows() -> None:
    text = answer_json.encode({"y": np.array([0.1, 3.0, 555557.5, 1 / 3], np.float32)}, False).decode()
    assert text == '{"outputs":[0.1,3.0,555557.5,0.33333334]}'
    assert answer_json.encode({"y": np.array([1 / 3])}, False).decode() == '{"outputs":[0.3333333333333333]}'
    rows = answer_json.encode({"y": np.array([0.1], np.float32), "z": np.array([0.1], np.float32)}, True).decode()
    assert rows == '{"predictions":[{"y":0.1,"z":0.1}]}'


@pytest.mark.parametrize("dtype", sorted(FLOATS))
@pytest.mark.parametrize("in_rows", [False, True])
def test_numbers_that_are_none_are_bare_words_and_change_no_other(dtype: str, in_rows: bool) -> None:
    array = np.array([[0.1, math.nan], [math.inf, -math.inf]], NUMPY_TYPES[dtype])
    back = np.array(said({"y": array}, in_rows), NUMPY_TYPES[dtype])
    np.testing.assert_array_equal(back, array)
    text = answer_json.encode({"y": array}, in_rows).decode()
    assert "NaN" in text
    assert "-Infinity" in text
    assert "null" not in text


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array(5.1, np.float32), "5.1"),
        (np.array(5.1), "5.1"),
        (np.array(math.nan, np.float32), "NaN"),
        (np.array(3), "3"),
        (np.array(True), "true"),
        (np.array(b"a", dtype=object), '"a"'),
    ],
)
def test_an_output_without_dimensions_is_a_bare_value_in_columns_and_no_rows(array: Array, text: str) -> None:
    assert answer_json.encode({"y": array}, False).decode() == f'{{"outputs":{text}}}'
    with pytest.raises(InvalidInput, match="has no shape information"):
        answer_json.encode({"y": array}, True)


def test_outputs_with_other_numbers_of_rows_are_no_rows() -> None:
    with pytest.raises(InvalidInput, match="Tensor name: b has inconsistent batch size: 1 expecting: 2"):
        answer_json.encode({"a": np.zeros(2), "b": np.zeros(1)}, True)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_outputs_without_rows_or_columns_keep_their_shape_as_far_as_json_has_it(shape: tuple[int, ...]) -> None:
    assert said({"y": np.zeros(shape, np.float32)}, True) == np.zeros(shape).tolist()
    assert said({"y": np.zeros(shape, dtype=object)}) == np.zeros(shape).tolist()
    assert len(said({"y": np.zeros(shape), "z": np.zeros(shape)}, True)) == shape[0]


def test_a_half_is_as_short_as_a_half_may_be() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    text = answer_json.encode({"y": every}, False).decode()
    assert '"outputs":[0.0,6e-8,1e-7,2e-7,2.4e-7,' in text
    back = np.array(json.loads(text)["outputs"], np.float16)
    np.testing.assert_array_equal(back[~np.isnan(every)].view(np.uint16), every[~np.isnan(every)].view(np.uint16))
    assert np.isnan(back[np.isnan(every)]).all()


def test_bytes_are_base64_where_the_name_says_so_and_text_elsewhere() -> None:
    raw = np.array([[b"\xff\0", "für".encode()]], dtype=object)
    assert said({"image_bytes": raw}) == [[{"b64": "/wA="}, {"b64": base64.b64encode("für".encode()).decode()}]]
    assert said({"label": raw[:, 1:]}, True) == [["für"]]
    with pytest.raises(InvalidInput, match="not UTF-8"):
        answer_json.encode({"label": raw}, True)


@pytest.mark.parametrize("dtype", [np.complex64, "datetime64[s]", "V2", BFLOAT16])
def test_an_output_that_json_has_no_word_for_is_refused(dtype: Any) -> None:
    with pytest.raises(InvalidInput, match="Failed to write JSON value for tensor type"):
        answer_json.encode({"y": np.zeros(1, dtype)}, False)


def test_no_outputs_are_no_answer() -> None:
    with pytest.raises(InvalidInput, match="Cannot convert empty tensor map to JSON"):
        answer_json.encode({}, True)


def test_views_that_are_not_contiguous_are_written_in_their_own_order() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert said({"y": array[::-1, ::2]}) == array[::-1, ::2].tolist()
    assert said({"y": array.T}) == array.T.tolist()


@settings(deadline=None, max_examples=200)
@given(
    st.data(),
    st.sampled_from([name for name in NUMPY_TYPES if NUMPY_TYPES[name].kind in "fiub"]),
)
def test_numbers_come_back_as_they_went(data: st.DataObject, dtype: str) -> None:
    shape = hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4)
    array = data.draw(hnp.arrays(NUMPY_TYPES[dtype], shape))
    body = answer_json.encode({"y": array}, False).replace(b'{"outputs"', b'{"inputs"', 1)
    back = decode(body, signature([spec("x", None, dtype)], []))[0]["x"]
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@settings(deadline=None)
@given(hnp.arrays(object, hnp.array_shapes(min_dims=0, max_dims=2, max_side=3), elements=st.binary(max_size=5)))
def test_strings_come_back_as_they_went(array: Array) -> None:
    body = answer_json.encode({"y_bytes": array}, False).replace(b'{"outputs"', b'{"inputs"', 1)
    back = decode(body, TEXT)[0]["text"]
    assert back.shape == array.shape
    assert back.tolist() == array.tolist()


@pytest.mark.parametrize("shape", [(3000, 100), (2, 300_000), (1, 2, 150_000), (300_000,), (1, 1, 1, 200_000)])
def test_a_large_answer_written_in_pieces_is_the_one_written_at_once(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).random(shape, np.float32)
    assert answer_json.encode({"y": array}, True) == orjson.dumps(
        {"predictions": array}, option=orjson.OPT_SERIALIZE_NUMPY
    )
    both = orjson.loads(answer_json.encode({"y": array, "z": array}, False))["outputs"]
    for said in both.values():
        assert np.array_equal(np.array(said, np.float32), array)
