"""1.1, 1.2, 1.8, 1.9: transport, names, versions, labels, status and metadata over REST."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from contract_client import Target, refused, same
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

ONE = b'{"instances": [1.0]}'


def states(target: Target, path: str) -> dict[str, str]:
    """Versions and their states."""
    answer = target.rest.get(path)
    assert answer.status_code == 200, answer.text
    return {one["version"]: one["state"] for one in answer.json()["model_version_status"]}


def predicted(target: Target, path: str) -> Any:
    """What a predict of 1.0 gives."""
    answer = target.rest.post(f"{path}:predict", content=ONE)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


# 1.2 names and versions


@pytest.mark.parametrize(
    ("path", "version"),
    [
        pytest.param("half/versions/1", 1, id="1.2 version"),
        pytest.param("half/versions/2", 2, id="1.2 other version"),
        pytest.param("half/versions/001", 1, id="1.2 leading noughts"),
        pytest.param("half", 2, id="2.3 newest by default"),
        pytest.param("half/labels/stable", 1, id="1.2 label"),
        pytest.param("half/labels/canary", 2, id="3.4 labels of one start-up config"),
        pytest.param("newest", 3, id="3.1 latest 1 is the default policy"),
        pytest.param("two/versions/2", 2, id="3.1 latest 2"),
        pytest.param("every/versions/1", 1, id="3.1 all"),
        pytest.param("a%3Ab%20c%2Fd", 3, id="1.2 names are decoded after matching"),
    ],
)
def test_which_version_answers(target: Target, path: str, version: int) -> None:
    """1.2, 2.3, 3.1: the version that a path means."""
    same(predicted(target, f"/v1/models/{path}"), target.answer(f"half-{version}").output[:1])


@pytest.mark.parametrize("path", ["half/versions/3", "two/versions/1", "newest/versions/2"])
def test_versions_that_the_policy_leaves_out(target: Target, path: str) -> None:
    """3.1: what the policy does not want is on disk and not served."""
    refused(
        target.rest.post(f"/v1/models/{path}:predict", content=ONE), 404, "Servable not found for request: Specific"
    )


# 1.8 status


@pytest.mark.parametrize(
    ("model", "versions"), [("half", "21"), ("every", "321"), ("two", "32"), ("newest", "3"), ("many", "1")]
)
def test_status_lists_versions(target: Target, model: str, versions: str) -> None:
    """1.8: newest first, numbers as strings, every default printed; 3.1: of those the policy wants."""
    answer = target.rest.get(f"/v1/models/{model}")
    assert answer.headers["content-type"].startswith("application/json")
    fine = {"error_code": "OK", "error_message": ""}
    expected = [{"version": one, "state": "AVAILABLE", "status": fine} for one in versions]
    assert answer.json() == {"model_version_status": expected}


def test_status_is_the_official_message(target: Target) -> None:
    """1.8: protobuf's own JSON of ``GetModelStatusResponse``."""
    said = json_format.Parse(target.rest.get("/v1/models/half").text, get_model_status_pb2.GetModelStatusResponse())
    assert [one.version for one in said.model_version_status] == [2, 1]


def test_status_of_one_version(target: Target) -> None:
    """1.8: a version in the path lists it alone."""
    assert states(target, "/v1/models/half/versions/1") == {"1": "AVAILABLE"}


@pytest.mark.parametrize("label", ["stable", "unknown"])
def test_status_ignores_labels(target: Target, label: str) -> None:
    """1.8: all versions, also for a label that nobody knows."""
    assert states(target, f"/v1/models/half/labels/{label}") == states(target, "/v1/models/half")


@pytest.mark.parametrize(
    ("path", "gist"),
    [
        pytest.param("x", "Could not find any versions of model x", id="1.8 unknown model"),
        pytest.param("half/versions/99", "Could not find version 99 of model half", id="1.8 unknown version"),
    ],
)
def test_status_of_nothing(target: Target, path: str, gist: str) -> None:
    """1.8: 404."""
    refused(target.rest.get(f"/v1/models/{path}"), 404, gist)


# 1.9 metadata


@pytest.mark.parametrize("model", ["half", "many", "strings", "identity", "examples", "shapes", "words", "defaults"])
def test_metadata(target: Target, model: str) -> None:
    """1.9: the SavedModel's own signatures, all of them and every field, in the doubled key."""
    said = target.rest.get(f"/v1/models/{model}/metadata").json()
    version = "2" if model == "half" else "1"
    assert said["model_spec"] == {"name": model, "signature_name": "", "version": version}
    assert list(said["metadata"]) == ["signature_def"]
    parsed = json_format.ParseDict(said["metadata"]["signature_def"], get_model_metadata_pb2.SignatureDefMap())
    assert parsed == target.signatures(model)


