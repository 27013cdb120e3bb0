"""Examples in JSON as messages, held against TensorFlow's own reader of them."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.example import example_pb2

from service.adapters.rest import example_json, tensor_json
from service.domain.errors import InvalidInput


def read(body: Any, method: str = "classify") -> list[dict[str, Any]]:
    """The features of each example, as TensorFlow reads what was made of them."""
    text = body if isinstance(body, str) else json.dumps(body)
    made = example_json.examples(tensor_json.parse(text.encode()), method)
    return [features(example_pb2.Example.FromString(one)) for one in made]


def features(example: example_pb2.Example) -> dict[str, Any]:
    found = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = (kind, list(getattr(feature, kind).value)) if kind else None
    return found


def refusal(body: Any, method: str = "classify") -> str:
    with pytest.raises(InvalidInput) as caught:
        read(body, method)
    return str(caught.value)


def test_each_kind_of_value_has_its_list() -> None:
    assert read(
        '{"examples": [{"i": 80, "f": 80.0, "t": "für", "b": {"b64": "/wA="}, "yes": true, "no": [false]}]}'
    ) == [
        {
            "i": ("int64_list", [80]),
            "f": ("float_list", [80.0]),
            "t": ("bytes_list", ["für".encode()]),
            "b": ("bytes_list", [b"\xff\0"]),
            "yes": ("int64_list", [1]),
            "no": ("int64_list", [0]),
        }
    ]


def test_lists_hold_several_values_of_one_kind() -> None:
    assert read('{"examples": [{"x": [1, -2, 9223372036854775807, -9223372036854775808], "none": []}]}') == [
        {"x": ("int64_list", [1, -2, 2**63 - 1, -(2**63)]), "none": None}
    ]
    assert read('{"examples": [{"x": ["a", {"b64": "AA=="}]}]}') == [{"x": ("bytes_list", [b"a", b"\0"])}]
    (one,) = read('{"examples": [{"x": [1e39, -1e39, NaN, 1e-50, 0.1, 18446744073709551616.0]}]}')
    values = one["x"][1]
    assert values[:2] == [math.inf, -math.inf]
    assert math.isnan(values[2])
    assert values[3:] == [0, float(np.float32(0.1)), 2.0**64]


def test_a_context_is_part_of_every_example_that_does_not_say_otherwise() -> None:
    body = {"context": {"country": "at", "age": 1}, "examples": [{"x": 1.5}, {"age": 2}, {}]}
    shared = {"country": ("bytes_list", [b"at"]), "age": ("int64_list", [1])}
    assert read(body) == [
        {**shared, "x": ("float_list", [1.5])},
        {**shared, "age": ("int64_list", [2])},
        shared,
    ]


@pytest.mark.parametrize("method", ["classify", "regress"])
def test_examples_are_a_list_of_objects(method: str) -> None:
    text = f"When method is {method}, key 'examples' is expected and was not found"
    assert refusal({}, method) == text
    assert refusal({"instances": [1]}, method) == text
    assert refusal({"examples": {}}, method) == "Expecting 'examples' value to be an list/array"
    assert refusal({"examples": []}, method) == "'examples' value is an empty array"
    assert refusal({"examples": [[1]]}, method) == "Example must be JSON object but got JSON Array"
    assert refusal({"examples": ["a"]}, method) == "Example must be JSON object but got JSON String"
    assert refusal({"context": 5, "examples": [{}]}, method) == "Example must be JSON object but got JSON Number"
    assert refusal({"context": None}, method) == "Example must be JSON object but got JSON Null", (
        "the context comes first"
    )


@pytest.mark.parametrize(
    ("feature", "text"),
    [
        ('[1, "a"]', "Unexpected element type in feature: x expecting type: int64"),
        ("[1, 1.0]", "Unexpected element type in feature: x expecting type: int64"),
        ("[1.0, 1]", "Unexpected element type in feature: x expecting type: float"),
        ('["a", true]', "Unexpected element type in feature: x expecting type: bytes"),
        ("null", "Feature: x has element with unexpected JSON type: Null"),
        ("[[1]]", "Feature: x has element with unexpected JSON type: Array"),
        ("{}", "Feature: x has element with unexpected JSON type: Object"),
        ('{"b64": 5}', "Feature: x has element with unexpected JSON type: Object"),
        ("9223372036854775808", "Feature: x has uint64_t element. Only int64_t is supported."),
        ("18446744073709551615", "Feature: x has uint64_t element. Only int64_t is supported."),
        ('{"b64": "A"}', "Unable to base64 decode"),
    ],
)
def test_a_feature_that_is_none_is_refused(feature: str, text: str) -> None:
    assert refusal(f'{{"examples": [{{"x": {feature}}}]}}') == text


VALUES = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(width=32, allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
            VALUES | st.lists(st.integers(-300, 300), max_size=200) | st.lists(st.floats(width=32, allow_nan=False)),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_what_was_written_tensorflow_reads(examples: list[dict[str, Any]]) -> None:
    for given_features, got in zip(examples, read({"examples": examples}), strict=True):
        assert got.keys() == given_features.keys()
        for name, value in given_features.items():
            values = value if isinstance(value, list) else [value]
            plain = [one.encode() if isinstance(one, str) else one for one in values]
            assert (got[name][1] if got[name] else []) == plain


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["b64", "x", "y"]), inner, max_size=2),
    max_leaves=8,
)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(["examples", "context", "signature_name"]), JSON))
def test_any_json_is_examples_or_is_refused(body: dict[str, Any]) -> None:
    try:
        read(body)
    except InvalidInput as error:
        str(error).encode()


def test_answers_are_lists_of_labels_and_scores() -> None:
    scores = np.array([0.1, math.nan], np.float32)
    text = example_json.classified([[(b"a", scores[0]), ("für".encode(), scores[1])], []])
    assert text.decode() == '{"results":[[["a",0.1],["für",NaN]],[]]}'
    assert example_json.regressed(np.array([3, 0.1, -math.inf], np.float32)) == b'{"results":[3.0,0.1,-Infinity]}'
    with pytest.raises(InvalidInput, match="not UTF-8"):
        example_json.classified([[(b"\xff", scores[0])]])
