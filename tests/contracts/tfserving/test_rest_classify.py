"""1.7: classify and regress over REST."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from contract_client import Answer, Target, same

TWO = [{"x": 0.25}, {"x": 1.0}]


def results(target: Target, method: str, **body: Any) -> Any:
    """The answer to a request that succeeds."""
    answer = target.post(f"/v1/models/examples:{method}", body)
    assert answer.status_code == 200, answer.text
    said = json.loads(answer.content)
    assert list(said) == ["results"]
    return said["results"]


def pairs(answer: Answer) -> list[list[list[Any]]]:
    """Classes and scores as REST says them."""
    scores = answer.outputs.get("scores", np.zeros_like(answer.outputs.get("classes"), np.float32))
    classes = answer.outputs.get("classes", np.full(scores.shape, b"", object))
    return [
        [[label.decode(), score] for label, score in zip(*row, strict=True)]
        for row in zip(classes.tolist(), scores.tolist(), strict=True)
    ]


@pytest.mark.parametrize("signature", ["serving_default", "scores_only", "classes_only"])
def test_classify(target: Target, signature: str) -> None:
    """1.7: ``[label, score]`` in the key ``results``; no classes make empty labels, no scores make noughts."""
    said = results(target, "classify", signature_name=signature, examples=TWO)
    assert said == pairs(target.answer(f"examples-{signature}"))


def test_classify_is_serving_default_by_itself(target: Target) -> None:
    """1.7: ``signature_name`` need not be given."""
    assert results(target, "classify", examples=TWO) == pairs(target.answer("examples-serving_default"))


@pytest.mark.parametrize(
    "values", [[{"word": "left"}, {"word": ["right"]}], [{"word": {"b64": "bGVmdA=="}}, {"word": {"b64": "cmlnaHQ="}}]]
)
def test_string_features(target: Target, values: Any) -> None:
    """1.7: text and base64 are a bytes_list, alone or in a list."""
    said = results(target, "classify", signature_name="words", examples=values)
    assert said == pairs(target.answer("examples-words"))


@pytest.mark.parametrize("signature", ["regress", "regress_flat"])
def test_regress(target: Target, signature: str) -> None:
    """1.7: plain numbers, from outputs [b] and [b, 1] alike."""
    said = results(target, "regress", signature_name=signature, examples=TWO)
    same(said, target.answer(f"examples-{signature}").output.reshape(-1))


def test_integer_features(target: Target) -> None:
    """1.7: an integer is an int64_list."""
    said = results(target, "regress", signature_name="regress_int", examples=[{"n": 80}, {"n": [-3]}])
    same(said, target.answer("examples-regress_int").output.reshape(-1))


def test_truth_is_an_integer_feature(target: Target) -> None:
    """1.7: true and false are int64 1 and 0."""
    assert results(target, "regress", signature_name="regress_int", examples=[{"n": True}, {"n": False}]) == [1.0, 0.0]


def test_list_features(target: Target) -> None:
    """1.7: a list is one feature of several values."""
    said = results(target, "regress", signature_name="regress_pair", examples=[{"pair": [1.5, 2.5]}])
    same(said, target.answer("examples-regress_pair").output)


def test_nan_is_a_float_feature(target: Target) -> None:
    """1.7: NaN is a number with a point."""
    (said,) = results(target, "regress", signature_name="regress", examples=[{"x": float("nan")}])
    assert said != said


def test_missing_feature_with_a_default(target: Target) -> None:
    """1.7: the model's own default fills in, example by example."""
    asked = [{"x": 1.0, "shift": 0.5}, {"x": 2.0}]
    said = results(target, "regress", signature_name="regress_shifted", examples=asked)
    same(said, target.answer("examples-regress_shifted").output.reshape(-1))


def test_context_is_in_front_of_every_example(target: Target) -> None:
    """1.7: features of ``context`` are every example's; one of the same name in the example wins."""
    body = {"context": {"shift": 0.5}, "examples": [{"x": 1.0}, {"x": 2.0, "shift": 10.0}]}
    said = results(target, "regress", signature_name="regress_shifted", **body)
    same(said, target.answer("examples-regress_shifted").output.reshape(-1))


def test_all_of_an_example_from_the_context(target: Target) -> None:
    """1.7: an example may be empty when the context says everything."""
    assert results(target, "regress", signature_name="regress", context={"x": 1.5}, examples=[{}, {}]) == [3.0, 3.0]


@pytest.mark.parametrize("where", ["/versions/1", ""])
def test_versions(target: Target, where: str) -> None:
    """1.2: a version may be named for classify and regress too."""
    body = {"signature_name": "regress", "examples": TWO}
    answer = target.post(f"/v1/models/examples{where}:regress", body)
    assert answer.json() == {"results": [0.5, 2.0]}


def test_unknown_label(target: Target) -> None:
    """1.5: 400, as for predict."""
    answer = target.post("/v1/models/examples/labels/l:classify", {"examples": TWO})
    assert answer.status_code == 400
    assert "Unrecognized servable version label: l" in answer.json()["error"]
