"""What surrounds a request over REST: gzip both ways, other origins, clients that leave."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from serving_fakes import Bench, Gate, scaling_model

from service.adapters.rest import reply
from service.adapters.rest.app import RestApplication, api
from service.adapters.rest.tfserving import TfServingDoor
from service.domain.versions import ModelRef

MOST_BYTES = 200_000
ROWS = json.dumps({"instances": [[1, 2, 3]]}).encode()
MANY = json.dumps({"instances": [[1, 2, 3]] * 500}).encode()
GZIP = {"content-encoding": "gzip"}
PREDICT = "/v1/models/m:predict"


class Place:
    """The REST application over fakes, and a client that asks for nothing by itself."""

    def __init__(self, *, cors: bool = False) -> None:
        self.bench = Bench()
        self.door = TfServingDoor(self.bench.predictor, self.bench.models, timeout_s=20, max_body_bytes=MOST_BYTES)
        self.app = RestApplication(self.door, api([]), lambda: False, cors=cors)
        transport = httpx.ASGITransport(self.app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://graft", headers={"accept-encoding": ""})


@pytest.fixture(params=[False])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    made = Place(cors=request.param)
    made.bench.publish("m", 3, scaling_model(2))
    await made.bench.look()
    yield made
    await made.client.aclose()
    await made.bench.close()


cors_is_on = pytest.mark.parametrize("place", [True], indirect=True)


# --- gzip in ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", " gzip "])
async def test_a_body_may_come_as_gzip(place: Place, coding: str) -> None:
    response = await place.client.post(PREDICT, content=gzip.compress(ROWS), headers={"content-encoding": coding})
    assert response.json() == {"predictions": [[3, 5, 7]]}


async def test_gzip_may_come_in_pieces_and_in_members(place: Place) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in gzip.compress(ROWS[:10]) + gzip.compress(b"") + gzip.compress(ROWS[10:]):
            yield bytes([byte])

    assert (await place.client.post(PREDICT, content=pieces(), headers=GZIP)).status_code == 200


async def test_gzip_of_nothing_is_an_empty_document(place: Place) -> None:
    for body in (b"", gzip.compress(b"")):
        response = await place.client.post(PREDICT, content=body, headers=GZIP)
        assert (response.status_code, response.json()["error"]) == (400, "JSON Parse error: The document is empty")


BROKEN = {
    "a byte short": gzip.compress(MANY)[:-1],
    "no checksum": gzip.compress(MANY)[:-8],
    "cut in its data": gzip.compress(MANY)[:20],
    "cut in its header": gzip.compress(MANY)[:5],
    "one byte": b"\x1f",
    "wrong checksum": gzip.compress(MANY)[:-8] + b"\0" * 8,
    "wrong data": gzip.compress(MANY)[:30] + b"\xff" * 30,
    "a zero after it": gzip.compress(ROWS) + b"\0",
    "text after it": gzip.compress(ROWS) + b"more",
    "zlib": zlib.compress(ROWS),
    "plain": ROWS,
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
async def test_gzip_that_is_cut_off_or_broken_is_refused(place: Place, body: bytes) -> None:
    response = await place.client.post(PREDICT, content=body, headers=GZIP)
    assert response.status_code == 400
    assert "gzip" in response.json()["error"]


async def test_as_much_as_is_allowed_may_come_out_of_gzip_and_no_more(place: Place) -> None:
    fits, exceeds = ROWS + b" " * (MOST_BYTES - len(ROWS)), ROWS + b" " * (MOST_BYTES - len(ROWS) + 1)
    assert (await place.client.post(PREDICT, content=gzip.compress(fits), headers=GZIP)).status_code == 200
    assert (await place.client.post(PREDICT, content=gzip.compress(exceeds), headers=GZIP)).status_code == 413


@pytest.mark.parametrize("members", [1, 3])
async def test_a_bomb_takes_no_memory(place: Place, members: int) -> None:
    bomb = gzip.compress(b"\0" * 100_000_000) * members

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(bomb), 10_000):
            yield bomb[start : start + 10_000]

    tracemalloc.start()
    try:
        response = await place.client.post(PREDICT, content=pieces(), headers=GZIP)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()
    assert (response.status_code, str(MOST_BYTES) in response.json()["error"]) == (413, True)


async def test_members_without_end_are_refused(place: Place) -> None:
    response = await place.client.post(PREDICT, content=gzip.compress(b"") * 5000, headers=GZIP)
    assert response.status_code == 400


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "gzip, gzip", "nonsense"])
async def test_another_coding_is_refused_with_its_name(place: Place, coding: str) -> None:
    response = await place.client.post(PREDICT, content=ROWS, headers={"content-encoding": coding})
    assert (response.status_code, coding in response.json()["error"]) == (400, True)
    plain = await place.client.post(PREDICT, content=ROWS, headers={"content-encoding": "identity"})
    assert plain.status_code == 200


# --- gzip out ---------------------------------------------------------------------------------------------------------


async def test_a_long_answer_is_compressed_for_whoever_asks(place: Place) -> None:
    plain = await place.client.post(PREDICT, content=MANY)
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == "accept-encoding"
    zipped = await place.client.post(PREDICT, content=MANY, headers={"accept-encoding": "deflate, gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert int(zipped.headers["content-length"]) < len(plain.content) / 5
    assert zipped.content == plain.content
    short = await place.client.post(PREDICT, content=ROWS, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in short.headers


async def test_a_very_long_answer_is_compressed_beside_the_loop(place: Place) -> None:
    body = json.dumps({"instances": [[1, 2, 3]] * 12_000}).encode()
    zipped = await place.client.post(PREDICT, content=body, headers={"accept-encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.json() == {"predictions": [[3, 5, 7]] * 12_000}


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("br;q=1.0, gzip;q=0.2", True),
        ("gzip ; q=1", True),
        ("gzip;q=0.001", True),
        ("", False),
        ("identity", False),
        ("deflate, br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzipped", False),
        ("*", False),
    ],
)
def test_gzip_is_taken_where_it_is_named(accepted: str, takes: bool) -> None:
    assert reply.takes_gzip(accepted) == takes


# --- Other origins ----------------------------------------------------------------------------------------------------

ALLOWED = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "POST, GET",
    "access-control-allow-headers": "Content-Type",
}


def allowed(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


@cors_is_on
async def test_with_cors_every_answer_below_v1_lets_other_origins_in(place: Place) -> None:
    for method, path in (("POST", PREDICT), ("GET", "/v1/models/m"), ("GET", "/v1/models/n"), ("GET", "/v1/nothing")):
        assert allowed(await place.client.request(method, path, content=ROWS)) == ALLOWED
    assert allowed(await place.client.get("/nothing")) == {}


async def test_without_cors_no_answer_does(place: Place) -> None:
    assert allowed(await place.client.post(PREDICT, content=ROWS)) == {}


@pytest.mark.parametrize("place", [False, True], indirect=True)
async def test_a_browser_that_asks_first_is_answered(place: Place, request: pytest.FixtureRequest) -> None:
    for path in (PREDICT, "/v1/models", "/v1/anything"):
        for origin in ("http://localhost:3000", "https://example.org"):
            response = await place.client.options(path, headers={"origin": origin})
            assert (response.status_code, response.content) == (200, b"")
            assert "content-type" not in response.headers
            assert bool(allowed(response)) == ("True" in request.node.callspec.id)
    for headers in ({}, {"origin": "null"}):
        assert (await place.client.options(PREDICT, headers=headers)).status_code == 400


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "POST"])
async def test_there_is_no_other_method_on_the_list_of_models(place: Place, method: str) -> None:
    response = await place.client.request(method, "/v1/models")
    assert response.status_code == 400
    assert method == "HEAD" or response.json() == {"error": f"Malformed request: {method} /v1/models"}


async def test_routes_are_matched_without_case_and_verbs_with_it(place: Place) -> None:
    assert (await place.client.post("/V1/Models/m/VERSIONS/3:predict", content=ROWS)).status_code == 200
    assert (await place.client.get("/v1/MODELS/m/Metadata")).status_code == 200
    assert (await place.client.post("/v1/models/M:predict", content=ROWS)).status_code == 404
    assert (await place.client.post("/v1/models/m:PREDICT", content=ROWS)).status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense", ""])
async def test_a_bodys_type_is_not_looked_at(place: Place, kind: str) -> None:
    assert (await place.client.post(PREDICT, content=ROWS, headers={"content-type": kind})).status_code == 200


# --- Large bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["predict", "classify"])
async def test_only_large_bodies_are_read_beside_the_event_loop(place: Place, verb: str) -> None:
    place.door._max_body_bytes = 10_000_000
    threads: list[str] = []
    work = place.door._reading.run

    async def run(size: int, job: Any, *given: Any) -> Any:
        def noted(*given: Any) -> Any:
            threads.append(threading.current_thread().name)
            return job(*given)

        return await work(size, noted, *given)

    place.door._reading.run = run  # type: ignore[method-assign, assignment]
    rows = [[1, 2, 3]] * 50_000 if verb == "predict" else [{"x": 1}] * 50_000
    key = "instances" if verb == "predict" else "examples"
    for count in (1, 50_000):
        await place.client.post(f"/v1/models/m:{verb}", content=json.dumps({key: rows[:count]}).encode())
    steps = len(threads) // 2
    assert [name.startswith("read") for name in threads] == [False] * steps + [True] * steps


# --- Clients that leave -----------------------------------------------------------------------------------------------


class Visitor:
    """A client that sends a predict request and leaves when told to."""

    def __init__(self, model: str) -> None:
        self.left = asyncio.Event()
        self.sent: list[Any] = []
        self._body = [{"type": "http.request", "body": ROWS, "more_body": False}]
        self.scope = {"type": "http", "method": "POST", "path": f"/v1/models/{model}:predict", "headers": []}

    async def receive(self) -> Any:
        if self._body:
            return self._body.pop()
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)


@pytest.fixture
async def held(place: Place) -> AsyncIterator[Gate]:
    """A live model, ``held``, whose runs stand before this gate."""
    model = scaling_model()
    place.bench.publish("held", 1, model)
    await place.bench.look()
    gate = model.run_gate = Gate()
    yield gate
    gate.open()


async def test_a_client_that_leaves_lets_the_version_go(place: Place, held: Gate) -> None:
    visitor = Visitor("held")
    answering = asyncio.create_task(place.app(visitor.scope, visitor.receive, visitor.send))
    await held.arrival()
    online = place.bench.models.find(ModelRef("held"))
    assert online.pins == 1
    visitor.left.set()
    await answering
    assert online.pins == 0
    assert visitor.sent == []
    assert place.bench.observer.named("answered")[-1][5] == "Cancelled"


async def test_a_client_that_stays_is_answered_however_long_it_took(place: Place, held: Gate) -> None:
    visitor = Visitor("held")
    answering = asyncio.create_task(place.app(visitor.scope, visitor.receive, visitor.send))
    await held.arrival()
    await place.bench.until(lambda: len(asyncio.all_tasks()) > 2)
    held.open()
    await answering
    assert visitor.sent[0]["status"] == 200


async def test_a_server_that_cancels_means_it(place: Place, held: Gate) -> None:
    visitor = Visitor("held")
    answering = asyncio.create_task(place.app(visitor.scope, visitor.receive, visitor.send))
    await held.arrival()
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert visitor.sent == []


async def test_one_that_leaves_does_not_disturb_the_others(place: Place, held: Gate) -> None:
    leaving, staying = Visitor("held"), Visitor("held")
    both = [asyncio.create_task(place.app(one.scope, one.receive, one.send)) for one in (leaving, staying)]
    await held.arrival()
    leaving.left.set()
    await both[0]
    held.open()
    await both[1]
    assert (leaving.sent, staying.sent[0]["status"]) == ([], 200)
