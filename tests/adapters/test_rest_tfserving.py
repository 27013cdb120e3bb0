"""TF Serving's REST routes: a client finds the bodies and codes it was written for, whatever else others send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_fakes import Bench, FakeModel, Gate, scaling_model, signature, spec

from service.adapters.rest.app import RestApplication, api
from service.adapters.rest.tfserving import TfServingDoor
from service.domain.errors import InvalidInput, ModelFailed, Overloaded
from service.domain.tensors import Array, Tensors
from service.domain.versions import ModelRef

MOST_BYTES = 2000
ROWS = {"instances": [[1, 2, 3], [4, 5, 6]]}


class Place:
    """The REST door over fakes, and a client to it."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.bench, self.draining = Bench(), False
        self.door = TfServingDoor(self.bench.predictor, self.bench.models, timeout_s=20, max_body_bytes=most_bytes)
        self.app = RestApplication(self.door, api([]), lambda: self.draining)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://graft")

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return await self.client.request(method, path, content=content)

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """The status and text of an error, which is always JSON."""
        response = await self.ask(method, path, body)
        assert response.headers["content-type"] == "application/json"
        answer = response.json()
        assert answer.keys() == {"error"}
        return response.status_code, answer["error"]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    made.bench.publish("m", 3, scaling_model(2))
    await made.bench.look()
    yield made
    await made.client.aclose()
    await made.bench.close()


def model_that(function: Any) -> FakeModel:
    x = spec("x", (None, 3))
    return FakeModel({"serving_default": signature([x], [spec("y", (None, 3))])}, {"serving_default": function})


# --- Predict ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/models/m:predict", "/v1/models/m/versions/3:predict", "/v1/models/m/versions/03:predict"]
)
async def test_rows_and_columns_are_answered_in_kind(place: Place, path: str) -> None:
    rows = await place.ask("POST", path, ROWS)
    assert rows.status_code == 200
    assert rows.json() == {"predictions": [[3, 5, 7], [9, 11, 13]]}
    assert rows.headers["content-type"] == "application/json"
    assert rows.headers["graft-model-version"] == "3"
    columns = await place.ask("POST", path, {"inputs": {"x": [[1, 2, 3]]}})
    assert columns.json() == {"outputs": [[3, 5, 7]]}


async def test_another_signature_is_asked_by_its_name(place: Place) -> None:
    body = {"signature_name": "features", **ROWS}
    assert (await place.ask("POST", "/v1/models/m:predict", body)).json() == {"predictions": [[3, 5, 7], [9, 11, 13]]}


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/v1/models/m:predict", b"", 400, "JSON Parse error: The document is empty"),
        ("/v1/models/n:predict", b"{", 400, "JSON Parse error"),
        ("/v1/models/n:predict", [1], 400, "Is not object"),
        ("/v1/models/n:predict", {"signature_name": 1}, 400, "must be a string value"),
        ("/v1/models/n:predict", {}, 404, "Servable not found for request: Latest(n)"),
        ("/v1/models/m/versions/9:predict", {}, 404, "Servable not found for request: Specific(m, 9)"),
        ("/v1/models/m/labels/l:predict", {}, 400, "Unrecognized servable version label: l"),
        ("/v1/models/m:predict", {"signature_name": "s"}, 400, 'Serving signature name: "s" not found'),
        ("/v1/models/m:predict", {}, 400, "Missing 'inputs' or 'instances' key"),
        ("/v1/models/m:predict", {"instances": []}, 400, "No values in 'instances' array"),
        ("/v1/models/m:predict", {"instances": [[1, 2]]}, 400, "expects shape [?,3] but got [1, 2]"),
        ("/v1/models/m:predict", {"instances": [["a", "b", "c"]]}, 400, "not of expected type"),
        ("/v1/models/m:predict", {"inputs": []}, 400, "expects shape"),
    ],
)
async def test_errors_come_in_tf_servings_order_with_its_codes(
    place: Place, path: str, body: Any, status: int, text: str
) -> None:
    """JSON before the model, the model before the signature, the signature before the values."""
    got, said = await place.refused("POST", path, body)
    assert (got, text in said) == (status, True), said


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/m:predict"),
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/m/metadata"),
        ("PUT", "/v1/models/m:predict"),
        ("DELETE", "/v1/models/m"),
        ("OPTIONS", "/v1/models/m:predict"),
        ("PATCH", "/v1/models/m"),
        ("POST", "/v1/models/m:Predict"),
        ("POST", "/v1/models/m:predict/"),
        ("POST", "/v1/models/:predict"),
        ("POST", "/v1/models/m/version/3:predict"),
        ("POST", "/v1/models/m/versions/:predict"),
        ("POST", "/v1/models/m/versions/x:predict"),
        ("POST", "/v1/models/m/versions/-1:predict"),
        ("POST", "/v1/models/m/versions/3/labels/l:predict"),
        ("POST", "/v1/models/m:nothing"),
        ("GET", "/v1/models/m/"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/a/b"),
    ],
)
async def test_a_path_of_no_route_is_a_malformed_request(place: Place, method: str, path: str) -> None:
    assert await place.refused(method, path) == (400, f"Malformed request: {method} {path}")


