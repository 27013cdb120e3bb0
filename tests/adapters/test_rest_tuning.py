"""The tuning API over HTTP: what it answers, and that a bad or broken request leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.adapters.dataset_files import DatasetDirectory
from service.adapters.rest import errors
from service.adapters.rest.tuning import tuning_router
from service.adapters.upload_directory import UploadDirectory
from service.application.ports import Listing
from service.application.tuning import Tuning, TuningPolicy
from service.domain.artifact import BaseRef, ModelKind
from service.domain.jobs import JobState
from service.domain.versions import VersionId
from tests.application.tuning_fakes import (
    FAILED,
    FINISHED,
    STUCK,
    WHOLE,
    Bench,
    FakeChecker,
    end_of,
    event_of,
    manifest,
    phase,
)

MOST = 100_000
RECIPE = json.dumps({"acts": WHOLE})


class Door:
    """A server with the tuning API alone, and a client of it."""

    def __init__(self, bench: Bench, tuning: Tuning, client: httpx.AsyncClient, app: FastAPI) -> None:
        self.bench, self.tuning, self.client, self.app = bench, tuning, client, app

    async def upload(self, content: str | bytes = "good", name: str = "f.csv", **fields: str) -> httpx.Response:
        return await self.client.post("/v1/datasets", files={"file": (name, content)}, data=fields)

    async def tune(self, content: str = "good", key: str | None = None, **fields: str) -> httpx.Response:
        fields = {"head": "flowers", "recipe": RECIPE, **fields}
        headers = {"idempotency-key": key} if key else {}
        return await self.client.post(
            "/v1/models/iris:tune", files={"file": ("f.csv", content)}, data=fields, headers=headers
        )

    def left(self) -> list[str]:
        places = (self.bench.directory / "uploads", self.bench.directory / "datasets")
        return [path.name for place in places for path in place.iterdir()]


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    bench = Bench(tmp_path)
    tuning = bench.service()
    app = FastAPI()
    errors.install(app)
    app.include_router(tuning_router(tuning, most_upload_bytes=MOST, beat_s=0.02))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://graft") as client:
        yield Door(bench, tuning, client, app)
    bench.trainer.leaving.set()
    await bench.close()


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), answer.text
    return error


# --- Datasets


async def test_an_upload_becomes_a_dataset(door: Door) -> None:
    answer = await door.upload(label="kind", format="csv")
    assert answer.status_code == 201, answer.text
    dataset = answer.json()
    assert dataset["id"].startswith("ds-")
    assert dataset["created"].endswith("Z")
    assert (dataset["filename"], dataset["size_bytes"], dataset["items"]) == ("f.csv", 4, 10)
    assert (dataset["classes"], dataset["kind"], dataset["shape"]) == ({"a": 5, "b": 5}, "vector", [4])
    assert dataset["options"] == {"label": "kind"}
    assert dataset["report"]["digest"]
    found = (await door.client.get(f"/v1/datasets/{dataset['id']}")).json()
    assert {**found, "report": dataset["report"]} == dataset
    assert (await door.client.get("/v1/datasets")).json() == {"datasets": [found]}
    assert (await door.client.get(f"/v1/datasets/{dataset['id']}/report")).json() == dataset["report"]
    assert (await door.client.delete(f"/v1/datasets/{dataset['id']}")).status_code == 204
    refused(await door.client.get(f"/v1/datasets/{dataset['id']}"), 404, "dataset_not_found")
    refused(await door.client.delete("/v1/datasets/ds-0"), 404, "dataset_not_found")
    assert door.left() == []


async def test_faulty_data_is_422_with_every_fault_and_its_place(door: Door) -> None:
    error = refused(await door.upload("bad"), 422, "invalid_dataset")
    assert [fault["place"] for fault in error["details"]] == ["row 3, column b", "file"]
    assert error["fault_count"] == 7
    refused(await door.tune("width 9"), 422, "invalid_dataset")
    refused(await door.upload("broken"), 500, "model_failed")
    assert door.left() == []


async def test_a_file_may_be_as_large_as_the_limit_and_no_larger(door: Door) -> None:
    assert (await door.upload("x" * MOST)).status_code == 201
    kept = door.left()
    refused(await door.upload("y" * (MOST + 1)), 413, "upload_too_large")
    refused(await door.upload("y" * (MOST + 2_000_000)), 413, "upload_too_large")
    assert door.left() == kept


class FullDisk(DatasetDirectory):
    """Receives uploads where there is room for none."""

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        with super().incoming() as path:
            path.unlink()
            path.symlink_to("/dev/full")
            yield path


@pytest.mark.parametrize("size", [10, 50_000])
async def test_a_full_disk_is_told_of_and_nothing_is_left(door: Door, size: int) -> None:
    door.bench.files = FullDisk(door.bench.directory)
    app = FastAPI()
    errors.install(app)
    app.include_router(tuning_router(door.bench.service("full"), most_upload_bytes=MOST))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://graft") as client:
        full = Door(door.bench, door.tuning, client, app)
        for answer in (await full.upload("x" * size), await full.tune("x" * size)):
            assert "no room left" in refused(answer, 507, "no_room")["message"]
    assert door.left() == []


async def test_an_upload_is_written_as_it_comes_and_is_what_was_sent(door: Door) -> None:
    content = bytes(range(32, 127)) * 900 + b"\r\n--boundary-like\r\n"
    answer = await door.upload(content)
    assert answer.status_code == 201
    assert (door.bench.directory / "datasets" / door.left()[0]).read_bytes() == content


def form(*parts: str, boundary: str = "B", end: str = "--B--\r\n") -> bytes:
    return ("".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + end).encode("latin-1")


FILE_PART = 'Content-Disposition: form-data; name="file"; filename="f.csv"\r\n\r\ngood'


@pytest.mark.parametrize(
    ("content_type", "body", "says"),
    [
        ("multipart/form-data; boundary=B", form(FILE_PART, FILE_PART), "more than one file"),
        ("multipart/form-data; boundary=B", form(), "no part 'file'"),
        ("multipart/form-data; boundary=B", b"", "cut off"),
        ("multipart/form-data; boundary=B", form(FILE_PART, end=""), "cut off"),
        ("multipart/form-data; boundary=B", form(FILE_PART)[:-4], "cut off"),
        ("multipart/form-data; boundary=B", b"junk without any boundary", "cannot be read"),
        ("multipart/form-data; boundary=C", form(FILE_PART), "cannot be read"),
        ("multipart/form-data", form(FILE_PART), "boundary"),
        ("multipart/form-data; boundary=" + "B" * 300, form(FILE_PART), "boundary"),
        ("text/csv", b"{}", "multipart/form-data"),
        ("", form(FILE_PART), "multipart/form-data"),
        ("\xff\xfe", form(FILE_PART), "multipart/form-data"),
        ("multipart/form-data; boundary=B", form("Content-Type: text/csv\r\n\r\ngood"), "needs a name"),
        (
            "multipart/form-data; boundary=B",
            form(FILE_PART.replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n")),
            "transfer encoding",
        ),
        (
            "multipart/form-data; boundary=B",
            form(FILE_PART, 'Content-Disposition: form-data; name="lable"\r\n\r\nx'),
            "did you mean 'label'",
        ),
        (
            "multipart/form-data; boundary=B",
            form(FILE_PART, *['Content-Disposition: form-data; name="label"\r\n\r\nx'] * 2),
            "twice",
        ),
        (
            "multipart/form-data; boundary=B",
            form(FILE_PART, 'Content-Disposition: form-data; name="label"\r\n\r\n\xff'),
            "not UTF-8",
        ),
        (
            "multipart/form-data; boundary=B",
            form(FILE_PART, 'Content-Disposition: form-data; name="label"\r\n\r\n' + "x" * 70_000),
            "longer than",
        ),
        (
            "multipart/form-data; boundary=B",
            form(FILE_PART, 'Content-Disposition: form-data; name="format"\r\n\r\nexe'),
            "no dataset format",
        ),
        ("multipart/form-data; boundary=B", form("X: " + "y" * 10_000 + "\r\n\r\n"), "cannot be read"),
        ("multipart/form-data; boundary=B", form(FILE_PART) + b"z" * 1_100_000, "beside its file"),
    ],
)
async def test_forms_that_are_not_what_was_asked_for(door: Door, content_type: str, body: bytes, says: str) -> None:
    headers = {"content-type": content_type.encode("latin-1")}
    error = refused(await door.client.post("/v1/datasets", content=body, headers=headers), 400, "invalid_input")
    assert says in error["message"]
    assert door.left() == []


async def test_a_form_comes_whole_in_pieces_of_any_size(door: Door) -> None:
    body = form('Content-Disposition: form-data; name="label"\r\n\r\nkind é', FILE_PART)

    async def bytewise() -> AsyncIterator[bytes]:
        for byte in body:
            yield bytes([byte])

    headers = {"content-type": "multipart/form-data; boundary=B"}
    error = refused(await door.client.post("/v1/datasets", content=bytewise(), headers=headers), 400, "invalid_input")
    assert "not UTF-8" in error["message"]
    body = form('Content-Disposition: form-data; name="label"\r\n\r\nkind', FILE_PART)
    answer = await door.client.post("/v1/datasets", content=bytewise(), headers=headers)
    assert answer.json()["options"] == {"label": "kind"}


async def call(
    app: FastAPI, path: str, receive: Callable[[], Awaitable[dict[str, Any]]], method: str = "POST", **headers: str
) -> list[dict[str, Any]]:
    """Call the application as a server would, with the connection in the test's hand."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path}
    scope |= {"raw_path": path.encode(), "query_string": b"", "headers": raw, "scheme": "http", "root_path": ""}
    await app(scope, receive, send)  # type: ignore[arg-type]
    return sent


