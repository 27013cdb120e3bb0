"""Large files arrive without being in the service's memory, and go on where they were after kill -9."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from real_server import Server

pytestmark = pytest.mark.e2e
MEBIBYTE = 2**20
GROWTH = 100 * MEBIBYTE
"""What a service may grow by, however large the file."""
SIDE = 2048


def write_images(path: Path, size: int) -> int:
    """A zip of class folders with at least so many bytes of noise, which nothing compresses; how many images it has."""
    noise = np.random.default_rng(0).integers(0, 256, size=(SIDE, SIDE, 3), dtype=np.uint8)
    count = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        while path.stat().st_size < size:
            stream = io.BytesIO()
            Image.fromarray(np.roll(noise, count * 7, axis=1)).save(stream, "PNG", compress_level=0)
            archive.writestr(f"{'ab'[count % 2]}/{count:04}.png", stream.getvalue())
            count += 1
    return count


def memory(pid: int, what: str) -> int:
    """Bytes: ``VmRSS`` now, ``VmHWM`` at most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {what} of {pid}")


def parts(path: Path, part_bytes: int) -> int:
    return -(-path.stat().st_size // part_bytes)


def put(server: Server, upload: dict[str, Any], path: Path, number: int) -> None:
    """One part, on a connection of its own: of several workers any may get it."""
    with path.open("rb") as file:
        file.seek((number - 1) * upload["part_bytes"])
        data = file.read(upload["part_bytes"])
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    headers = {"content-digest": f"sha-256=:{digest}:"}
    url = f"{server.rest}/v1/uploads/{upload['id']}/parts/{number}"
    answer = httpx.put(url, content=data, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text


def in_parts(server: Server, path: Path) -> dict[str, Any]:
    upload = begin(server, path)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda number: put(server, upload, path, number), range(1, upload["part_count"] + 1)))
    return complete(server, upload)


def begin(server: Server, path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    order = {"filename": path.name, "size": path.stat().st_size, "digest": digest}
    answer = server.http.post("/v1/uploads", json=order)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def complete(server: Server, upload: dict[str, Any]) -> dict[str, Any]:
    answer = server.http.post(f"/v1/uploads/{upload['id']}:complete", timeout=600)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def in_one(server: Server, path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        answer = server.http.post("/v1/datasets", files={"file": (path.name, file)}, timeout=900)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("way", [in_one, in_parts])
@pytest.mark.parametrize(
    "size", [300 * MEBIBYTE, pytest.param(5 * 1024 * MEBIBYTE, marks=pytest.mark.soak)], ids=["300 MiB", "5 GiB"]
)
def test_a_large_file_is_never_in_the_memory_of_the_service(
    size: int,
    way: Callable[[Server, Path], dict[str, Any]],
    serve: Callable[..., Server],
    tmp_path: Path,
) -> None:
    (tmp_path / "models").mkdir()
    server = serve(tmp_path / "models")
    path = tmp_path / "large.zip"
    count = write_images(path, size)
    before = memory(server.process.pid, "VmRSS")
    dataset = way(server, path)
    grown = memory(server.process.pid, "VmHWM") - before
    assert (dataset["items"], dataset["size_bytes"]) == (count, path.stat().st_size)
    assert grown < GROWTH, f"it grew by {grown / MEBIBYTE:.0f} MiB"
    assert list((tmp_path / "state" / "uploads").iterdir()) == []
    assert server.http.delete(f"/v1/datasets/{dataset['id']}").status_code == 204


def test_an_upload_goes_on_after_kill_9_where_any_worker_takes_any_part(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    path = tmp_path / "some.zip"
    write_images(path, 60 * MEBIBYTE)
    first = serve(tmp_path / "models")
    upload = begin(first, path)
    for number in range(2, upload["part_count"] + 1, 2):
        put(first, upload, path, number)
    first.kill()
    second = serve(tmp_path / "models", workers=2)
    found = second.http.get(f"/v1/uploads/{upload['id']}").json()
    assert found["missing"] == list(range(1, upload["part_count"] + 1, 2))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: put(second, upload, path, number), found["missing"]))
    dataset = complete(second, upload)
    assert dataset["size_bytes"] == path.stat().st_size
    # Whoever missed the answer, from whichever worker, gets it again.
    for _ in range(4):
        again = httpx.post(f"{second.rest}/v1/uploads/{upload['id']}:complete", timeout=60)
        assert again.json()["id"] == dataset["id"]