@pytest.mark.parametrize("version", [str(2**63), "9" * 100, "9" * 5000, "0" * 5000 + "3"])
async def test_a_version_beyond_all_numbers_is_refused(place: Place, version: str) -> None:
    for method, path in (
        ("POST", f"/v1/models/m/versions/{version}:predict"),
        ("GET", f"/v1/models/m/versions/{version}"),
    ):
        status, said = await place.refused(method, path, {} if method == "POST" else None)
        assert status == 400
        assert said.startswith("Failed to convert version: ")


async def test_a_query_changes_nothing(place: Place) -> None:
    """A deliberate difference: TF Serving takes it for a part of the path."""
    assert (await place.ask("POST", "/v1/models/m:predict?x=1", ROWS)).status_code == 200
    assert (await place.ask("GET", "/v1/models/m?x=1")).status_code == 200


@pytest.mark.parametrize(
    ("name", "written"), [("my/model", "my%2Fmodel"), ("a:b", "a%3Ab"), ("für mich", "f%C3%BCr%20mich"), ("%", "%25")]
)
async def test_a_models_name_may_hold_anything_when_it_is_encoded(place: Place, name: str, written: str) -> None:
    place.bench.publish(name, 1)
    await place.bench.look()
    assert (await place.ask("POST", f"/v1/models/{written}:predict", ROWS)).status_code == 200
    assert (await place.ask("POST", f"/v1/models/{written}/versions/1:predict", ROWS)).status_code == 200
    assert (await place.ask("GET", f"/v1/models/{written}")).status_code == 200
    assert (await place.ask("GET", f"/v1/models/{written}/metadata")).json()["model_spec"]["name"] == name


async def test_bytes_that_are_no_name_are_of_no_model(place: Place) -> None:
    status, said = await place.refused("POST", "/v1/models/%FF%FE:predict", {})
    assert (status, said.startswith("Servable not found")) == (404, True)


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(place: Place) -> None:
    status, said = await place.refused("POST", "/v1/models/m:predict", b" " * (MOST_BYTES + 1))
    assert (status, str(MOST_BYTES) in said) == (413, True)
    at_most = json.dumps(ROWS).encode()
    assert (await place.ask("POST", "/v1/models/m:predict", at_most + b" " * (MOST_BYTES - len(at_most)))).is_success


async def test_a_body_may_come_in_pieces(place: Place) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in json.dumps(ROWS).encode():
            yield bytes([byte])

    response = await place.client.post("/v1/models/m:predict", content=pieces())
    assert response.status_code == 200


async def test_a_client_that_leaves_before_its_request_is_whole_is_nobodys_error(place: Place) -> None:
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/models/m:predict", "headers": []}
    await place.app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert place.bench.observer.events[-1][0] != "answered", "there was no request to answer"


async def test_what_the_graph_says_decides_the_code(place: Place) -> None:
    outcomes = {"bad": InvalidInput("no such row"), "broken": ModelFailed("a kernel died")}

    def fails(name: str) -> Any:
        def run(inputs: Tensors) -> dict[str, Array]:
            raise outcomes[name]

        return run

    for name in outcomes:
        place.bench.publish(name, 1, model_that(fails(name)))
    await place.bench.look()
    assert await place.refused("POST", "/v1/models/bad:predict", ROWS) == (400, "no such row")
    assert await place.refused("POST", "/v1/models/broken:predict", ROWS) == (500, "a kernel died")