async def test_a_client_that_leaves_in_the_middle_of_an_upload_leaves_nothing(door: Door) -> None:
    messages = [
        {"type": "http.request", "body": form(FILE_PART, end="")[:-6], "more_body": True},
        {"type": "http.disconnect"},
    ]
    seen: list[list[str]] = []

    async def receive() -> dict[str, Any]:
        seen.append(door.left())
        return messages.pop(0)

    await call(door.app, "/v1/datasets", receive, content_type="multipart/form-data; boundary=B")
    assert len(seen[0]) == 1
    assert door.left() == []


async def test_a_client_that_leaves_during_the_check_ends_it(door: Door) -> None:
    checking, ended = asyncio.Event(), asyncio.Event()

    class Endless(FakeChecker):
        async def check(self, *_: Any) -> Any:
            checking.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    tuning = Tuning(
        door.bench.database,
        door.bench.trainer,
        Endless(),
        door.bench.files,
        door.bench.models,
        door.bench.observer,
        door.bench.clock,
        TuningPolicy(Path("/repository"), "me"),
        UploadDirectory(door.bench.directory / "parts"),
    )
    app = FastAPI()
    errors.install(app)
    app.include_router(tuning_router(tuning, most_upload_bytes=MOST))
    whole = [{"type": "http.request", "body": form(FILE_PART), "more_body": False}]

    async def receive() -> dict[str, Any]:
        if whole:
            return whole.pop()
        await checking.wait()
        return {"type": "http.disconnect"}

    await call(app, "/v1/datasets", receive, content_type="multipart/form-data; boundary=B")
    assert ended.is_set()
    assert door.left() == []
    await tuning.close()


