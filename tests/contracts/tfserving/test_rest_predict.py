"""1.4 to 1.6: predict over REST, values in and out."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
from contract_client import Answer, Target, at_all_depths, same

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")
JSON_TYPES = ("float", "double", *INTEGERS, "bool", "string")


def plain(value: Any) -> Any:
    """Bytes as the text they are."""
    return value.decode() if isinstance(value, bytes) else value


def b64(value: Any) -> Any:
    """Bytes as the object that JSON has for them."""
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def unb64(value: Any) -> bytes:
    """And back; anything else is a failure."""
    assert list(value) == ["b64"]
    return base64.b64decode(value["b64"], validate=True)


def listed(array: np.ndarray[Any, Any], say: Any = plain) -> Any:
    """An array as JSON has it."""
    return at_all_depths(array.tolist(), say)


def rows(answer: Answer) -> list[dict[str, Any]]:
    """A request in rows, every row an object."""
    count = len(next(iter(answer.inputs.values())))
    return [{alias: listed(value[at]) for alias, value in answer.inputs.items()} for at in range(count)]


@pytest.mark.parametrize("dtype", JSON_TYPES)
@pytest.mark.parametrize("form", ["rows", "columns"])
def test_every_type(target: Target, dtype: str, form: str) -> None:
    """1.5, 1.6: what goes in comes out, at the type's limits, with NaN and the infinities as bare words."""
    answer = target.answer(f"identity-{dtype}")
    ask = target.predict_rows if form == "rows" else target.predict_columns
    same(ask("identity", listed(answer.inputs["x"]), dtype), answer.output)


@pytest.mark.differs
@pytest.mark.parametrize("dtype", ["half", "uint16"])
def test_types_that_only_we_speak(target: Target, dtype: str) -> None:
    """1.5 differs: there half and uint16 are 501."""
    answer = target.answer(f"identity-{dtype}")
    same(target.predict_rows("identity", listed(answer.inputs["x"]), dtype), answer.output)


def test_short_text_of_a_float32(target: Target) -> None:
    """1.6: the fewest digits that read back as the same float32, and never an integer."""
    body = '{"signature_name": "float", "instances": [0.1, 3, 9000000, 0.00003, 555557.5, 0.33333334]}'
    said = target.rest.post("/v1/models/identity:predict", content=body).text
    numbers = re.findall(r"[-+.\de]+", said[said.index("[") :])
    assert [float(one) for one in numbers] == [0.1, 3.0, 9e6, 3e-5, 555557.5, 0.33333334]
    assert all("." in one or "e" in one for one in numbers)
    assert max(map(len, numbers)) <= len("0.333333343")


def test_words_that_are_no_numbers(target: Target) -> None:
    """1.4, 1.6: NaN, Infinity and -Infinity, unquoted, both ways."""
    body = '{"signature_name": "float", "instances": [NaN, Infinity, -Infinity]}'
    said = target.rest.post("/v1/models/identity:predict", content=body).text
    assert "".join(said.split()) == '{"predictions":[NaN,Infinity,-Infinity]}'


def test_short_words_for_infinity(target: Target) -> None:
    """1.4: ``Inf`` and ``-Inf`` are accepted too."""
    body = '{"signature_name": "float", "instances": [Inf, -Inf]}'
    answer = target.rest.post("/v1/models/identity:predict", content=body)
    assert json.loads(answer.content) == {"predictions": [float("inf"), float("-inf")]}


@pytest.mark.parametrize(("text", "value"), [("1e39", float("inf")), ("-1e39", float("-inf")), ("1e-50", 0.0)])
def test_floats_beyond_the_type(target: Target, text: str, value: float) -> None:
    """1.5: a float overflows to infinity and underflows to zero."""
    body = '{"signature_name": "float", "instances": [%s]}' % text  # noqa: UP031 - braces everywhere
    assert json.loads(target.rest.post("/v1/models/identity:predict", content=body).content) == {"predictions": [value]}


def test_integers_are_floats_too(target: Target) -> None:
    """1.5: a float takes any number, integers among them."""
    same(target.predict_rows("half", [1, 2, 5]), target.answer("half-2").output)


@pytest.mark.parametrize("say", [lambda x: x, lambda x: {"x": x}], ids=["1.5 bare values", "1.5 named values"])
def test_rows_of_one_input(target: Target, say: Any) -> None:
    """1.5: one input may be named or not; 1.6: one output never is."""
    answer = target.answer("half-2")
    same(target.predict_rows("half", [say(x) for x in answer.inputs["x"].tolist()]), answer.output)


