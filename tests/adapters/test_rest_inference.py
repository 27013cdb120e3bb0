"""``:classify`` and ``:regress`` over REST: examples in, labels and numbers out, and TF Serving's order of checks."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from serving_fakes import Bench, FakeModel, signature, spec
from tensorflow.core.example import example_pb2

from service.adapters.rest.app import RestApplication, api
from service.adapters.rest.tfserving import TfServingDoor
from service.domain.tensors import Array, Tensors

ONE = {"examples": [{"age": 1.5}]}


def ages(inputs: Tensors) -> Array:
    """A number for each example, read as a graph would."""
    read = [example_pb2.Example.FromString(one).features.feature["age"] for one in inputs["inputs"]]
    return np.array([[one.float_list.value[0]] for one in read], np.float32)


def judge(inputs: Tensors) -> dict[str, Array]:
    scores = np.concatenate([ages(inputs), -ages(inputs)], axis=1)
    return {"scores": scores, "classes": np.array([[b"old", b"young"]] * len(scores), dtype=object)}


def judging_model() -> FakeModel:
    """Signatures that classify and regress, and some that only look like it."""
    inputs = spec("inputs", (None,), "DT_STRING")
    classes, scores = spec("classes", (None, 2), "DT_STRING"), spec("scores", (None, 2))
    outputs, flat = spec("outputs", (None, 1)), spec("outputs", (None,))
    return FakeModel(
        {
            "serving_default": signature([inputs], [classes, scores]),
            "scores_only": signature([inputs], [scores]),
            "regress": signature([inputs], [outputs]),
            "flat": signature([inputs], [flat]),
            "predict_only": signature([spec("x", (None,), "DT_STRING")], [flat]),
        },
        {
            "serving_default": judge,
            "scores_only": lambda inputs: {"scores": judge(inputs)["scores"]},
            "regress": lambda inputs: {"outputs": ages(inputs)},
            "flat": lambda inputs: {"outputs": ages(inputs).ravel()},
            "predict_only": lambda inputs: {"outputs": np.zeros(len(inputs["x"]), np.float32)},
        },
    )


class Place:
    """The REST door over a judging model, and a client to it."""

    def __init__(self) -> None:
        self.bench = Bench()
        door = TfServingDoor(self.bench.predictor, self.bench.models, timeout_s=20, max_body_bytes=10_000)
        app = RestApplication(door, api([]), lambda: False)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://graft")

    async def ask(self, verb: str, body: Any, model: str = "m") -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(f"/v1/models/{model}:{verb}", content=content)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    made.bench.publish("m", 3, judging_model())
    await made.bench.look()
    yield made
    await made.client.aclose()
    await made.bench.close()


async def test_examples_are_classified(place: Place) -> None:
    body = {"context": {"more": "x"}, "examples": [{"age": 1.5}, {"age": 0.1}]}
    response = await place.ask("classify", body)
    assert response.status_code == 200
    assert response.text == '{"results":[[["old",1.5],["young",-1.5]],[["old",0.1],["young",-0.1]]]}'
    assert response.headers["graft-model-version"] == "3"
    assert place.bench.observer.events[-1][:3] == ("answered", "m", 3)


async def test_without_classes_a_label_is_empty(place: Place) -> None:
    response = await place.ask("classify", {"signature_name": "scores_only", **ONE})
    assert response.json() == {"results": [[["", 1.5], ["", -1.5]]]}


@pytest.mark.parametrize("name", ["regress", "flat"])
async def test_examples_are_regressed(place: Place, name: str) -> None:
    response = await place.ask("regress", {"signature_name": name, "examples": [{"age": 1.5}, {"age": 2.0}]})
    assert response.json() == {"results": [1.5, 2.0]}


async def test_a_classifier_can_be_asked_to_predict(place: Place) -> None:
    example = example_pb2.Example.FromString(b"")
    example.features.feature["age"].float_list.value.append(4.5)
    row = {"b64": base64.b64encode(example.SerializeToString()).decode()}
    response = await place.client.post("/v1/models/m:predict", json={"instances": [row]})
    assert response.json() == {"predictions": [{"classes": ["old", "young"], "scores": [4.5, -4.5]}]}


@pytest.mark.parametrize(
    ("verb", "model", "body", "status", "text"),
    [
        ("classify", "n", b"{", 400, "JSON Parse error"),
        ("classify", "n", [1], 400, "Is not object"),
        ("classify", "n", {"signature_name": 1}, 400, "must be a string value"),
        ("classify", "n", {"context": 1}, 400, "Example must be JSON object"),
        ("classify", "n", {}, 400, "When method is classify, key 'examples' is expected and was not found"),
        ("regress", "n", {}, 400, "When method is regress, key 'examples' is expected and was not found"),
        ("classify", "n", {"examples": []}, 400, "'examples' value is an empty array"),
        ("classify", "n", ONE, 404, "Servable not found for request: Latest(n)"),
        ("classify", "m/versions/9", ONE, 404, "Specific(m, 9)"),
        ("regress", "m/labels/l", ONE, 400, "Unrecognized servable version label: l"),
        ("classify", "m", {"signature_name": "s", **ONE}, 400, "No signature was found with the name: s"),
        ("regress", "m", {"signature_name": "s", **ONE}, 400, "No signature was found with the name: s"),
        ("classify", "m", {"signature_name": "predict_only", **ONE}, 400, "No classification inputs found"),
        ("regress", "m", {"signature_name": "predict_only", **ONE}, 400, "No regression inputs found"),
        ("regress", "m", ONE, 400, "Expected one output Tensor"),
        ("classify", "m", {"signature_name": "flat", **ONE}, 400, "at least one of"),
    ],
)
async def test_examples_are_looked_at_before_the_model(
    place: Place, verb: str, model: str, body: Any, status: int, text: str
) -> None:
    response = await place.ask(verb, body, model)
    assert (response.status_code, text in response.json()["error"]) == (status, True), response.text


@pytest.mark.parametrize("path", ["m:Classify", "m:classify/", "m:regresss"])
async def test_a_verb_is_written_as_it_is(place: Place, path: str) -> None:
    response = await place.client.post(f"/v1/models/{path}", json=ONE)
    assert (response.status_code, response.json()) == (400, {"error": f"Malformed request: POST /v1/models/{path}"})
    assert (await place.client.get("/v1/models/m:classify")).status_code == 400