@pytest.mark.parametrize(
    ("base", "fields", "status", "code"),
    [
        ("nobody", {}, 404, "model_not_found"),
        ("petals", {}, 400, "invalid_input"),
        ("iris", {"head": "../up"}, 400, "invalid_input"),
        ("iris", {"head": "foreign"}, 409, "conflict"),
        ("iris", {"head": "flowers", "recipe": "["}, 400, "invalid_input"),
        ("iris", {"head": "flowers", "on_success": "celebrate"}, 400, "invalid_input"),
        ("iris", {"priority": "101", "head": "flowers"}, 400, "invalid_input"),
    ],
)
async def test_a_tune_that_cannot_be_is_refused_before_its_file_is_sent(
    door: Door, base: str, fields: dict[str, str], status: int, code: str
) -> None:
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()]

    async def receive() -> dict[str, Any]:
        # The file begins and never ends.
        body = form(*parts, FILE_PART, end="") if parts else b""
        parts.clear()
        return {"type": "http.request", "body": body.removesuffix(b"\r\n") or b"good", "more_body": True}

    path = f"/v1/models/{base}:tune"
    async with asyncio.timeout(10):
        sent = await call(door.app, path, receive, content_type="multipart/form-data; boundary=B")
    answer = json.loads(b"".join(message.get("body", b"") for message in sent))
    assert (sent[0]["status"], answer["error"]["code"]) == (status, code)
    assert door.left() == []
    assert door.bench.checker.asked == []


