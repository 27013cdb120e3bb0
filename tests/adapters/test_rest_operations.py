"""What operators and monitoring ask over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from serving_fakes import Bench, scaling_model

from service.adapters.prometheus.page import Metrics
from service.adapters.rest.app import RestApplication, api
from service.adapters.rest.operations import operations_router
from service.adapters.rest.tfserving import TfServingDoor
from service.domain.errors import Conflict, InvalidDataset, Overloaded
from service.domain.serving_config import ModelConfig, ServingConfig, Specific


class Place:
    """The whole REST application over fakes, but for tuning."""

    def __init__(self) -> None:
        self.bench, self.metrics = Bench(), Metrics()
        router = operations_router(self.bench.models, self.bench.models.readiness, self._metrics)

        @router.get("/broken/{how}")
        async def broken(how: int) -> None:
            raise [ZeroDivisionError("insides"), Conflict("not now"), Overloaded("full"), InvalidDataset(())][how]

        door = TfServingDoor(self.bench.predictor, self.bench.models, timeout_s=20, max_body_bytes=1000)
        app = RestApplication(door, api([router]), lambda: False)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://graft")

    async def _metrics(self) -> tuple[bytes, str]:
        return self.metrics.render(), self.metrics.content_type


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    yield made
    await made.client.aclose()
    await made.bench.close()


async def test_alive_is_not_ready(place: Place) -> None:
    assert (await place.client.get("/healthz")).text == "ok\n"
    response = await place.client.get("/readyz")
    assert (response.status_code, response.json()["ready"]) == (503, False)


async def test_ready_follows_the_models(place: Place) -> None:
    place.bench.publish("m", 1)
    await place.bench.look()
    response = await place.client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"ready": True, "reason": "ready"})
    place.bench.repository.remove("m", 1)
    await place.bench.look()
    assert (await place.client.get("/readyz")).json() == {"ready": False, "reason": "no model is live"}


async def test_everything_served_is_listed_with_what_it_is_made_of(place: Place) -> None:
    place.bench.publish_base()
    place.bench.publish("plain", 7)
    place.bench.publish("broken", 1, problem="half copied")
    await place.bench.look()
    place.bench.publish_head("pets", ("cat", "dog"))
    await place.bench.look()
    models = {one["name"]: one for one in (await place.client.get("/v1/models")).json()["models"]}
    assert list(models) == ["base", "broken", "pets", "plain"]
    assert models["pets"] == {
        "name": "pets",
        "kind": "head",
        "labels": {},
        "warnings": [],
        "base": "base@1",
        "classes": ["cat", "dog"],
        "versions": [
            {
                "version": 1,
                "state": "live",
                "provisional": False,
                "engine": "fake",
                "engines": {},
                "graph": "base-1",
                "error": None,
            }
        ],
    }
    assert models["base"]["versions"][0]["graph"] == "base-1", "the head and its base name the same graph"
    assert models["base"]["versions"][0]["engines"]["features"] == {
        "engine": "fake",
        "precision": "f32",
        "reason": "there is no other",
        "difference": None,
        "agreement": None,
    }
    assert (models["plain"]["kind"], models["plain"]["base"], models["plain"]["classes"]) == ("plain", None, [])
    assert models["broken"]["versions"][0] == {
        "version": 1,
        "state": "failed",
        "provisional": False,
        "engine": None,
        "engines": {},
        "graph": None,
        "error": "half copied",
    }


async def test_an_empty_server_lists_nothing(place: Place) -> None:
    assert (await place.client.get("/v1/models")).json() == {"models": [], "config_problem": None}


async def test_labels_and_what_is_not_as_it_was_asked_for_are_shown(place: Place) -> None:
    bench = place.bench
    bench.place("/m", 1)
    bench.place("/m", 2, replace(scaling_model(), broken="no variables"))
    labels = {"stable": 1, "canary": 2}
    await bench.models.adopt(ServingConfig((ModelConfig("m", "/m", Specific(frozenset({1, 2, 3})), labels),)))
    await bench.models.settle()
    bench.models.config_problem = "models.config:3: no such field"
    answer = (await place.client.get("/v1/models")).json()
    assert answer["config_problem"] == "models.config:3: no such field"
    (model,) = answer["models"]
    assert model["labels"] == {"stable": 1}
    assert model["warnings"] == [
        "version 3 was asked for and is not there",
        "label canary is for version 2, which does not answer",
    ]
    assert [version["error"] for version in model["versions"]] == ["no variables", None]


async def test_the_metrics_page_is_what_prometheus_reads(place: Place) -> None:
    response = await place.client.get("/metrics")
    assert response.headers["content-type"] == place.metrics.content_type
    assert "graft_loaded_graphs 0.0" in response.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("GET", "/docs", 404, "not_found"),
        ("GET", "/broken/x", 400, "invalid_input"),
        ("GET", "/broken/0", 500, "internal"),
        ("GET", "/broken/1", 409, "conflict"),
        ("GET", "/broken/2", 503, "overloaded"),
        ("GET", "/broken/3", 422, "invalid_dataset"),
    ],
)
async def test_every_error_has_one_envelope(place: Place, method: str, path: str, status: int, code: str) -> None:
    response = await place.client.request(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["error"]["message"]
    assert "insides" not in response.text


async def test_the_api_describes_itself(place: Place) -> None:
    paths = (await place.client.get("/openapi.json")).json()["paths"]
    assert {"/v1/models", "/healthz", "/readyz", "/metrics"} <= paths.keys()
