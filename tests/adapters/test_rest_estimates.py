"""``POST /v1/jobs:estimate`` over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.adapters.rest import errors
from service.adapters.rest.tuning import tuning_router
from service.application.tuning import Tuning
from service.domain.jobs import PHASES
from tests.application.tuning_fakes import FINISHED, STUCK, WHOLE, Bench, end_of, phase

SLOWLY = [act for name in PHASES for act in (phase(name), {"pause": 0.02})]


class Door:
    """The tuning API alone, over a bench."""

    def __init__(self, bench: Bench, tuning: Tuning, client: httpx.AsyncClient) -> None:
        self.bench, self.tuning, self.client = bench, tuning, client

    async def estimate(self, **order: Any) -> dict[str, Any]:
        answer = await self.client.post("/v1/jobs:estimate", json={"head": "flowers", "base": "iris", **order})
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    bench = Bench(tmp_path)
    tuning = bench.service()
    app = FastAPI()
    errors.install(app)
    app.include_router(tuning_router(tuning, most_upload_bytes=1000))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://graft") as client:
        yield Door(bench, tuning, client)
    bench.trainer.leaving.set()
    await bench.close()


async def test_the_first_job_on_a_base_may_be_asked_for_and_its_seconds_are_not_known(door: Door) -> None:
    dataset = await door.bench.dataset(door.tuning)
    assert await door.estimate(dataset=dataset.id) == {
        "allowed": True,
        "reasons": [],
        "items": 10,
        "seconds": {"low": None, "high": None},
        "basis": "unknown",
        "basis_jobs": [],
        "queue_position": 1,
        "jobs_ahead": {"queued": 0, "running": 0},
        "cached_features_pct": None,
    }


async def test_the_seconds_come_from_the_events_of_earlier_jobs(door: Door) -> None:
    door.bench.at_work(door.tuning)
    job = await door.bench.job(door.tuning, [*SLOWLY, {"say": FINISHED}])
    done = await end_of(door.tuning, job)
    told = await door.estimate(dataset=job.request.dataset, recipe={**job.request.recipe, "seed": 9})
    assert (told["basis"], told["basis_jobs"]) == ("earlier_jobs", [job.id])
    assert done.started is not None
    assert done.finished is not None
    took = done.finished - done.started
    assert told["seconds"]["low"] == told["seconds"]["high"] == pytest.approx(took, abs=0.2)


async def test_failed_jobs_and_those_on_other_bases_or_lost_data_tell_nothing(door: Door) -> None:
    door.bench.at_work(door.tuning)
    door.bench.models.found["lilies"] = door.bench.models.found["iris"]
    failed = await door.bench.job(door.tuning, [*SLOWLY, {"exit": 1}])
    await door.tuning.jobs.cancel(failed.id)
    await end_of(door.tuning, failed)
    done = await door.bench.job(door.tuning, WHOLE)
    await end_of(door.tuning, done)
    assert (await door.estimate(base="lilies", dataset=done.request.dataset))["basis"] == "unknown"
    other = await door.bench.dataset(door.tuning, "other")
    await door.tuning.datasets.delete(done.request.dataset)
    assert (await door.estimate(dataset=other.id))["basis"] == "unknown"


async def test_everything_that_stands_against_a_job_is_told_at_once(door: Door) -> None:
    wide = await door.bench.dataset(door.tuning, "width 7")
    told = await door.estimate(head="foreign", dataset=wide.id)
    assert not told["allowed"]
    assert [reason["code"] for reason in told["reasons"]] == ["conflict"]
    told = await door.estimate(dataset=wide.id)
    assert told["reasons"][0]["code"] == "invalid_dataset"
    assert told["reasons"][0]["details"][0]["code"] == "wrong_width"
    told = await door.estimate(head="No Name", base="nobody", dataset="ds-none")
    assert {reason["code"] for reason in told["reasons"]} == {"invalid_input", "dataset_not_found"}


async def test_jobs_that_are_there_already_are_counted(door: Door) -> None:
    door.bench.at_work(door.tuning)
    jobs = [await door.bench.job(door.tuning, STUCK) for _ in range(3)]
    async for event in door.tuning.jobs.watch(jobs[0].id):
        if event.type == "job.phase":
            break
    told = await door.estimate(dataset=jobs[0].request.dataset)
    assert told["jobs_ahead"] == {"queued": 2, "running": 1}
    assert told["queue_position"] == 3


@pytest.mark.parametrize("body", ["", "[]", "{", json.dumps({"head": 1}), json.dumps({"headd": "x"})], ids=range(5))
async def test_what_is_no_request_is_refused(door: Door, body: str) -> None:
    answer = await door.client.post("/v1/jobs:estimate", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")


async def test_an_order_says_what_becomes_of_the_version(door: Door) -> None:
    dataset = await door.bench.dataset(door.tuning)
    order = {"head": "flowers", "base": "iris", "dataset": dataset.id}
    for said, told in (({}, "promote"), ({"on_success": "canary:10"}, "canary:10")):
        answer = await door.client.post("/v1/jobs", json={**order, **said})
        assert (answer.status_code, answer.json()["on_success"]) == (202, told)
    answer = await door.client.post("/v1/jobs", json={**order, "on_success": "explode"})
    assert answer.status_code == 400
