"""Data that cannot be tuned on is refused whole, with every fault and its place, and leaves nothing behind."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from real_server import ENVIRONMENT, GRAFT, Digits, Server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all the refusals."""
    place = tmp_path_factory.mktemp("refusing")
    command = [GRAFT, "serve", "--repository", str(trained), "--state", str(place / "state")]
    command += ["--rest-port", "0", "--grpc-port", "0", "--drain-seconds", "0"]
    log = place / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    words = process.stdout.readline().split()
    running = Server(process, log, words[-3], words[-1])
    yield running.ready()
    running.http.close()
    running.terminate()
    process.stdout.close()


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return buffer.getvalue()


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _csv(rows: list[str], width: int = 64) -> bytes:
    return "\n".join([",".join([*(f"p{i}" for i in range(width)), "label"]), *rows]).encode()


def _row(label: str, width: int = 64, value: str = "1") -> str:
    return ",".join([value] * width + [label])


PNG = Digits(np.arange(64, dtype=np.uint8).reshape(1, 8, 8) * 3, np.array([5])).archive(1)
ONE_IMAGE = zipfile.ZipFile(io.BytesIO(PNG)).read("5/0000.png")

BAD: dict[str, tuple[bytes, list[str]]] = {
    "not an archive": (b"PK\x03\x04 this is no archive at all", ["file"]),
    "empty file": (b"", ["file"]),
    "archive without classes": (_zip({"a.png": ONE_IMAGE, "b.png": ONE_IMAGE}), ["a.png"]),
    "archive with nothing in it": (_zip({}), ["file"]),
    "one class": (_zip({f"cat/{i}.png": ONE_IMAGE for i in range(4)}), ["cat"]),
    "two unreadable images in two classes": (
        _zip({
            "a/1.png": ONE_IMAGE, "a/2.png": ONE_IMAGE, "a/bad.png": ONE_IMAGE[:40],
            "b/1.png": ONE_IMAGE, "b/2.png": ONE_IMAGE, "b/worse.png": b"no image",
        }),
        ["a/bad.png", "b/worse.png"],
    ),
    "NaN in two cells": (
        _csv([_row("a"), _row("a", value="2"), _row("b"), "nan," + _row("b", 63), "inf," + _row("a", 63)]),
        ["row 5", "row 6"],
    ),
    "missing cell": (_csv([_row("a"), _row("a"), _row("b"), "," + _row("b", 63)]), ["row 5"]),
    "ragged row": (_csv([_row("a"), _row("a"), _row("b"), _row("b", 60)]), ["row 5"]),
    "no label column": (b"x,y\n1,2\n3,4\n", ["label"]),
    "wrong width for the base": (_csv([_row(c, 10) for c in "aabb"], 10), ["p0"]),
    "x and y of different length": (_npz(x=np.ones((4, 64)), y=np.array([0, 1, 1])), ["y"]),
    "NaN in an array": (_npz(x=np.where(np.eye(4, 64) > 0, np.nan, 1.0), y=np.array([0, 0, 1, 1])), ["item"]),
    "an array of the wrong width": (_npz(x=np.ones((4, 10)), y=np.array([0, 0, 1, 1])), ["x"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_each_bad_upload_is_refused_with_every_fault_in_its_place(case: str, server: Server) -> None:
    """422, an envelope that names every place, and neither row nor file afterwards."""
    data, places = BAD[case]
    answer = server.http.post("/v1/models/digits:tune", data={"head": "h"}, files={"file": ("upload", data)})
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["code"] == "invalid_dataset"
    said = [f"{fault['place']} {fault['message']}" for fault in error["details"]]
    for place in places:
        assert any(place in text for text in said), (place, said)
    assert error["fault_count"] == len(error["details"])

    assert server.http.get("/v1/datasets").json()["datasets"] == []
    assert server.http.get("/v1/jobs").json()["jobs"] == []
    state = server.log.parent / "state"
    left = [path for folder in ("incoming", "datasets", "jobs") for path in (state / folder).rglob("*")]
    assert left == []


def test_bad_data_for_no_particular_base_is_refused_the_same_way(server: Server) -> None:
    """``POST /v1/datasets`` uses the same eyes."""
    answer = server.http.post("/v1/datasets", files={"file": ("x.zip", _zip({"a/1.png": b"no"}))})
    assert answer.status_code == 422
    places = {fault["place"] for fault in answer.json()["error"]["details"]}
    assert "a/1.png" in places