@pytest.mark.parametrize("named", [False, True], ids=["1.5 bare value", "1.5 named value"])
def test_columns_of_one_input(target: Target, named: bool) -> None:
    """1.5: the same in columns."""
    answer = target.answer("half-2")
    x = answer.inputs["x"].tolist()
    same(target.predict_columns("half", {"x": x} if named else x), answer.output)


@pytest.mark.parametrize("name", ["many", "many-rows"])
def test_rows_of_many(target: Target, name: str) -> None:
    """1.6: several outputs in rows are a list of objects."""
    answer = target.answer(name)
    said = target.predict_rows("many", rows(answer))
    for alias, expected in answer.outputs.items():
        same([row[alias] for row in said], expected)
    assert {frozenset(row) for row in said} == {frozenset(answer.outputs)}


@pytest.mark.parametrize("name", ["many", "many-rows"])
def test_columns_of_many(target: Target, name: str) -> None:
    """1.6: several outputs in columns are an object of tensors."""
    answer = target.answer(name)
    said = target.predict_columns("many", {alias: listed(value) for alias, value in answer.inputs.items()})
    assert said.keys() == answer.outputs.keys()
    for alias, expected in answer.outputs.items():
        same(said[alias], expected)


def test_columns_ignore_what_is_too_much(target: Target) -> None:
    """1.5: the columnar form takes no notice of keys that are no inputs; the row form refuses them."""
    answer = target.answer("half-2")
    same(target.predict_columns("half", {"x": answer.inputs["x"].tolist(), "y": "?"}), answer.output)


def test_rows_keep_together(target: Target) -> None:
    """1.5: more rows than any batch has."""
    answer = target.answer("half-rows")
    same(target.predict_rows("half", listed(answer.inputs["x"])), answer.output)


@pytest.mark.parametrize(("name", "signature"), [("product", "product"), ("broadcast", "sum")])
def test_columns_that_agree_on_no_batch(target: Target, name: str, signature: str) -> None:
    """1.5: columns are whole tensors, and need not have one dimension in common."""
    answer = target.answer(name)
    said = target.predict_columns("shapes", {a: listed(v) for a, v in answer.inputs.items()}, signature)
    same(said, answer.output, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("any-rank", "any_rank"),
        ("any-rank-scalar", "any_rank"),
        ("table", "table"),
        ("fixed", "fixed"),
        ("scalar-in", "scalar_in"),
        ("scalar-out", "scalar_out"),
        ("doubled", "doubled"),
        ("other", "other"),
    ],
)
def test_columns_of_every_shape(target: Target, name: str, signature: str) -> None:
    """1.5, 1.6: any shape in columns, scalars among them."""
    answer = target.answer(name)
    same(target.predict_columns("shapes", listed(answer.inputs["x"]), signature), answer.output, rtol=1e-6)


@pytest.mark.parametrize("name", ["scalar-among", "uneven"])
def test_columns_out_need_no_batch(target: Target, name: str) -> None:
    """1.6: only the row form wants one first dimension for all outputs."""
    answer = target.answer(name)
    said = target.predict_columns("shapes", listed(answer.inputs["x"]), name.replace("-", "_"))
    for alias, expected in answer.outputs.items():
        same(said[alias], expected)


@pytest.mark.parametrize("name", ["any-rank", "table", "fixed"])
def test_rows_of_every_shape(target: Target, name: str) -> None:
    """1.5: each element is one row: ``[n] + shape(element)``."""
    answer = target.answer(name)
    said = target.predict_rows("shapes", listed(answer.inputs["x"]), name.replace("-", "_"))
    same(said, answer.output, rtol=1e-6)


def test_more_rows_out_than_in(target: Target) -> None:
    """1.6: the outputs' first dimension need not be the number of instances."""
    answer = target.answer("doubled")
    same(target.predict_rows("shapes", listed(answer.inputs["x"]), "doubled"), answer.output)


def test_no_rows_out(target: Target) -> None:
    """1.6: a first dimension of nothing is an empty list."""
    assert target.predict_rows("shapes", [1.0], "hollow") == []


def test_empty_column(target: Target) -> None:
    """1.5: ``[]`` has the shape [0]."""
    assert target.predict_columns("shapes", [], "any_rank") == []


def test_named_signature(target: Target) -> None:
    """1.5: ``signature_name`` chooses; without it ``serving_default``."""
    answer = target.answer("other")
    x = listed(answer.inputs["x"])
    same(target.predict_rows("shapes", x, "other"), answer.output)
    assert target.predict_rows("shapes", x) != target.predict_rows("shapes", x, "other")


