"""Every format that is one file goes through the real door and the real check, for what is to be learned of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from labelled_data import write_csv, write_jsonl, write_parquet, write_tfrecord

from service.adapters.rest import errors
from service.adapters.rest.tuning import tuning_router
from service.adapters.trainers.checking import ProcessDatasetChecker
from tests.application.tuning_fakes import Bench


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    bench = Bench(tmp_path)
    bench.checker = ProcessDatasetChecker()  # type: ignore[assignment]
    app = FastAPI()
    errors.install(app)
    app.include_router(tuning_router(bench.service(), most_upload_bytes=10**6, beat_s=0.02))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://graft") as client:
        yield client
    await bench.close()


def form(file: Path) -> dict[str, tuple[str, bytes]]:
    return {"file": (file.name, file.read_bytes())}


async def sent(client: httpx.AsyncClient, file: Path, **fields: str) -> httpx.Response:
    return await client.post("/v1/datasets", files=form(file), data=fields)


ROWS: list[dict[str, Any]] = [{"a": float(n), "b": float(n * n), "label": "xy"[n % 2]} for n in range(8)]


async def test_new_formats_become_datasets(client: httpx.AsyncClient, tmp_path: Path) -> None:
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    files = {
        "parquet": write_parquet(tmp_path / "a.parquet", columns),
        "jsonl": write_jsonl(tmp_path / "a.jsonl", ROWS),
        "tfrecord": write_tfrecord(tmp_path / "a.tfrecord", ROWS),
    }
    ids = set()
    for format, file in files.items():
        answer = await sent(client, file, format=format)
        assert answer.status_code == 201, answer.text
        ids.add(answer.json()["id"])
        assert answer.json()["report"]["format"] in files
    assert len(ids) == 1, "it is the same data, whatever it came in"


async def test_the_task_is_an_option(client: httpx.AsyncClient, tmp_path: Path) -> None:
    rows = [["a", "price"], *([n, n * 1.5] for n in range(40))]
    file = write_csv(tmp_path / "a.csv", rows)
    refused = await sent(client, file, label="price")
    assert refused.status_code == 422
    assert "did you mean task regression" in json.dumps(refused.json())
    answer = await sent(client, file, label="price", task="regression")
    assert answer.status_code == 201, answer.text
    assert answer.json()["options"] == {"label": "price", "task": "regression"}
    report = answer.json()["report"]
    assert (report["task"], report["values"]["price"]["max"]) == ("regression", 58.5)
    flags = write_csv(tmp_path / "b.csv", [["a", "p", "q"], *([n, n % 2, int(n % 3 == 0)] for n in range(40))])
    answer = await sent(client, flags, label="p, q", task="multilabel")
    assert answer.status_code == 201, answer.text
    assert answer.json()["classes"] == {"p": 20, "q": 14}


@pytest.mark.parametrize("fields", [{"format": "image_dir"}, {"task": "guessing"}, {"group": "a"}])
async def test_what_cannot_be_sent_is_refused_at_the_door(
    client: httpx.AsyncClient, tmp_path: Path, fields: dict[str, str]
) -> None:
    answer = await sent(client, write_jsonl(tmp_path / "a.jsonl", ROWS), **fields)
    assert answer.status_code == 400
    assert next(iter(fields.values())) in answer.text or "unknown here" in answer.text


async def test_a_broken_record_is_told_with_its_place(client: httpx.AsyncClient, tmp_path: Path) -> None:
    file = write_tfrecord(tmp_path / "a.tfrecord", ROWS)
    raw = bytearray(file.read_bytes())
    raw[-10] ^= 1
    file.write_bytes(raw)
    answer = await sent(client, file)
    assert answer.status_code == 422
    faults = answer.json()["error"]["details"]
    assert [(fault["code"], fault["place"]) for fault in faults] == [("broken_record", "record 7")]
