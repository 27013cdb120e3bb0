"""Requests made from a signature, and read from a file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from service.adapters.load_test.plan import LoadTestError, Plan, Question, Target
from service.adapters.load_test.questions import as_json, from_json, made
from service.domain.tensors import NUMPY_TYPES, TensorSpec

ROWS = {"x": TensorSpec("x", "DT_FLOAT", (None, 3))}
TWO = {"a": TensorSpec("a", "DT_INT64", (None,)), "b": TensorSpec("b", "DT_STRING", (None, 2))}


@pytest.mark.parametrize("dtype", sorted(set(NUMPY_TYPES) - {"DT_BFLOAT16", "DT_COMPLEX64", "DT_COMPLEX128"}))
def test_made_inputs_fit_the_signature(dtype: str) -> None:
    spec = TensorSpec("x", dtype, (None, 2))
    (array,) = made({"x": spec}, 5, 0).values()
    assert array.shape == (5, 2)
    assert array.dtype == NUMPY_TYPES[dtype]


def test_the_same_seed_makes_the_same() -> None:
    first, second, other = (made(ROWS, 4, seed)["x"] for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (TensorSpec("x", "DT_FLOAT", None), "any shape"),
        (TensorSpec("x", "DT_FLOAT", (None, None)), "only the rows can be chosen"),
        (TensorSpec("x", "DT_FLOAT", (7, 3)), "takes --rows 7 only"),
        (TensorSpec("x", "DT_COMPLEX64", (None,)), "DT_COMPLEX64"),
        (TensorSpec("x", "DT_VARIANT", (None,)), "DT_VARIANT"),
    ],
    ids=["rank", "inner", "fixed", "complex", "variant"],
)
def test_what_cannot_be_made_says_why(spec: TensorSpec, said: str) -> None:
    with pytest.raises(LoadTestError, match=said):
        made({"x": spec}, 2, 0)


def test_one_input_is_rows_and_several_are_rows_by_name() -> None:
    one = json.loads(as_json(made(ROWS, 2, 0), ROWS, "serving_default"))
    assert np.shape(one["instances"]) == (2, 3)
    two = json.loads(as_json(made(TWO, 2, 0), TWO, "other"))
    assert two["signature_name"] == "other"
    assert [sorted(row) for row in two["instances"]] == [["a", "b"], ["a", "b"]]
    assert two["instances"][0]["b"] == ["graft", "graft"]


def test_what_has_no_rows_is_sent_whole() -> None:
    specs = {"x": TensorSpec("x", "DT_FLOAT", ())}
    assert "inputs" in json.loads(as_json(made(specs, 1, 0), specs, "s"))


@pytest.mark.parametrize(
    "text",
    ["[[1, 2, 3]]", '{"instances": [[1, 2, 3]]}', '{"inputs": [[1, 2, 3]]}', '{"instances": [{"x": [1, 2, 3]}]}'],
    ids=["list", "rows", "columns", "named rows"],
)
def test_a_file_becomes_the_same_tensors_in_every_form(text: str) -> None:
    body, tensors = from_json(text, ROWS, "serving_default")
    assert tensors["x"].tolist() == [[1, 2, 3]]
    assert json.loads(body)["signature_name"] == "serving_default"


def test_bytes_in_a_file() -> None:
    specs = {"raw": TensorSpec("raw", "DT_STRING", (None,))}
    _, tensors = from_json('["plain", {"b64": "/w=="}]', specs, "s")
    assert tensors["raw"].tolist() == [b"plain", b"\xff"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1", "not JSON"),
        ("3", "neither"),
        ('{"instances": [], "inputs": []}', "neither"),
        ('[{"y": 1}]', "gives inputs"),
        ("[[1, 2]]", "the file has"),
        ("[[1, 2], [3]]", "not DT_FLOAT"),
        ('[["a", "b", "c"]]', "not DT_FLOAT"),
    ],
    ids=["broken", "number", "both", "name", "shape", "ragged", "type"],
)
def test_a_file_that_does_not_fit_says_why(text: str, said: str) -> None:
    with pytest.raises(LoadTestError, match=said):
        from_json(text, ROWS, "serving_default")


@pytest.mark.parametrize(("clients", "processes"), [(16, 1), (16, 3), (2, 5)])
def test_processes_share_clients_and_rate(clients: int, processes: int) -> None:
    questions = tuple(Question("/", str(at).encode()) for at in range(3))
    parts = Plan(Target("rest", "http://h"), questions, clients, rate=30.0).parts(processes)
    assert len(parts) == min(clients, processes)
    assert sum(part.clients for part in parts) == clients
    assert sum(part.rate or 0.0 for part in parts) == pytest.approx(30.0)
    assert all(set(part.questions) == set(questions) for part in parts)
