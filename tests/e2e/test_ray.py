"""Tuning on a real Ray cluster of three nodes, two of which say they have a GPU: where jobs land, what a lost node and
a cancel come to, and that none is lost or doubled.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from real_server import Digits, Server, until

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported
import ray
from ray.cluster_utils import Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(600)]

RECORDED = json.dumps({"gate": {"mode": "record"}})
"""So few items prove nothing, and a rejected candidate would be no version to count."""


@dataclass
class ThreeNodes:
    """A head without a GPU, and two nodes with one each."""

    cluster: Cluster
    url: str
    gpu_nodes: dict[str, Any]

    def add(self) -> None:
        """One more node with a GPU."""
        node = self.cluster.add_node(num_cpus=1, num_gpus=1)
        self.gpu_nodes[node.node_id] = node

    def lose(self, node_id: str, whole: bool) -> None:
        """A node's own process is killed; with it, as when a machine dies, everything that it started."""
        node = self.gpu_nodes.pop(node_id)
        (raylet,) = node.all_processes["raylet"]
        below = _descendants(raylet.process.pid) if whole else []
        self.cluster.remove_node(node, allow_graceful=False)
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def free_gpus(self) -> float:
        """What Ray says is free."""
        return float(ray.available_resources().get("GPU", 0.0))


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            for child in map(int, task.read_text().split()):
                found += [child, *_descendants(child)]
    return found