async def test_a_bug_is_an_internal_error_with_a_number_and_without_its_insides(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.bench.publish("odd", 1, model_that(lambda inputs: {"y": np.array([object()])}))
    await place.bench.look()
    status, said = await place.refused("POST", "/v1/models/odd:predict", {"instances": [[1, 2, 3]]})
    assert status == 500
    assert "TypeError" not in said
    assert said.removeprefix("internal error, request id ") in caplog.text


async def test_a_full_queue_says_when_to_try_again(place: Place) -> None:
    def full(inputs: Tensors) -> dict[str, Array]:
        raise Overloaded("too much waits", retry_after_s=3)

    place.bench.publish("full", 1, model_that(full))
    await place.bench.look()
    response = await place.ask("POST", "/v1/models/full:predict", ROWS)
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")


async def test_a_request_that_takes_too_long_is_a_gateway_timeout(place: Place) -> None:
    gate = Gate()
    model = scaling_model()
    place.bench.publish("slow", 1, model)
    await place.bench.look()
    model.run_gate = gate
    hasty = TfServingDoor(place.bench.predictor, place.bench.models, timeout_s=0.01, max_body_bytes=MOST_BYTES)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(hasty), base_url="http://graft")
    response = await client.post("/v1/models/slow:predict", json=ROWS)
    assert (response.status_code, response.json()) == (504, {"error": "no answer within 0.01 s"})
    gate.open()
    await client.aclose()


async def test_requests_at_the_same_time_get_their_own_answers(place: Place) -> None:
    async def client(number: int) -> None:
        body = {"instances": [[number, 0, 0]] * (1 + number % 3)}
        response = await place.ask("POST", "/v1/models/m:predict", body)
        assert response.json() == {"predictions": [[2 * number + 1, 1, 1]] * (1 + number % 3)}

    await asyncio.gather(*(client(number) for number in range(60)))


@pytest.mark.parametrize(
    "body",
    [
        b'{"signature_name": "\\ud800", "instances": [[NaN, 1, 2]]}',
        b'{"signature_name": "' + b"x" * 1500 + b'"}',
        b'{"instances": [{"\\ud800": NaN}]}',
        b'{"instances": [{"\xff": 1}]}',
        b"[" * 1500,
        b'{"instances": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"instances": [[1e999, 1, 1]]}',
        b'{"instances": [[' + b"9" * 1000 + b", 1, 1]]}",
        b'{"instances": [[1, 2, "\xf0\x9f\x98\x80"]]}',
        b"\xef\xbb\xbf{}",
        b"\x00",
        "{}".encode("utf-16"),
    ],
)
async def test_nothing_malformed_is_the_servers_fault(place: Place, body: bytes) -> None:
    response = await place.ask("POST", "/v1/models/m:predict", body)
    assert 200 <= response.status_code < 500
    assert response.headers["content-type"] == "application/json"


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["POST", "GET"]), st.text("mv1/:%2Fsionlabe3pdct", max_size=30), st.binary(max_size=30))
async def test_any_path_and_any_body_is_answered_below_500(place: Place, method: str, rest: str, body: bytes) -> None:
    path = "/v1/models/" + rest
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await place.door({"type": "http", "method": method, "path": path, "headers": []}, receive, send)
    assert sent[0]["status"] < 500
    json.loads(sent[1]["body"])


# --- Status and metadata ----------------------------------------------------------------------------------------------


