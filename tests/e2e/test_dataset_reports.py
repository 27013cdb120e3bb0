"""``graft datasets check`` offline says to the byte what the server says; so it does of faults."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labelled_data import some_png, write_csv, write_jsonl, write_zip
from real_server import ENVIRONMENT, GRAFT, Digits, Server

pytestmark = pytest.mark.e2e


def write_all(place: Path) -> dict[str, tuple[Path, dict[str, str]]]:
    """Files of several kinds, each odd in its way, and how each is to be read."""
    images = [(f"{label}/{number}.png", some_png(number)) for label in ("cat", "dog") for number in range(5)]
    rows = [[number / 7, number % 3, "yes" if number % 2 else "no"] for number in range(40)]
    values = [{"features": [at, at / 7], "value": at / 3} for at in range(30)]
    return {
        # The same pictures under two labels: copies that contradict each other.
        "images": (write_zip(place / "images.zip", images), {}),
        "table": (write_csv(place / "table.csv", [["a", "b", "kind"], *rows, *rows[:3]]), {"label": "kind"}),
        "values": (write_jsonl(place / "values.jsonl", values), {"task": "regression"}),
    }


def offline(path: Path, options: dict[str, str]) -> bytes:
    command = [
        GRAFT,
        "datasets",
        "check",
        str(path),
        "--json",
        *(f"--{name}={value}" for name, value in options.items()),
    ]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True).stdout


def test_the_report_is_the_same_to_the_byte_on_both_sides(serve: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    server = serve(tmp_path / "models")
    for path, options in write_all(tmp_path).values():
        answer = server.http.post("/v1/datasets", files={"file": (path.name, path.read_bytes())}, data=options)
        assert answer.status_code == 201, answer.text
        report = server.http.get(f"/v1/datasets/{answer.json()['id']}/report").content
        assert report == offline(path, options).rstrip(b"\n")
        assert json.loads(report)["warnings"]


def test_faults_are_the_same_on_both_sides(serve: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    server = serve(tmp_path / "models")
    rows: list[list[Any]] = [[1, 2, "x"], ["nan", 2, "x"], [1, "", "y"], [1, 2], [1, 2, "z"]]
    path = write_csv(tmp_path / "bad.csv", [["a", "b", "label"], *rows])
    error = server.http.post("/v1/datasets", files={"file": (path.name, path.read_bytes())}).json()["error"]
    report = json.loads(offline(path, {}))
    assert error["details"] == report["faults"]
    assert error["fault_count"] == report["fault_count"] > 3


def test_a_dataset_grows_and_what_it_was_made_of_stays(serve: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    shared = tmp_path / "shared"
    shared.mkdir()
    server = serve(tmp_path / "models", dataset_root=shared)
    images = [
        (f"{label}/{number}.png", some_png(10 * at + number)) for at, label in enumerate("ab") for number in range(8)
    ]
    write_zip(shared / "first.zip", [*images[:5], *images[8:13]])
    first = server.http.post("/v1/datasets", json={"reference": "first.zip"})
    assert first.status_code == 201, first.text
    id = first.json()["id"]
    more = write_zip(tmp_path / "more.zip", images[3:8])
    second = server.http.post(f"/v1/datasets/{id}:append", files={"file": ("more.zip", more.read_bytes())})
    assert second.status_code == 201, second.text
    assert (second.json()["items"], second.json()["parent"], second.json()["classes"]) == (13, id, {"a": 8, "b": 5})
    write_zip(shared / "rest.zip", images[8:])
    third = server.http.post(f"/v1/datasets/{second.json()['id']}:append", json={"reference": "rest.zip"})
    whole = write_zip(tmp_path / "whole.zip", images)
    assert third.json()["report"]["digest"] == json.loads(offline(whole, {}))["digest"]
    # Nothing new is the same dataset; something else of an item is a fault that names both places.
    again = server.http.post(f"/v1/datasets/{id}:append", json={"reference": "first.zip"})
    assert again.json()["id"] == id
    write_zip(shared / "wrong.zip", [("b/1.png", images[0][1])])
    wrong = server.http.post(f"/v1/datasets/{id}:append", json={"reference": "wrong.zip"})
    assert wrong.status_code == 422
    assert [fault["code"] for fault in wrong.json()["error"]["details"]] == ["conflicting_labels"]
    for body in ({"reference": "../models"}, {"upload": "up-0", "reference": "first.zip"}, {}):
        assert server.http.post(f"/v1/datasets/{id}:append", json=body).status_code == 400
    assert server.http.post("/v1/datasets/ds-0:append", json={"reference": "first.zip"}).status_code == 404
    assert server.http.post(f"/v1/datasets/{id}:append", json={"upload": "up-" + "0" * 20}).status_code == 404
    for name in (id, second.json()["id"], third.json()["id"]):
        assert server.http.get(f"/v1/datasets/{name}").status_code == 200
    assert server.http.get("/v1/datasets").json()["datasets"][0]["parent"] == second.json()["id"]


def test_more_data_computes_the_features_of_the_new_items_only(
    serve: Callable[..., Server], repository: Path, digits: Digits, tmp_path: Path
) -> None:
    server = serve(repository, trainers=1).ready()
    server.wait_live("digits", 1)
    few = server.http.post("/v1/datasets", files={"file": ("few.zip", digits.archive(30))}).json()
    first = tune(server, few["id"])
    assert reused(server, first) == []
    more = server.http.post(f"/v1/datasets/{few['id']}:append", files={"file": ("more.zip", digits.archive(40))}).json()
    assert more["items"] > few["items"]
    second = tune(server, more["id"])
    assert reused(server, second) == [{"features_reused": few["items"], "items": more["items"]}]
    # Another head on the same data computes nothing at all.
    third = tune(server, more["id"], head="other")
    assert reused(server, third) == [{"features_reused": more["items"], "items": more["items"]}]


def tune(server: Server, dataset: str, head: str = "late") -> str:
    answer = server.http.post("/v1/jobs", json={"head": head, "base": "digits", "dataset": dataset})
    assert answer.status_code == 202, answer.text
    job = server.ended(answer.json()["id"])
    assert job["state"] == "succeeded", job
    id: str = job["id"]
    return id


def reused(server: Server, job_id: str) -> list[dict[str, Any]]:
    events = server.http.get(f"/v1/jobs/{job_id}/events?limit=500").json()["events"]
    return [event["data"] for event in events if "features_reused" in event["data"]]