@pytest.fixture(scope="module")
def nodes() -> Iterator[ThreeNodes]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    head = {"num_cpus": 1, "num_gpus": 0, "include_dashboard": True, "dashboard_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        made = ThreeNodes(cluster, f"http://127.0.0.1:{port}", {})
        made.add()
        made.add()
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        until("Ray answers", lambda: _answers(made.url))
        until("both GPUs are free", lambda: made.free_gpus() == 2)
        yield made
    finally:
        ray.shutdown()
        cluster.shutdown()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/version", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def at_ray(nodes: ThreeNodes, repository: Path, serve: Callable[..., Server]) -> Server:
    """A service whose trainers run there."""
    server = serve(repository, ray=nodes.url, ray_python=sys.executable, trainers=4).ready()
    server.wait_live("digits", 1)
    return server


def _events(server: Server, job_id: str, type: str) -> list[dict[str, Any]]:
    events = server.http.get(f"/v1/jobs/{job_id}/events", params={"limit": 500}).json()["events"]
    return [event for event in events if event["type"] == type]


def _placed(server: Server, job_id: str, times: int = 1) -> str:
    """The node a job is on, once it has been placed so often."""

    def look() -> list[dict[str, Any]] | None:
        found = _events(server, job_id, "job.placed")
        return found if len(found) >= times else None

    return str(until(f"{job_id} is placed:\n{server.tail()}", look)[-1]["data"]["node"])


def _made(repository: Path) -> dict[str, list[str]]:
    """Versions published, as head -> the jobs that made them."""
    made: dict[str, list[str]] = {}
    for manifest in repository.glob("*/*/assets.extra/graft/manifest.json"):
        job_id = json.loads(manifest.read_text())["provenance"].get("job_id")
        if job_id is not None:
            made.setdefault(manifest.parents[3].name, []).append(job_id)
    return made


def test_jobs_land_only_where_a_gpu_is_and_the_third_waits_for_one(
    at_ray: Server, nodes: ThreeNodes, repository: Path, digits: Digits
) -> None:
    data = digits.archive(20)
    ids = [at_ray.submit(data, f"head-{number}", recipe=RECORDED)["id"] for number in range(3)]
    for id in ids:
        job = at_ray.ended(id)
        assert (job["state"], job["version"]) == ("succeeded", 1), job
        (placed,) = _events(at_ray, id, "job.placed")
        assert placed["data"]["node"] in nodes.gpu_nodes
        assert placed["data"]["gpus"] == "0"
        phases = [event["data"]["phase"] for event in _events(at_ray, id, "job.phase")]
        assert phases[0] == "waiting"
        assert phases[-1] == "publish"
    assert _made(repository) == {f"head-{number}": [id] for number, id in enumerate(ids)}
    at_ray.wait_live("head-0", 1)
    instances = digits.images[:4, ..., np.newaxis].astype(float).tolist()
    assert at_ray.http.post("/v1/models/head-0:predict", json={"instances": instances}).status_code == 200


@pytest.mark.parametrize("whole", [True, False], ids=["the machine", "its raylet alone"])
def test_a_node_that_is_killed_mid_job_ends_in_one_right_version(
    at_ray: Server, nodes: ThreeNodes, repository: Path, digits: Digits, whole: bool
) -> None:
    """Where only Ray's process dies, the trainer either goes with it or finishes; there is one version both ways."""
    id = at_ray.submit(digits.archive(100), "survivor", recipe=RECORDED)["id"]
    lost = _placed(at_ray, id)
    until("it is at work", lambda: at_ray.job(id)["phase"] not in (None, "waiting"))
    nodes.lose(lost, whole)
    began = time.monotonic()
    job = at_ray.ended(id)
    print(f"from the node's death to the job's end: {time.monotonic() - began:.1f} s")
    nodes.add()
    assert (job["state"], job["version"]) == ("succeeded", 1), job
    placed = [event["data"]["node"] for event in _events(at_ray, id, "job.placed")]
    assert placed[0] == lost
    assert placed[-1] in nodes.gpu_nodes or not whole
    assert lost not in placed[1:]
    assert _made(repository) == {"survivor": [id]}
    at_ray.wait_live("survivor", 1)
    until("both GPUs are free", lambda: nodes.free_gpus() == 2)


def test_a_cancel_frees_the_gpu(at_ray: Server, nodes: ThreeNodes, repository: Path, digits: Digits) -> None:
    ids = [at_ray.submit(digits.archive(100), f"off-{number}", recipe=RECORDED)["id"] for number in range(2)]
    for id in ids:
        _placed(at_ray, id)
    waiting = at_ray.submit(digits.archive(30), "never", recipe=RECORDED)["id"]
    until("it waits", lambda: at_ray.job(waiting)["phase"] == "waiting")
    began = time.monotonic()
    for id in (waiting, *ids):
        assert at_ray.http.post(f"/v1/jobs/{id}:cancel").is_success
    until("both GPUs are free", lambda: nodes.free_gpus() == 2)
    print(f"from the cancel to both GPUs free: {time.monotonic() - began:.1f} s")
    for id in (waiting, *ids):
        assert at_ray.ended(id)["state"] == "cancelled"
    assert _events(at_ray, waiting, "job.placed") == []
    assert _made(repository) == {}


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_fifty_jobs_on_two_gpus_finish_fairly(
    nodes: ThreeNodes, repository: Path, digits: Digits, serve: Callable[..., Server]
) -> None:
    """One head asks for forty at first, ten others for one each after it; the one with many keeps none of them out."""
    server = serve(repository, ray=nodes.url, ray_python=sys.executable, trainers=2).ready()
    server.wait_live("digits", 1)
    began = time.monotonic()
    heads = ["greedy"] * 40 + [f"modest-{number}" for number in range(10)]
    data = digits.archive(10)
    ids = [
        server.submit(data, head, recipe=json.dumps({"seed": seed, "gate": {"mode": "record"}}))["id"]
        for seed, head in enumerate(heads)
    ]
    until("all have ended", lambda: all(server.job(id)["state"] == "succeeded" for id in ids), 3000)
    print(f"50 jobs on two GPUs: {time.monotonic() - began:.0f} s")
    jobs = [server.job(id) for id in ids]
    made = _made(repository)
    assert sorted(made["greedy"]) == sorted(ids[:40])
    assert all(made[head] == [id] for head, id in zip(heads[40:], ids[40:], strict=True))
    ends = sorted(job["finished"] for job in jobs)
    places = [ends.index(job["finished"]) for job in jobs[40:]]
    print(f"the ten others ended as number {places} of 50")
    assert max(places) < 30