async def test_the_status_lists_versions_newest_first_with_their_errors(place: Place) -> None:
    place.bench.publish("m", 4, problem="half copied")
    await place.bench.look()
    assert (await place.ask("GET", "/v1/models/m")).json() == {
        "model_version_status": [
            {"version": "4", "state": "END", "status": {"error_code": "UNKNOWN", "error_message": "half copied"}},
            {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
        ]
    }


async def test_the_status_of_one_version_is_that_one_and_a_label_is_passed_over(place: Place) -> None:
    one = (await place.ask("GET", "/v1/models/m/versions/3")).json()
    assert [status["version"] for status in one["model_version_status"]] == ["3"]
    assert (await place.ask("GET", "/v1/models/m/labels/whatever")).json() == one


async def test_the_status_of_what_is_not_there_says_what_is_missing(place: Place) -> None:
    assert await place.refused("GET", "/v1/models/n") == (404, "Could not find any versions of model n")
    assert await place.refused("GET", "/v1/models/m/versions/9") == (404, "Could not find version 9 of model m")
    assert await place.refused("GET", "/v1/models/n/versions/9") == (404, "Could not find any versions of model n")


async def test_the_states_have_tf_servings_names(place: Place) -> None:
    gate = Gate()
    slow = scaling_model()
    slow.load_gate = gate
    place.bench.publish("m", 5, slow)
    with place.bench.predictor.lease(ModelRef("m")):
        await place.bench.models.look()
        await gate.arrival()
        assert await states(place) == {"5": "LOADING", "3": "AVAILABLE"}
        gate.open()
        await place.bench.until(lambda: place.bench.states("m") == {5: "live", 3: "draining"})
        assert await states(place) == {"5": "AVAILABLE", "3": "UNLOADING"}


async def states(place: Place) -> dict[str, str]:
    answer = (await place.ask("GET", "/v1/models/m")).json()
    return {one["version"]: one["state"] for one in answer["model_version_status"]}


async def test_the_metadata_are_those_of_tf_serving(place: Place) -> None:
    answer = (await place.ask("GET", "/v1/models/m/metadata")).json()
    assert answer["model_spec"] == {"name": "m", "signature_name": "", "version": "3"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures.keys() == {"serving_default", "features"}
    dims = [{"size": "-1", "name": ""}, {"size": "3", "name": ""}]
    assert signatures["serving_default"] == {
        "inputs": {"x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": "x:0"}},
        "outputs": {"y": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": "y:0"}},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


async def test_the_metadata_of_what_is_not_there_says_so(place: Place) -> None:
    assert (await place.refused("GET", "/v1/models/n/metadata"))[0] == 404
    assert (await place.refused("GET", "/v1/models/m/labels/l/metadata"))[0] == 400
    assert (await place.ask("GET", "/v1/models/m/versions/3/metadata")).status_code == 200


async def test_while_draining_every_answer_asks_to_close_the_connection(place: Place) -> None:
    assert "connection" not in (await place.ask("GET", "/v1/models/m")).headers
    place.draining = True
    assert (await place.ask("GET", "/v1/models/m")).headers["connection"] == "close"
    assert (await place.ask("POST", "/v1/models/n:predict", {})).headers["connection"] == "close"
    assert (await place.ask("GET", "/nothing")).headers["connection"] == "close"


# --- Several heads at once --------------------------------------------------------------------------------------------


@pytest.fixture
async def heads() -> AsyncIterator[Place]:
    """A base, heads of it by the names of ``a`` and ``b``, and a model that is none of its heads."""
    place = Place(1_000_000)
    place.bench.publish("m", 3, scaling_model(2))
    place.bench.publish_base(scaling_model(2))
    place.bench.publish_head("a", ["cat", "dog"])
    place.bench.publish_head("b", ["x", "y", "z"], version=3)
    await place.bench.look()
    yield place
    await place.client.aclose()
    await place.bench.close()


@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
async def test_several_heads_answer_one_request_as_each_does_alone(heads: Place, long: bool) -> None:
    """Short bodies are read in another way than long ones."""
    rows = [[1, 2, 3], [4, 5, 6]] * (500 if long else 1)
    for key, answered in (("instances", "predictions"), ("inputs", "outputs")):
        alone = {
            name: (await heads.ask("POST", f"/v1/models/{path}:predict", {key: rows})).json()[answered]
            for name, path in (("a", "a"), ("b@3", "b/versions/3"))
        }
        together = await heads.ask("POST", "/v1/models/base:predict", {"heads": ["a", "b@3"], key: rows})
        assert together.status_code == 200, together.text
        assert together.json() == {answered: alone}
        assert list(together.json()[answered]) == ["a", "b@3"]
        assert together.headers["graft-model-version"] == "1"


@pytest.mark.parametrize(
    ("said", "status", "text"),
    [
        (["a", "nobody"], 404, "nobody"),
        (["b@9"], 404, "b"),
        ([], 400, "'heads' must be a list of names"),
        ("a", 400, "'heads' must be a list of names"),
        ([1], 400, "'heads' must be a list of names"),
        (None, 400, "'heads' must be a list of names"),
        (["a", "b", "a"], 400, "'heads' names 'a' twice"),
        ([""], 400, "empty"),
        (["m"], 400, "m"),
    ],
)
@pytest.mark.parametrize("long", [False, True], ids=["short", "long"])
async def test_heads_that_cannot_be_are_refused_by_name(
    heads: Place, said: Any, status: int, text: str, long: bool
) -> None:
    body = {"heads": said, "instances": [[1, 2, 3]] * (1000 if long else 1)}
    code, error = await heads.refused("POST", "/v1/models/base:predict", body)
    assert code == status, error
    assert text in error