# --- Jobs


async def test_upload_and_tune_in_one_call_and_follow_it_to_its_end(door: Door) -> None:
    answer = await door.tune()
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["head"], job["base"], job["version"]) == ("queued", "flowers", "iris", None)
    door.bench.at_work(door.tuning)
    await end_of(door.tuning, await door.tuning.jobs.get(job["id"]))
    ended = (await door.client.get(answer.headers["location"])).json()
    assert set(ended) == {
        *("id", "head", "base", "dataset", "state", "phase", "percent", "eta_s", "version", "metrics", "gate"),
        *("recipe", "error", "attempt", "crashes", "not_before", "cancel_requested", "created", "started", "finished"),
        *("priority", "budget", "queue_position", "reused", "on_success", "provisional"),
    }
    assert (ended["state"], ended["version"], ended["percent"], ended["attempt"]) == ("succeeded", 3, 100.0, 1)
    assert (ended["metrics"], ended["gate"], ended["recipe"]) == (
        {"accuracy": 0.97},
        {"verdict": "passed"},
        {"l2": 0.1},
    )
    assert ended["created"] <= ended["started"] <= ended["finished"]
    assert ended["finished"].endswith("Z")


async def test_a_form_says_all_that_an_order_by_json_does(door: Door) -> None:
    door.bench.at_work(door.tuning)
    more = {"priority": "-3", "budget": '{"max_seconds": 60}', "on_success": "canary:10"}
    job = (await door.tune(**more)).json()
    assert (job["priority"], job["budget"], job["on_success"]) == (-3, {"max_seconds": 60}, "canary:10")
    await end_of(door.tuning, await door.tuning.jobs.get(job["id"]))
    made = replace(manifest(ModelKind.HEAD), base=BaseRef("iris", 1, "digest"), provenance={"job_id": job["id"]})
    door.bench.models.found["flowers"] = Listing(VersionId("flowers", 3), Path("/repository/flowers/3"), "stamp", made)
    again = await door.tune(**more)
    assert (again.status_code, again.json()["id"], again.json()["reused"]) == (200, job["id"], True)
    new = await door.tune(**more, require_new="true")
    assert (new.status_code, new.json()["reused"]) == (202, False)
    assert new.json()["id"] != job["id"]


async def test_a_failed_job_tells_why(door: Door) -> None:
    job = (await door.tune(recipe=json.dumps({"acts": [{"say": FAILED}]}))).json()
    door.bench.at_work(door.tuning)
    await end_of(door.tuning, await door.tuning.jobs.get(job["id"]))
    ended = (await door.client.get(f"/v1/jobs/{job['id']}")).json()
    assert ended["error"] == {"code": "bad_recipe", "message": "no such key", "details": {"key": "l3"}}


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"head": ""}, 400, "invalid_input"),
        ({"head": "../../etc"}, 400, "invalid_input"),
        ({"head": ".hidden"}, 400, "invalid_input"),
        ({"head": "iris"}, 409, "conflict"),
        ({"head": "foreign"}, 409, "conflict"),
        ({"recipe": "[]"}, 400, "invalid_input"),
        ({"recipe": "{"}, 400, "invalid_input"),
        ({"recipe": '{"l2": NaN}'}, 400, "invalid_input"),
        ({"recipe": '{"l2": 1e999}'}, 400, "invalid_input"),
        ({"recipe": "[" * 60_000}, 400, "invalid_input"),
        ({"recipe": '{"a":' * 10_000}, 400, "invalid_input"),
        ({"recipe": "9" * 5000}, 400, "invalid_input"),
        ({"label": "a\0b"}, 400, "invalid_input"),
        ({"priority": "101"}, 400, "invalid_input"),
        ({"priority": "high"}, 400, "invalid_input"),
        ({"budget": '{"max_seconds": 0}'}, 400, "invalid_input"),
        ({"budget": '{"max_money": 1}'}, 400, "invalid_input"),
        ({"budget": "7"}, 400, "invalid_input"),
        ({"on_success": "celebrate"}, 400, "invalid_input"),
        ({"on_success": "canary:0"}, 400, "invalid_input"),
        ({"on_success": "promote:5"}, 400, "invalid_input"),
        ({"require_new": "yes"}, 400, "invalid_input"),
        ({"epochs": "3"}, 400, "invalid_input"),
    ],
)
async def test_a_tune_that_cannot_be_is_refused_and_leaves_nothing(
    door: Door, fields: dict[str, str], status: int, code: str
) -> None:
    refused(await door.tune(**fields), status, code)
    assert door.left() == []
    assert (await door.client.get("/v1/jobs")).json() == {"jobs": [], "next_page_token": None}


