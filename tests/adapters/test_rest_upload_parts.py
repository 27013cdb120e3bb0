"""Uploads in parts over HTTP: any order, any failure, and nothing that was not answered for is ever there."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.adapters.rest import errors
from service.adapters.rest.tuning import tuning_router
from service.application.tuning import Tuning, UploadPolicy
from tests.application.tuning_fakes import Bench

PART = 1000
CONTENT = bytes(range(32, 127)) * 50
"""4750 bytes: four whole parts and a shorter one."""
POLICY = UploadPolicy(most_bytes=100_000, most_open=3, most_open_bytes=150_000, term_s=100.0, part_bytes=PART)


class Door:
    """A server with the tuning API alone, and a client that uploads in parts."""

    def __init__(self, bench: Bench, tuning: Tuning) -> None:
        self.bench, self.tuning = bench, tuning
        app = FastAPI()
        errors.install(app)
        app.include_router(tuning_router(tuning, most_upload_bytes=POLICY.most_bytes))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://graft")

    async def begin(self, **order: Any) -> str:
        answer = await self.client.post("/v1/uploads", json=order)
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"] == f"/v1/uploads/{answer.json()['id']}"
        id: str = answer.json()["id"]
        return id

    async def put(
        self, id: str, number: int, data: bytes | AsyncIterator[bytes], digest_of: bytes | None = None, **headers: str
    ) -> httpx.Response:
        said = hashlib.sha256(data if digest_of is None and isinstance(data, bytes) else digest_of or b"").digest()
        headers = {"content-digest": f"sha-256=:{base64.b64encode(said).decode()}:", **headers}
        return await self.client.put(f"/v1/uploads/{id}/parts/{number}", content=data, headers=headers)

    async def put_all(self, id: str, content: bytes = CONTENT) -> None:
        for number, part in parts_of(content).items():
            assert (await self.put(id, number, part)).status_code == 200

    async def complete(self, id: str, **body: str) -> httpx.Response:
        return await self.client.post(f"/v1/uploads/{id}:complete", json=body)

    def left(self) -> list[str]:
        places = [self.bench.directory / name for name in ("parts", "uploads", "datasets")]
        return sorted(path.name for place in places for path in place.iterdir() if path.name != "lock")


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    bench = Bench(tmp_path)
    bench.upload_policy = POLICY
    door = Door(bench, bench.service())
    yield door
    await door.client.aclose()
    await bench.close()


def parts_of(content: bytes) -> dict[int, bytes]:
    return {at // PART + 1: content[at : at + PART] for at in range(0, len(content), PART)}


def refused(answer: httpx.Response, status: int, code: str) -> str:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), answer.text
    message: str = error["message"]
    return message


@pytest.mark.parametrize("size", [len(CONTENT), None])
async def test_parts_in_any_order_are_one_dataset(door: Door, size: int | None) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    id = await door.begin(filename="a/b.csv", size=size, digest=digest, label="kind")
    for number, part in reversed(parts_of(CONTENT).items()):
        answer = await door.put(id, number, part)
        sha256 = hashlib.sha256(part).hexdigest()
        assert answer.json() == {"number": number, "bytes": len(part), "sha256": sha256}
    found = (await door.client.get(f"/v1/uploads/{id}")).json()
    assert (found["received_bytes"], found["missing"], found["filename"]) == (len(CONTENT), [], "b.csv")
    assert [part["number"] for part in found["parts"]] == [1, 2, 3, 4, 5]

    completed = await door.complete(id)
    assert completed.status_code == 201, completed.text
    dataset = completed.json()
    assert (dataset["size_bytes"], dataset["filename"], dataset["options"]) == (
        len(CONTENT),
        "b.csv",
        {"label": "kind"},
    )
    (kept,) = (door.bench.directory / "datasets").iterdir()
    assert kept.read_bytes() == CONTENT
    # Nothing of it lies about twice, and whoever missed the answer asks again.
    assert not (door.bench.directory / "parts" / id / "content").exists()
    assert (await door.complete(id)).json() == dataset
    assert (await door.client.get(f"/v1/uploads/{id}")).json()["dataset"] == dataset["id"]
    assert (
        "completed"
        in refused(await door.put(id, 6, b"x"), 400 if size else 409, "invalid_input" if size else "conflict")
        or size
    )
    assert (await door.client.delete(f"/v1/uploads/{id}")).status_code == 204
    assert door.left() == [kept.name]


async def test_what_is_missing_is_told_and_keeps_the_upload_from_being_completed(door: Door) -> None:
    id = await door.begin(size=len(CONTENT))
    assert "no part" in refused(await door.complete(id), 409, "conflict")
    await door.put(id, 2, parts_of(CONTENT)[2])
    found = (await door.client.get(f"/v1/uploads/{id}")).json()
    assert (found["missing"], found["missing_count"], found["part_count"]) == ([1, 3, 4, 5], 4, 5)
    assert "4 of 5 parts have not arrived: 1, 3, 4, 5" in refused(await door.complete(id), 409, "conflict")


async def test_the_same_part_again_changes_nothing_and_another_is_refused(door: Door) -> None:
    id = await door.begin(size=len(CONTENT))
    first = parts_of(CONTENT)[1]
    assert (await door.put(id, 1, first)).status_code == 200
    assert (await door.put(id, 1, first)).status_code == 200
    # The digest decides, before a byte is read: what follows it cannot harm what is there.
    assert (await door.put(id, 1, b"y" * PART, digest_of=first)).status_code == 200
    assert "begin anew" in refused(await door.put(id, 1, b"y" * PART), 409, "conflict")
    content = door.bench.directory / "parts" / id / "content"
    assert content.read_bytes()[:PART] == first


async def test_a_part_that_lies_or_is_cut_off_was_never_there(door: Door) -> None:
    id = await door.begin(size=len(CONTENT))

    async def leaving() -> AsyncIterator[bytes]:
        yield b"x" * 300

    async def too_much() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 300

    assert "its digest says" in refused(await door.put(id, 1, b"x" * PART, digest_of=b"other"), 400, "invalid_input")
    assert "300 bytes, and should have 1000" in refused(await door.put(id, 1, leaving()), 400, "invalid_input")
    assert "more than 1000" in refused(await door.put(id, 1, too_much()), 400, "invalid_input")
    assert "999 bytes" in refused(await door.put(id, 1, b"x" * 999), 400, "invalid_input")
    assert "750" in refused(await door.put(id, 5, b"x" * PART), 400, "invalid_input")
    for number in (0, 6, -1):
        assert "numbers 1 to 5" in refused(await door.put(id, number, b"x"), 400, "invalid_input")
    for header in ("", "md5=:abcd:", "sha-256=:abcd:", "sha-256=abcd"):
        answer = await door.client.put(f"/v1/uploads/{id}/parts/1", content=b"x", headers={"content-digest": header})
        assert "Content-Digest" in refused(answer, 400, "invalid_input")
    refused(await door.put(id, 1, b"x" * PART, **{"content-encoding": "gzip"}), 501, "not_supported")
    assert (await door.client.get(f"/v1/uploads/{id}")).json()["parts"] == []
    await door.put_all(id)
    assert (await door.complete(id)).status_code == 201
    assert next((door.bench.directory / "datasets").iterdir()).read_bytes() == CONTENT


async def test_a_part_that_is_on_its_way_is_nobody_elses(door: Door) -> None:
    id = await door.begin(size=len(CONTENT))
    first, waiting = parts_of(CONTENT)[1], asyncio.Event()
    writing = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield first[:10]
        writing.set()
        await waiting.wait()
        yield first[10:]

    sending = asyncio.create_task(door.put(id, 1, slow(), digest_of=first))
    await writing.wait()
    answer = await door.put(id, 1, first)
    assert "being received" in refused(answer, 503, "overloaded")
    assert answer.headers["retry-after"] == "1"
    refused(await door.complete(id), 503, "overloaded")
    refused(await door.client.delete(f"/v1/uploads/{id}"), 503, "overloaded")
    assert (await door.put(id, 2, parts_of(CONTENT)[2])).status_code == 200
    waiting.set()
    assert (await sending).status_code == 200


async def test_a_wrong_digest_of_the_whole_is_told_when_all_is_there(door: Door) -> None:
    id = await door.begin(size=len(CONTENT), digest="0" * 64)
    await door.put_all(id)
    assert "was begun with 0000" in refused(await door.complete(id), 400, "invalid_input")
    assert (await door.client.delete(f"/v1/uploads/{id}")).status_code == 204
    assert door.left() == []


async def test_faulty_data_is_422_and_the_upload_may_be_completed_otherwise(door: Door) -> None:
    id = await door.begin(size=3, filename="f.csv", label="a")
    await door.put(id, 1, b"bad")
    refused(await door.complete(id), 422, "invalid_dataset")
    refused(await door.complete(id, label="b", format="jsonl"), 422, "invalid_dataset")
    assert [options for _, options in door.bench.checker.asked] == [{"label": "a"}, {"label": "b"}]
    assert door.left() == [id]
    refused(await door.complete(id, label="b", colour="red"), 400, "invalid_input")
    assert (await door.client.delete(f"/v1/uploads/{id}")).status_code == 204
    assert door.left() == []


async def test_a_file_of_unknown_size_ends_with_its_only_short_part(door: Door) -> None:
    id = await door.begin()
    # A last part that failed, and was longer than the one that took its place, leaves nothing behind the end.
    refused(await door.put(id, 3, b"z" * PART, digest_of=b"other"), 400, "invalid_input")
    for number, part in ((1, b"a" * PART), (2, b"b" * 10), (3, b"c" * 20)):
        assert (await door.put(id, number, part)).status_code == 200
    assert "part 2 has 10 bytes and is not the last" in refused(await door.complete(id), 409, "conflict")
    id = await door.begin()
    refused(await door.put(id, 2, b"z" * PART, digest_of=b"other"), 400, "invalid_input")
    for number, part in ((1, b"a" * PART), (2, b"b" * 10)):
        assert (await door.put(id, number, part)).status_code == 200
    assert (await door.complete(id)).status_code == 201
    assert next((door.bench.directory / "datasets").iterdir()).read_bytes() == b"a" * PART + b"b" * 10


async def test_what_is_open_is_bounded(door: Door) -> None:
    post = door.client.post
    refused(await post("/v1/uploads", json={"size": POLICY.most_bytes + 1}), 413, "upload_too_large")
    ids = [await door.begin(size=70_000), await door.begin(size=70_000)]
    message = refused(await post("/v1/uploads", json={"size": 20_000}), 507, "no_room")
    assert "150000 bytes together; others have 140000" in message
    ids.append(await door.begin())
    # Nobody said how large that one is: what it comes to take is counted as it grows.
    refused(await door.put(ids[2], 11, b"x" * PART), 507, "no_room")
    assert (await door.put(ids[2], 10, b"x" * PART)).status_code == 200
    answer = await post("/v1/uploads", json={"size": 1})
    refused(answer, 503, "overloaded")
    assert int(answer.headers["retry-after"]) > 1
    await door.client.delete(f"/v1/uploads/{ids[0]}")
    await door.begin(size=1)


async def test_a_disk_without_room_is_told_before_a_byte_is_sent(door: Door) -> None:
    room = 1 << 60
    door.bench.upload_policy = UploadPolicy(most_bytes=room, most_open_bytes=room)
    roomy = Door(door.bench, door.bench.service("roomy"))
    message = refused(await roomy.client.post("/v1/uploads", json={"size": room}), 507, "no_room")
    assert "bytes left where this server keeps its data" in message
    assert door.left() == []
    await roomy.client.aclose()


@pytest.mark.parametrize(
    "order",
    [
        {"size": 0}, {"size": -1}, {"size": "5"}, {"digest": "abc"}, {"digest": "A" * 64}, {"format": "docx"},
        {"task": "guessing"}, {"label": ""}, {"sise": 5}, [], "text",
    ],
)  # fmt: skip
async def test_an_upload_that_cannot_be_is_not_begun(door: Door, order: Any) -> None:
    refused(await door.client.post("/v1/uploads", json=order), 400, "invalid_input")
    assert door.left() == []


@pytest.mark.parametrize("id", ["up-0", "up-" + "0" * 20, "..", "%2e%2e%2fdatasets", "up-" + "A" * 20, "lock"])
async def test_an_upload_that_is_not_there_is_404(door: Door, id: str) -> None:
    assert (await door.client.get(f"/v1/uploads/{id}")).status_code == 404
    assert (await door.put(id, 1, b"x")).status_code == 404
    assert (await door.complete(id)).status_code == 404
    assert (await door.client.delete(f"/v1/uploads/{id}")).status_code == 404


async def test_an_upload_without_news_expires_and_is_swept(door: Door) -> None:
    old, young = await door.begin(size=len(CONTENT)), await door.begin(size=len(CONTENT))
    door.bench.clock.ahead = 60
    assert (await door.put(young, 1, parts_of(CONTENT)[1])).status_code == 200
    door.bench.clock.ahead = 110
    refused(await door.client.get(f"/v1/uploads/{old}"), 404, "upload_not_found")
    refused(await door.put(old, 1, parts_of(CONTENT)[1]), 404, "upload_not_found")
    await door.tuning.uploads.sweep()
    assert door.left() == [young]
    assert (await door.client.get(f"/v1/uploads/{young}")).json()["missing"] == [2, 3, 4, 5]


async def test_another_process_takes_parts_of_the_same_upload(door: Door) -> None:
    other = Door(door.bench, door.bench.service("second"))
    id = await door.begin(size=len(CONTENT))
    for number, part in parts_of(CONTENT).items():
        assert (await (door, other)[number % 2].put(id, number, part)).status_code == 200
    first, second = await asyncio.gather(door.complete(id), other.complete(id))
    # One of them completes it; the other comes after it, or is told to try again.
    assert sorted((first.status_code, second.status_code)) in ([201, 201], [201, 503])
    assert (await door.complete(id)).json() == (await other.complete(id)).json()
    assert len(list((door.bench.directory / "datasets").iterdir())) == 1
    await other.client.aclose()