def test_metadata_spelling(target: Target) -> None:
    """1.9: snake case, sizes as strings, defaults printed."""
    said = target.rest.get("/v1/models/half/metadata").json()
    signature = said["metadata"]["signature_def"]["signature_def"]["serving_default"]
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    assert signature["inputs"] == {"x": {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "x:0"}}
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["defaults"] == {}


@pytest.mark.parametrize(
    ("path", "version"), [("half/versions/1", "1"), ("half/labels/stable", "1"), ("half/labels/canary", "2")]
)
def test_metadata_of_a_version(target: Target, path: str, version: str) -> None:
    """1.9: versions and, unlike status, labels are honoured."""
    assert target.rest.get(f"/v1/models/{path}/metadata").json()["model_spec"]["version"] == version


@pytest.mark.parametrize(
    ("path", "status", "gist"),
    [
        pytest.param("x", 404, "Servable not found for request: Latest(x)", id="1.9 unknown model"),
        pytest.param("half/versions/9", 404, "Specific(half, 9)", id="1.9 unknown version"),
        pytest.param("half/labels/l", 400, "Unrecognized servable version label: l", id="1.9 unknown label"),
    ],
)
def test_metadata_of_nothing(target: Target, path: str, status: int, gist: str) -> None:
    """1.9: an unknown model or version is 404, an unknown label 400."""
    refused(target.rest.get(f"/v1/models/{path}/metadata"), status, gist)


# 1.1, 1.2 CORS


@pytest.mark.parametrize("origin", ["http://console.example", "https://console.example"])
def test_preflight(target: Target, origin: str) -> None:
    """1.2: OPTIONS with an origin is 200 with nothing in it."""
    answer = target.rest.options("/v1/models/half:predict", headers={"origin": origin})
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("headers", [{}, {"origin": "null"}])
def test_preflight_without_origin(target: Target, headers: dict[str, str]) -> None:
    """1.2: without one it is 400."""
    assert target.rest.options("/v1/models/half:predict", headers=headers).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models/half"), ("GET", "/v1/models/x"), ("POST", "/v1/models/half:predict"), ("PUT", "/v1/models/x")],
)
def test_cors_headers(target: Target, method: str, path: str) -> None:
    """1.2: with the flag every answer below ``/v1/`` has them, errors too."""
    headers = target.rest.request(method, path, content=ONE).headers
    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-allow-methods"] == "POST, GET"
    assert headers["access-control-allow-headers"] == "Content-Type"


# 1.1 gzip


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
def test_gzip_in(target: Target, encoding: str) -> None:
    """1.1: a body whose Content-Encoding contains gzip is inflated."""
    answer = target.rest.post(
        "/v1/models/half:predict", content=gzip.compress(ONE), headers={"content-encoding": encoding}
    )
    same(answer.json()["predictions"], target.answer("half-2").output[:1])


BOMB = gzip.compress(b"[" + b" " * (101 << 20), 6)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(gzip.compress(ONE)[:-9], id="1.1 cut short"),
        pytest.param(b"not gzip at all", id="1.1 no gzip"),
        pytest.param(gzip.compress(ONE)[:12] + b"\xff" * 12, id="1.1 corrupt"),
        pytest.param(gzip.compress(b""), id="1.1 nothing inside"),
        pytest.param(BOMB, id="1.1 beyond 100 MiB inflated"),
    ],
)
def test_bad_gzip(target: Target, body: bytes) -> None:
    """1.1: 400 and JSON; there the message is that of an empty document, here it may say more."""
    answer = target.rest.post("/v1/models/half:predict", content=body, headers={"content-encoding": "gzip"})
    refused(answer, 400)


def test_answers_are_not_compressed_unasked(target: Target) -> None:
    """1.1: who does not ask for gzip never gets it."""
    x = json.dumps({"instances": [1.0] * 10_000}).encode()
    answer = target.rest.post("/v1/models/half:predict", content=x, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in answer.headers
    assert len(answer.json()["predictions"]) == 10_000


@pytest.mark.differs
def test_gzip_out(target: Target) -> None:
    """1.1 differs: there answers are never compressed; here a large one is, for who asks."""
    x = json.dumps({"instances": [1.0] * 10_000}).encode()
    answer = target.rest.post("/v1/models/half:predict", content=x, headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["predictions"] == [3.5] * 10_000


def test_keep_alive(target: Target) -> None:
    """1.1: HTTP/1.1 with connections that stay, also after an error."""
    answers = [target.rest.post("/v1/models/half:predict", content=body) for body in (ONE, b"{", ONE)]
    assert [one.status_code for one in answers] == [200, 400, 200]
    assert {one.http_version for one in answers} == {"HTTP/1.1"}
    assert all(one.headers.get("connection", "keep-alive").lower() == "keep-alive" for one in answers)


@pytest.mark.differs
def test_the_answer_names_its_version(target: Target) -> None:
    """1.6 differs: there nothing over REST says which version answered."""
    assert target.rest.post("/v1/models/half:predict", content=ONE).headers["graft-model-version"] == "2"