@pytest.mark.parametrize("base", ["nobody", "foreign", "..", "%2e%2e", "a%00b", "x" * 5000, "%ff"])
async def test_a_base_that_is_none(door: Door, base: str) -> None:
    answer = await door.client.post(
        f"/v1/models/{base}:tune", files={"file": ("f.csv", "good")}, data={"head": "flowers"}
    )
    assert answer.status_code == 404, answer.text
    assert door.left() == []


async def test_the_file_may_come_before_or_after_the_fields(door: Door) -> None:
    head = 'Content-Disposition: form-data; name="head"\r\n\r\nflowers'
    for parts in ((head, FILE_PART), (FILE_PART, head)):
        headers = {"content-type": "multipart/form-data; boundary=B"}
        answer = await door.client.post("/v1/models/iris:tune", content=form(*parts), headers=headers)
        assert answer.status_code == 202, answer.text


async def test_a_job_by_json(door: Door) -> None:
    dataset = (await door.upload()).json()["id"]
    order = {"head": "flowers", "base": "iris", "dataset": dataset, "recipe": {"l2": 1}}
    answer = await door.client.post("/v1/jobs", json=order, headers={"idempotency-key": "k"})
    assert answer.status_code == 202, answer.text
    assert answer.json()["recipe"] == {"l2": 1}
    again = await door.client.post("/v1/jobs", json=order, headers={"idempotency-key": "k"})
    assert again.json() == answer.json()
    assert again.headers["location"] == answer.headers["location"]
    other = await door.client.post("/v1/jobs", json={**order, "head": "x"}, headers={"idempotency-key": "k"})
    refused(other, 409, "conflict")
    refused(await door.client.delete(f"/v1/datasets/{dataset}"), 409, "conflict")
    refused(await door.client.post("/v1/jobs", json={**order, "dataset": "ds-0"}), 404, "dataset_not_found")
    for key, status, code in (
        ("dataset", 404, "dataset_not_found"),
        ("base", 404, "model_not_found"),
        ("head", 400, "invalid_input"),
        ("\ud800", 400, "invalid_input"),
    ):
        half = json.dumps({**order, key: "\ud800"})
        refused(await door.client.post("/v1/jobs", content=half), status, code)
    half = json.dumps({**order, "recipe": {"\ud800": "\ud800"}})
    refused(await door.client.post("/v1/jobs", content=half), 400, "invalid_input")
    refused(await door.client.post("/v1/jobs", json={**order, "base": "nobody"}), 404, "model_not_found")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "JSON object"),
        (b'{"head": "a", "base": "b"}', "dataset"),
        (b'{"head": "a", "base": "b", "dataset": 7}', "dataset"),
        (b'{"head": "a", "base": "b", "dataset": "d", "recipe": []}', "recipe"),
        (b'{"head": "a", "base": "b", "datset": "d"}', "did you mean 'dataset'"),
        (b'{"head": "a", "base": "b", "dataset": "d", "recipe": {"x": Infinity}}', "Infinity"),
        (b"[" * 100_000, "not JSON"),
        (b'{"head": "' + b"x" * 300_000 + b'"}', "bytes"),
    ],
)
async def test_orders_that_are_none(door: Door, body: bytes, says: str) -> None:
    error = refused(await door.client.post("/v1/jobs", content=body), 400, "invalid_input")
    assert says in error["message"]