def test_strings_and_the_suffix(target: Target) -> None:
    """1.6: an output whose alias ends in ``_bytes`` is base64, any other string is text."""
    answer = target.answer("strings")
    said = target.predict_rows("strings", listed(answer.inputs["text"]))
    same([row["upper"] for row in said], answer.outputs["upper"])
    same([row["length"] for row in said], answer.outputs["length"])
    same([unb64(row["copy_bytes"]) for row in said], answer.outputs["copy_bytes"])


@pytest.mark.parametrize("form", ["rows", "columns"])
def test_bytes_that_are_no_text(target: Target, form: str) -> None:
    """1.5, 1.6: base64 in and out, of bytes that are no UTF-8."""
    answer = target.answer("picture")
    ask = target.predict_rows if form == "rows" else target.predict_columns
    said = ask("strings", listed(answer.inputs["image_bytes"], b64), "picture")
    same([unb64(one) for one in said], answer.output)


def test_base64_for_a_string(target: Target) -> None:
    """1.5: every string may be base64, whatever its alias; named rows too."""
    answer = target.answer("echo")
    texts = listed(answer.inputs["text"], b64)
    same(target.predict_rows("strings", texts, "echo"), answer.output)
    same(target.predict_rows("strings", [{"text": text} for text in texts], "echo"), answer.output)


def test_bare_base64_is_a_scalar(target: Target) -> None:
    """1.5: in columns ``{"b64": ...}`` is one string and no object of inputs."""
    assert target.predict_columns("identity", {"b64": "YWJj"}, "string") == "abc"


def test_tables_of_strings(target: Target) -> None:
    """1.5: strings nest like numbers."""
    answer = target.answer("text-table")
    same(target.predict_rows("strings", listed(answer.inputs["table"]), "table"), answer.output)
    same(target.predict_columns("strings", listed(answer.inputs["table"]), "table"), answer.output)


def test_escapes(target: Target) -> None:
    """1.4: JSON's escapes are read, in the value and in the key."""
    body = r'{"signature_name": "echo", "\u0069nstances": ["\u00e9\n\ud83d\ude00"]}'
    answer = target.rest.post("/v1/models/strings:predict", content=body)
    assert json.loads(answer.content) == {"predictions": ["é\n😀"]}


@pytest.mark.parametrize(("name", "signature"), [("words", None), ("words-back", "back")])
def test_string_tables(target: Target, name: str, signature: str | None) -> None:
    """1.5: a model with an asset and tables to initialise."""
    answer = target.answer(name)
    (given,) = answer.inputs.values()
    same(target.predict_rows("words", listed(given), signature), answer.output)


def test_unknown_keys_are_ignored(target: Target) -> None:
    """1.4: at the top of the request."""
    answer = target.post("/v1/models/half:predict", {"instances": [1.0], "id": "7", "predictions": []})
    assert answer.status_code == 200


def test_first_of_two_equal_keys(target: Target) -> None:
    """1.4: the first of two equal keys counts (there inferred from its source)."""
    body = b'{"instances": [1.0], "instances": [2.0]}'
    assert target.rest.post("/v1/models/half/versions/1:predict", content=body).json() == {"predictions": [2.5]}


def test_byte_order_mark(target: Target) -> None:
    """1.4: is skipped."""
    answer = target.rest.post("/v1/models/half:predict", content=b'\xef\xbb\xbf{"instances": [1.0]}')
    assert answer.status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "image/png", ""])
def test_content_type_is_not_looked_at(target: Target, kind: str) -> None:
    """1.1: ``curl -d`` sends a form's, others none at all."""
    answer = target.rest.post("/v1/models/half:predict", content=b'{"instances": [1]}', headers={"content-type": kind})
    assert answer.status_code == 200


def test_predict_on_a_classifier(target: Target) -> None:
    """2.3: predict works on classify and regress signatures, fed serialized examples."""
    answer = target.answer("examples-serving_default")
    said = target.predict_rows("examples", listed(answer.inputs["inputs"], b64))
    same([row["scores"] for row in said], answer.outputs["scores"])
    same([row["classes"] for row in said], answer.outputs["classes"])


def test_defaults_are_not_for_rest(target: Target) -> None:
    """1.5: every input is required here, also one with a default in the signature."""
    answer = target.post("/v1/models/defaults:predict", {"inputs": {"a": [1.0]}})
    assert answer.status_code == 400
    answer = target.answer("defaults")
    same(target.predict_columns("defaults", {a: listed(v) for a, v in answer.inputs.items()}), answer.output)
