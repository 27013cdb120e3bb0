"""Tuning for real: a head goes live from an upload, survives kills at random moments, and is cancelled for good."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from real_server import Digits, Server, until

from service.domain.jobs import MOVES, JobState

pytestmark = pytest.mark.e2e

KILLS_A_JOB = 2


def _trainer(state: Path, job_id: str) -> int | None:
    """The process id of a job's trainer, if there is one: also its process group."""
    try:
        pid = int((state / "jobs" / job_id / "lock").read_text() or 0)
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if job_id.encode() in command else None


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _published(repository: Path, head: str) -> dict[int, str]:
    """Versions of a head and the job each names as its maker."""
    return {
        int(folder.name): json.loads((folder / "assets.extra/graft/manifest.json").read_text())["provenance"]["job_id"]
        for folder in (repository / head).iterdir()
        if folder.name.isdigit()
    }


def _check_history(server: Server, job_id: str) -> list[str]:
    """A job's events are whole, in order, and tell of legal moves alone; the states it went through."""
    events = server.http.get(f"/v1/jobs/{job_id}/events", params={"limit": 500}).json()["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    states = [JobState.QUEUED]
    for event in events:
        kind = event["type"].removeprefix("job.")
        if "from" in event["data"] and kind in set(JobState):
            assert event["data"]["from"] == states[-1], events
            assert JobState(kind) in MOVES[states[-1]], events
            states.append(JobState(kind))
    return [str(state) for state in states]


def test_an_upload_becomes_a_live_head_that_shares_its_base(
    repository: Path, digits: Digits, serve: Callable[..., Server]
) -> None:
    """Two heads and their base are one loaded graph; the answers are right and the same over any batch company."""
    server = serve(repository).ready()
    for head, seed in (("one", 1), ("two", 2)):
        job = server.ended(server.submit(digits.archive(50), head, recipe=json.dumps({"seed": seed}))["id"])
        assert (job["state"], job["version"]) == ("succeeded", 1), job
        assert job["gate"]["verdict"] in ("passed", "insufficient")
        assert job["recipe"]["seed"] == seed
        server.wait_live(head, 1)
        assert _check_history(server, job["id"])[-1] == "succeeded"
    assert server.metric("graft_loaded_graphs") == 1
    models = {model["name"]: model for model in server.http.get("/v1/models").json()["models"]}
    graphs = {one["versions"][0]["graph"] for one in models.values()}
    assert len(graphs) == 1
    assert models["one"]["base"] == "digits@1"
    assert models["one"]["classes"] == ["5", "6", "7", "8", "9"]

    unseen = [np.flatnonzero(digits.labels == label)[100:110] for label in range(5, 10)]
    rows = np.concatenate(unseen)
    instances = digits.images[rows][..., np.newaxis].astype(float).tolist()
    together = server.http.post("/v1/models/one:predict", json={"instances": instances}).json()["predictions"]
    right = [row["classes"][0] == str(label) for row, label in zip(together, digits.labels[rows], strict=True)]
    assert np.mean(right) >= 0.9
    alone = [
        server.http.post("/v1/models/one:predict", json={"instances": [row]}).json()["predictions"][0]
        for row in instances[:5]
    ]
    assert np.allclose([r["probabilities"] for r in alone], [r["probabilities"] for r in together[:5]], atol=1e-4)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [6, pytest.param(20, marks=pytest.mark.soak)])
def test_kills_at_random_moments_lose_tear_and_double_nothing(
    repository: Path, tmp_path: Path, digits: Digits, serve: Callable[..., Server], kills: int
) -> None:
    """``kill -9`` of trainer and service in turn: every job ends well, in one version, with a legal history."""
    rng = random.Random(20)
    state = tmp_path / "state"
    server = serve(repository, state).ready()
    jobs: list[str] = []
    groups: set[int] = set()
    for number in range(kills // KILLS_A_JOB):
        # So few items prove nothing, and a rejected candidate would be no version to count.
        recorded = '{"gate": {"mode": "record"}}'
        job_id = server.submit(digits.archive(12, skip=number), "hardy", recipe=recorded)["id"]
        jobs.append(job_id)
        for kill in range(KILLS_A_JOB):
            pid = _at_work(server, state, job_id)
            if pid is None:
                break  # it was faster than this test: that job is done, and there is nothing left to kill
            groups.add(pid)
            _wait_a_moment(rng.uniform(0.0, 5.0), pid)
            if kill % 2:
                server.kill()
                server = serve(repository, state).ready()
            elif _group_lives(pid):
                os.kill(pid, signal.SIGKILL)
            until("the killed trainer is gone", lambda p=pid: not _group_lives(p))
        ended = server.ended(job_id)
        assert ended["state"] == "succeeded", (ended, server.tail())
        _check_history(server, job_id)
    makers = _published(repository, "hardy")
    assert sorted(makers.values()) == sorted(jobs), "each job made exactly one version"
    assert {server.job(job)["version"] for job in jobs} == set(makers)
    server.wait_live("hardy", max(makers))
    assert not [group for group in groups if _group_lives(group)]
    until("work areas are discarded", lambda: not list((state / "jobs").iterdir()))


def _at_work(server: Server, state: Path, job_id: str) -> int | None:
    """The job's trainer, as soon as there is one, or None when the job has ended."""
    found = until("a trainer is at work", lambda: _trainer(state, job_id) or server.job(job_id)["finished"])
    return found if isinstance(found, int) else None


def _wait_a_moment(seconds: float, trainer: int) -> None:
    """A random moment in a trainer's life, or its end if that comes first."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and _group_lives(trainer):
        time.sleep(0.01)


def test_cancel_ends_the_process_group_before_it_says_so(
    repository: Path, tmp_path: Path, digits: Digits, serve: Callable[..., Server]
) -> None:
    """CANCELLED is the truth about processes; nothing is published, and the next job runs."""
    state = tmp_path / "state"
    server = serve(repository, state).ready()
    first = server.submit(digits.archive(20), "stopped")["id"]
    waiting = server.submit(digits.archive(20, skip=1), "stopped")["id"]
    pid = until("a trainer is at work", lambda: _trainer(state, first))

    assert server.http.post(f"/v1/jobs/{waiting}:cancel").status_code == 202
    assert server.job(waiting)["state"] == "cancelled", "a queued job is cancelled at once"
    answer = server.http.post(f"/v1/jobs/{first}:cancel")
    assert answer.status_code == 202
    until("it is cancelled", lambda: server.job(first)["state"] == "cancelled")
    assert not _group_lives(pid)
    assert _check_history(server, first)[-1] == "cancelled"
    again = server.http.post(f"/v1/jobs/{first}:cancel")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    assert not (repository / "stopped").exists() or not _published(repository, "stopped")


def test_a_stopped_service_hands_its_job_on(
    repository: Path, tmp_path: Path, digits: Digits, serve: Callable[..., Server]
) -> None:
    """SIGTERM in the middle of a job: the trainer is gone, and the next start finishes the job."""
    state = tmp_path / "state"
    server = serve(repository, state).ready()
    job_id = server.submit(digits.archive(20), "handed")["id"]
    pid = until("a trainer is at work", lambda: _trainer(state, job_id))
    assert server.terminate() == 0
    assert not _group_lives(pid)
    server = serve(repository, state).ready()
    assert server.ended(job_id)["state"] == "succeeded"
    assert list(_published(repository, "handed").values()) == [job_id]