async def test_a_job_by_json_with_priority_and_budget(door: Door) -> None:
    dataset = (await door.upload()).json()["id"]
    order = {"head": "flowers", "base": "iris", "dataset": dataset, "budget": {"max_seconds": 60, "max_memory_mb": 1.5}}
    first = (await door.client.post("/v1/jobs", json=order)).json()
    assert (first["priority"], first["budget"], first["queue_position"], first["reused"]) == (
        0,
        {"max_seconds": 60, "max_memory_mb": 1.5},
        1,
        False,
    )
    urgent = (await door.client.post("/v1/jobs", json={**order, "priority": 5, "budget": {}})).json()
    assert (urgent["priority"], urgent["budget"], urgent["queue_position"]) == (5, {}, 1)
    assert (await door.client.get(f"/v1/jobs/{first['id']}")).json()["queue_position"] == 2
    listed = (await door.client.get("/v1/jobs")).json()["jobs"]
    assert {job["id"]: job["queue_position"] for job in listed} == {first["id"]: 2, urgent["id"]: 1}
    for wrong, says in (
        ({"priority": 101}, "from -100 to 100"),
        ({"priority": 1.5}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"budget": {"max_seconds": 0}}, "max_seconds has to be a number above zero"),
        ({"budget": {"max_seconds": "1e999"}}, "budget.max_seconds"),
        ({"budget": {"max_money": 1}}, "budget.max_money"),
        ({"require_new": 1}, "require_new"),
    ):
        error = refused(await door.client.post("/v1/jobs", json={**order, **wrong}), 400, "invalid_input")
        assert says in error["message"]
    endless = json.dumps({**order, "budget": {"max_seconds": 7}}).replace("7}", "1e999}")
    refused(await door.client.post("/v1/jobs", content=endless), 400, "invalid_input")


async def test_training_that_is_not_needed_is_answered_by_who_did_it(door: Door) -> None:
    door.bench.at_work(door.tuning)
    dataset = (await door.upload()).json()["id"]
    order = {"head": "flowers", "base": "iris", "dataset": dataset, "recipe": json.loads(RECIPE)}
    job = (await door.client.post("/v1/jobs", json=order)).json()
    async for _ in door.tuning.jobs.watch(job["id"]):
        pass
    made = replace(manifest(ModelKind.HEAD), base=BaseRef("iris", 1, "digest"), provenance={"job_id": job["id"]})
    door.bench.models.found["flowers"] = Listing(VersionId("flowers", 3), Path("/repository/flowers/3"), "stamp", made)
    again = await door.client.post("/v1/jobs", json=order)
    assert (again.status_code, again.json()["id"], again.json()["reused"]) == (200, job["id"], True)
    assert again.headers["location"] == f"/v1/jobs/{job['id']}"
    anew = await door.client.post("/v1/jobs", json={**order, "require_new": True})
    assert (anew.status_code, anew.json()["reused"]) == (202, False)
    assert anew.json()["id"] != job["id"]


async def test_jobs_are_listed_page_by_page(door: Door) -> None:
    ids = [(await door.tune(head=f"head{number}")).json()["id"] for number in range(5)]
    seen, token = [], None
    while True:
        query = {"limit": 2, **({"page_token": token} if token else {})}
        page = (await door.client.get("/v1/jobs", params=query)).json()
        seen += [job["id"] for job in page["jobs"]]
        token = page["next_page_token"]
        if token is None:
            break
    assert seen == ids[::-1]
    assert len((await door.client.get("/v1/jobs?state=queued&head=head3")).json()["jobs"]) == 1
    for query in ("state=asleep", "page_token=x", "page_token=%00", "limit=0", "limit=999999999999", "head=.."):
        refused(await door.client.get(f"/v1/jobs?{query}"), 400, "invalid_input")


