"""Two real servers on one real S3 server, with requests flowing, through everything that happens to either."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from real_server import ENVIRONMENT, Digits, Server, until
from s3_server import OwnBucket, environment, s3_server

pytestmark = pytest.mark.e2e

# Version v answers v * x: an answer says by its value who gave it.
VERSIONS = """
import sys, tensorflow as tf
class Scaled(tf.Module):
    def __init__(self, version):
        self.factor = tf.Variable(float(version))
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def scaled(self, x):
        return {"y": self.factor * x}
for version in range(1, 6):
    module = Scaled(version)
    tf.saved_model.save(module, f"{sys.argv[1]}/{version}", signatures=module.scaled)
"""


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory a version of the same small model."""
    root = tmp_path_factory.mktemp("versions")
    subprocess.run([sys.executable, "-c", VERSIONS, str(root)], check=True, env=ENVIRONMENT, capture_output=True)
    return root


@pytest.fixture
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@dataclass
class Traffic:
    """What one client got from one server, request by request."""

    answers: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@contextmanager
def traffic(server: Server, model: str) -> Iterator[Traffic]:
    """Requests to a server for as long as the block lasts."""
    got, stop = Traffic(), threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.rest, timeout=60) as client:
            while not stop.is_set():
                try:
                    answer = client.post(f"/v1/models/{model}:predict", json={"instances": [[1.0] * 4]})
                except httpx.HTTPError as error:
                    got.failures.append(repr(error))
                    continue
                if answer.status_code == 200:
                    got.answers.append(answer.json()["predictions"][0][0])
                else:
                    got.failures.append(answer.text)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield got
    finally:
        stop.set()
        thread.join()


def gone(server: Server, model: str, version: int) -> bool:
    status = server.http.get(f"/v1/models/{model}/versions/{version}")
    return status.status_code == 404 or status.json()["model_version_status"][0]["state"] == "END"


def test_two_servers_follow_one_store_and_neither_fails_a_request_whatever_happens_to_the_other(
    serve: Callable[..., Server], versions: Path, endpoint: str, tmp_path: Path
) -> None:
    bucket = OwnBucket.made(endpoint)
    bucket.put_folder(versions / "1", "scaled/1")

    def started(name: str) -> Server:
        return serve(bucket.url, state=tmp_path / name, environment=environment(endpoint)).ready()

    one, other = started("one"), started("other")
    with traffic(one, "scaled") as ones:
        with traffic(other, "scaled") as others:
            for version in (2, 3):
                bucket.put_folder(versions / str(version), f"scaled/{version}")
                for server in (one, other):
                    server.wait_live("scaled", version)
            bucket.remove("scaled/3/")
            for server in (one, other):
                server.wait_live("scaled", 2)
                until("3 is gone", lambda server=server: gone(server, "scaled", 3))
        other.kill()
        bucket.put_folder(versions / "4", "scaled/4")
        one.wait_live("scaled", 4)
        until("it answers", lambda: ones.answers[-1:] == [4.0])
        again = started("other")
        again.wait_live("scaled", 4)
    assert (ones.failures, others.failures) == ([], [])
    assert set(ones.answers) == {1.0, 2.0, 3.0, 4.0}
    assert {1.0, 2.0, 3.0} >= set(others.answers) >= {2.0, 3.0}


def test_a_store_that_goes_away_and_comes_back_costs_no_request(
    serve: Callable[..., Server], versions: Path, tmp_path: Path
) -> None:
    with s3_server() as endpoint:
        bucket = OwnBucket.made(endpoint)
        bucket.put_folder(versions / "1", "scaled/1")
        server = serve(bucket.url, environment=environment(endpoint)).ready()
        assert server.metric("graft_store_reachable") == 1.0
        assert server.http.get("/readyz").json()["reason"] == "ready"
    # The store is gone now.
    with traffic(server, "scaled") as got:
        until("it is said", lambda: server.metric("graft_store_reachable") == 0.0)
        until("it is said", lambda: "what is served may be old" in server.http.get("/readyz").json()["reason"])
        assert server.http.get("/readyz").status_code == 200
        so_far = len(got.answers)
        until("it goes on answering", lambda: len(got.answers) > so_far + 10)
    assert got.failures == []
    assert server.terminate() == 0
    again = serve(bucket.url, environment=environment(endpoint)).ready()
    answer = again.http.post("/v1/models/scaled:predict", json={"instances": [[1.0] * 4]})
    assert answer.json()["predictions"] == [[1.0] * 4], "what was held is served by a server that never saw the store"


def test_what_one_server_tunes_every_server_has(
    serve: Callable[..., Server], trained: Path, digits: Digits, endpoint: str, tmp_path: Path
) -> None:
    bucket = OwnBucket.made(endpoint)
    bucket.put_folder(trained / "digits", "digits")
    one, other = (
        serve(bucket.url, state=tmp_path / name, environment=environment(endpoint)).ready() for name in ("one", "other")
    )
    job = one.ended(one.submit(digits.archive(each=40), head="odd")["id"])
    assert job["state"] == "succeeded", job
    assert job["version"] == 1
    for server in (one, other):
        server.wait_live("odd", 1)
    assert bucket.keys("odd/.publishing/") == []
    assert bucket.keys(".datasets/") != []
    assert not any((tmp_path / "one/outbox").iterdir())
    recorded = '{"gate": {"mode": "record"}}'
    job = other.ended(other.submit(digits.archive(each=40, skip=5), head="odd", recipe=recorded)["id"])
    assert (job["state"], job["version"]) == ("succeeded", 2), job
    for server in (one, other):
        server.wait_live("odd", 2)


def test_the_workers_of_one_server_share_one_mirror(
    serve: Callable[..., Server], versions: Path, endpoint: str, tmp_path: Path
) -> None:
    bucket = OwnBucket.made(endpoint)
    bucket.put_folder(versions / "1", "scaled/1")
    server = serve(bucket.url, environment=environment(endpoint), workers=2).ready()
    with traffic(server, "scaled") as got:
        bucket.put_folder(versions / "2", "scaled/2")
        until("it answers", lambda: got.answers[-1:] == [2.0])
    assert got.failures == []
