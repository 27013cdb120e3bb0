"""Specifications, signatures, and the check of a request against one."""

from __future__ import annotations

import numpy as np
import pytest

from service.domain.errors import InvalidInput
from service.domain.tensors import (
    NUMPY_TYPES,
    Signature,
    TensorSpec,
    farthest,
    select_outputs,
    type_name,
)

X = TensorSpec("x", "DT_FLOAT", (None, 2))
NAMED = Signature({"x": X, "n": TensorSpec("n", "DT_INT64", (None,))}, {"y": X})


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize("name", [name for name in NUMPY_TYPES if name != "DT_STRING"])
def test_every_type_has_its_name_back(name: str) -> None:
    assert type_name(np.zeros(1, NUMPY_TYPES[name])) == name


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([b"a"]), np.array([b"a"], dtype=object)])
def test_text_and_bytes_are_strings_however_numpy_holds_them(array: np.ndarray) -> None:
    assert type_name(array) == "DT_STRING"


def test_a_type_that_no_door_can_carry_is_refused() -> None:
    with pytest.raises(InvalidInput, match="datetime64"):
        type_name(np.array(["2020"], dtype="datetime64[s]"))


def test_a_specification_accepts_the_sizes_it_leaves_free() -> None:
    assert X.accepts((7, 2))
    assert not X.accepts((7, 3))
    assert not X.accepts((7,))
    assert TensorSpec("x", "DT_FLOAT", None).accepts((1, 2, 3))


def test_only_a_free_first_dimension_may_be_a_batch() -> None:
    assert X.batched
    assert not TensorSpec("x", "DT_FLOAT", (3, None)).batched
    assert not TensorSpec("x", "DT_FLOAT", ()).batched
    assert not TensorSpec("x", "DT_FLOAT", None).batched
    assert not Signature({}, {"y": X}).batched


def test_shapes_are_written_as_people_write_them() -> None:
    assert X.shape_text() == "[?,2]"
    assert TensorSpec("x", "DT_FLOAT", None).shape_text() == "[any rank]"


def test_a_request_with_other_names_hears_what_is_missing_and_what_is_too_much() -> None:
    with pytest.raises(InvalidInput) as caught:
        NAMED.check({"x": floats(1, 2), "z": floats(1), "a": floats(1)})
    assert "3!=2 len({a,x,z}) != len({n,x}). Sent extra: {a,z}. Missing but required: {n}." in str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        NAMED.check({"x": floats(1, 2)})
    assert "1!=2 len({x}) != len({n,x}). Sent extra: {}. Missing but required: {n}." in str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        NAMED.check({"x": floats(1, 2), "z": floats(1)})
    assert "Signature input alias: n(feed name: " in str(caught.value)
    assert "not found in request and no default value provided. Inputs expected to be in the request {n,x}" in str(
        caught.value
    )


def test_what_has_a_default_may_be_left_out() -> None:
    n = np.array([7], np.int64)
    lenient = Signature(NAMED.inputs, NAMED.outputs, defaults={"n": n})
    x = floats(1, 2)
    assert lenient.completed({"x": x}) == {"x": x, "n": n}
    given = {"x": x, "n": np.array([8], np.int64)}
    assert lenient.completed(given) is given
    with pytest.raises(InvalidInput, match="Signature input alias: x"):
        lenient.completed({"n": n})
    with pytest.raises(InvalidInput, match=r"Sent extra: \{z\}"):
        lenient.completed({"x": x, "n": n, "z": x})
    with pytest.raises(InvalidInput, match="no input 'z'"):
        lenient.completed({"x": x, "z": x})
    with pytest.raises(InvalidInput, match=r"'x' expects shape"):
        lenient.completed({"x": floats(1, 3)})


def test_a_request_with_the_wrong_type_or_shape_hears_which_input() -> None:
    with pytest.raises(InvalidInput, match="'n' expects DT_INT64 but got DT_FLOAT"):
        NAMED.check({"x": floats(1, 2), "n": floats(1)})
    with pytest.raises(InvalidInput, match=r"'x' expects shape \[\?,2\] but got \[1, 3\]"):
        NAMED.check({"x": floats(1, 3), "n": np.zeros(1, np.int64)})


def test_outputs_are_chosen_by_name_in_the_order_asked() -> None:
    outputs = {"a": 1, "b": 2}
    assert select_outputs(outputs, ()) == outputs
    assert list(select_outputs(outputs, ("b", "a"))) == ["b", "a"]
    with pytest.raises(InvalidInput, match=r"not found in signature: c Outputs expected to be in the set \{a,b\}"):
        select_outputs(outputs, ("c",))
    with pytest.raises(InvalidInput, match="duplicate output tensor alias: a"):
        select_outputs(outputs, ("a", "a"))


def test_distance_is_relative_to_how_much_the_expected_values_spread() -> None:
    expected = np.array([0.0, 1000.0])
    assert farthest(expected, expected + 1) == pytest.approx(1 / 500)
    assert farthest(expected * 1e-6, (expected + 1) * 1e-6) == pytest.approx(1 / 500)


def test_constant_outputs_are_compared_by_their_size_and_zeros_absolutely() -> None:
    assert farthest(np.full(3, 10.0), np.full(3, 11.0)) == pytest.approx(0.1)
    assert farthest(np.zeros(3), np.full(3, 0.5)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (np.zeros(2), np.zeros(3)),
        (np.array([np.nan, 1]), np.array([0.0, 1])),
        (np.array([0.0, 1]), np.array([np.nan, 1])),
        (np.array([np.inf, 1]), np.array([1.0, 1])),
        (np.array([np.inf, 1]), np.array([-np.inf, 1])),
        (np.array([b"a"], dtype=object), np.array([b"b"], dtype=object)),
        (np.array([b"1"], dtype=object), np.array([1.0])),
    ],
)
def test_what_cannot_be_the_same_is_infinitely_far(expected: np.ndarray, actual: np.ndarray) -> None:
    assert farthest(expected, actual) == float("inf")


@pytest.mark.parametrize(
    "array",
    [
        np.array([np.nan, np.inf, -np.inf, 1.0]),
        np.zeros((0, 3)),
        np.array([True, False]),
        np.array(2**62),
        np.array([b"a", b"b"], dtype=object),
    ],
)
def test_everything_is_at_no_distance_from_itself(array: np.ndarray) -> None:
    assert farthest(array, array.copy()) == 0.0


def test_text_equals_the_same_bytes_and_imaginary_parts_count() -> None:
    assert farthest(np.array(["a", "b"]), np.array([b"a", b"b"], dtype=object)) == 0.0
    assert farthest(np.array([1 + 1j, 2]), np.array([1 + 5j, 2])) > 1