async def test_a_job_is_cancelled(door: Door) -> None:
    job = (await door.tune()).json()
    answer = await door.client.post(f"/v1/jobs/{job['id']}:cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
    refused(await door.client.post(f"/v1/jobs/{job['id']}:cancel"), 409, "conflict")
    for name in ("job-0", "..", "%00", "%ff"):
        assert (await door.client.post(f"/v1/jobs/{name}:cancel")).status_code == 404
    running = (await door.tune(recipe=json.dumps({"acts": STUCK}))).json()
    door.bench.at_work(door.tuning)
    stored = await door.tuning.jobs.get(running["id"])
    await event_of(door.tuning, stored, "job.phase", phase="features")
    asked = (await door.client.post(f"/v1/jobs/{running['id']}:cancel")).json()
    assert (asked["state"], asked["cancel_requested"]) == ("running", True)
    assert (await end_of(door.tuning, stored)).state is JobState.CANCELLED


# --- Events


def parsed(stream: str) -> list[dict[str, Any]]:
    blocks = [block for block in stream.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


async def test_history_comes_in_pages(door: Door) -> None:
    job = (await door.tune()).json()
    door.bench.at_work(door.tuning)
    await end_of(door.tuning, await door.tuning.jobs.get(job["id"]))
    path, after, seen = f"/v1/jobs/{job['id']}/events", 0, []
    while (page := (await door.client.get(path, params={"after": after, "limit": 4})).json())["events"]:
        seen += page["events"]
        after = page["next"]
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert page["next"] == after == len(seen)
    assert set(seen[0]) == {"seq", "type", "message", "time", "data"}
    for query in ("after=-1", "after=x", "limit=0", "limit=501", f"after={10**30}"):
        refused(await door.client.get(f"{path}?{query}"), 400, "invalid_input")
    refused(await door.client.get("/v1/jobs/job-0/events"), 404, "job_not_found")


async def test_history_comes_as_a_stream_that_ends_with_the_job_and_can_be_resumed(door: Door) -> None:
    warning = {"event": "warning", "message": "two\nlines é", "data": {}}
    acts = [phase("validate"), {"pause": 0.1}, {"say": warning}, {"say": FINISHED}]
    job = (await door.tune(recipe=json.dumps({"acts": acts}))).json()
    path, headers = f"/v1/jobs/{job['id']}/events", {"accept": "text/event-stream"}
    door.bench.at_work(door.tuning)
    answer = await door.client.get(path, headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = parsed(answer.text)
    assert [int(event["id"]) for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["event"], events[-1]["event"]) == ("job.queued", "job.succeeded")
    assert json.loads(events[-2]["data"])["message"] == "two\nlines é"
    assert ": still here\n\n" in answer.text
    rest = parsed((await door.client.get(path, headers={**headers, "last-event-id": "3"})).text)
    assert rest == events[3:]
    assert parsed((await door.client.get(f"{path}?after=2", headers=headers)).text) == events[2:]
    for bad in ("x", "-1", "9" * 40, "1.5"):
        refused(await door.client.get(path, headers={**headers, "last-event-id": bad}), 400, "invalid_input")
    refused(await door.client.get("/v1/jobs/job-0/events", headers=headers), 404, "job_not_found")


async def test_a_follower_that_leaves_is_forgotten(door: Door) -> None:
    job = (await door.tune()).json()
    asked = [{"type": "http.request", "body": b"", "more_body": False}]
    followed = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await followed.wait()
        return {"type": "http.disconnect"}

    path = f"/v1/jobs/{job['id']}/events"
    calling = asyncio.create_task(call(door.app, path, receive, "GET", accept="text/event-stream"))
    await asyncio.wait({calling}, timeout=0.1)
    assert not calling.done()
    followed.set()
    sent = await calling
    assert sent[0]["status"] == 200
    assert b"job.queued" in b"".join(message.get("body", b"") for message in sent)


async def test_the_api_describes_itself(door: Door) -> None:
    described = (await door.client.get("/openapi.json")).json()
    assert set(described["paths"]) == {
        "/v1/datasets",
        "/v1/datasets/{dataset_id}",
        "/v1/datasets/{dataset_id}:append",
        "/v1/datasets/{dataset_id}/report",
        "/v1/uploads",
        "/v1/uploads/{upload_id}",
        "/v1/uploads/{upload_id}/parts/{number}",
        "/v1/uploads/{upload_id}:complete",
        "/v1/models/{base}:tune",
        "/v1/jobs",
        "/v1/jobs:estimate",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}:cancel",
        "/v1/jobs/{job_id}/events",
    }
    for path in described["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["tags"]
    form_schema = described["paths"]["/v1/models/{base}:tune"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert form_schema["schema"]["required"] == ["file", "head"]
    order = described["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert order["required"] == ["head", "base", "dataset"]
