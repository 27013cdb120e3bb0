"""A head that answers at once, from a real server: until what was trained does, and no longer than its job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_server import Digits, Server, until

from service.pb.graft.v1 import tuning_pb2 as pb
from service.pb.graft.v1.tuning_pb2_grpc import TuningStub

pytestmark = pytest.mark.e2e
HEAD = "late"


def ask(server: Server, digits: Digits, version: int | None = None) -> tuple[int, str, list[Any]]:
    """Status, version and answers for some digits that were not uploaded."""
    at = f"/v1/models/{HEAD}" + (f"/versions/{version}" if version is not None else "")
    rows = [digits.images[index] for label in range(5, 10) for index in np.flatnonzero(digits.labels == label)[60:70]]
    answer = server.http.post(f"{at}:predict", json={"instances": np.stack(rows)[..., np.newaxis].tolist()})
    return answer.status_code, answer.headers.get("graft-model-version", ""), answer.json().get("predictions", [])


def right(predictions: list[Any]) -> float:
    expected = np.repeat(np.arange(5, 10), 10).astype(str)
    return float(np.mean([found["classes"][0] == label for found, label in zip(predictions, expected, strict=True)]))


def versions(server: Server) -> dict[int, tuple[str, bool]]:
    models = {model["name"]: model for model in server.http.get("/v1/models").json()["models"]}
    listed = models.get(HEAD, {"versions": []})["versions"]
    return {one["version"]: (one["state"], one["provisional"]) for one in listed}


def kept(state: Path) -> list[str]:
    return [path.name for place in ("provisional", "uploads") for path in (state / place).iterdir()]


def answers_until(server: Server, digits: Digits, version: str) -> Iterator[str]:
    """The versions that answer, one after the other, until this one does; every request is answered."""
    while True:
        status, answered, _ = ask(server, digits)
        assert status == 200, server.tail()
        yield answered
        if answered == version:
            return


def test_a_head_answers_at_once_and_until_what_was_trained_does(
    repository: Path, digits: Digits, serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve(repository).ready()
    job = server.submit(digits.archive(40), HEAD, provisional="true")
    made = job["provisional"]
    assert (made["version"], made["problem"], made["items"]) == (0, None, 200)
    status, version, predictions = ask(server, digits)
    assert (status, version) == (200, "0"), "it answers when the request is answered"
    assert right(predictions) > 0.8
    assert abs(right(predictions) - made["accuracy"]) < 0.2
    assert versions(server)[0] == ("live", True)
    assert not (repository / HEAD / "0").exists(), "nobody published it"
    server.kill()

    server = serve(repository).ready()
    assert ask(server, digits)[:2] == (200, "0"), "it outlives a kill, as its job does"
    seen = list(answers_until(server, digits, "1"))
    assert sorted(set(seen)) == ["0", "1"]
    assert server.ended(job["id"])["version"] == 1
    until(
        "what was trained alone is left",
        lambda: versions(server) == {1: ("live", False)} and not kept(tmp_path / "state"),
    )
    direction = server.http.get(f"/v1/models/{HEAD}/direction").json()
    assert direction["stable"] in (None, 1), "nothing was ever held at version 0"


def test_it_goes_with_its_job_and_only_for_a_new_head(
    repository: Path, digits: Digits, serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve(repository).ready()
    dataset = server.http.post("/v1/datasets", files={"file": ("a.zip", digits.archive(40))}).json()["id"]
    order: dict[str, Any] = {"head": HEAD, "base": "digits", "dataset": dataset, "provisional": True}
    job = server.http.post("/v1/jobs", json=order).json()
    assert job["provisional"]["version"] == 0, job
    assert ask(server, digits)[:2] == (200, "0")
    assert server.http.post(f"/v1/models/{HEAD}:promote", json={"version": 0}).status_code == 404
    assert server.http.post(f"/v1/jobs/{job['id']}:cancel").status_code == 202
    assert server.ended(job["id"])["state"] == "cancelled"
    until("it is gone", lambda: ask(server, digits)[0] == 404 and not kept(tmp_path / "state"))

    first = server.http.post("/v1/jobs", json={**order, "provisional": False}).json()
    assert first["provisional"] is None
    assert server.ended(first["id"])["version"] == 1
    server.wait_live(HEAD, 1)
    with server.channel() as channel:
        again = pb.CreateJobRequest(head=HEAD, base="digits", dataset=dataset, require_new=True, provisional=True)
        second = TuningStub(channel).CreateJob(again)
        assert "published" in second.provisional.problem
        assert ask(server, digits)[:2] == (200, "1")
        other = TuningStub(channel).CreateJob(pb.CreateJobRequest(**{**order, "head": "other"}))
        assert (other.provisional.HasField("problem"), other.provisional.items) == (False, 200)
    for job_id in (second.id, other.id):
        assert server.http.post(f"/v1/jobs/{job_id}:cancel").status_code in (202, 409)
