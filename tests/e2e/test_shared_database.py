"""Two services on one PostgreSQL, one repository and one directory of data, for real."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from postgres import Postgres
from real_server import ENVIRONMENT, GRAFT, Digits, Server, until

pytestmark = pytest.mark.e2e


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _trainer(states: list[Path], job_id: str) -> tuple[int, int] | None:
    """Whose trainer is at work on a job, and its process group."""
    for place, state in enumerate(states):
        lock = state / "jobs" / job_id / "lock"
        if lock.exists() and (text := lock.read_text().strip()) and _group_lives(int(text)):
            return place, int(text)
    return None


@pytest.mark.timeout(300)
def test_the_job_of_a_killed_service_ends_once_at_the_other(
    repository: Path, digits: Digits, serve: Callable[..., Server], postgres: Postgres, tmp_path: Path
) -> None:
    url, states = postgres.database(), [tmp_path / "state-a", tmp_path / "state-b"]
    services = [serve(repository, state, database=url, datasets=tmp_path / "data").ready() for state in states]
    asked = services[0].submit(digits.archive(50), "shared")
    assert services[1].job(asked["id"])["head"] == "shared"
    place, group = until("a trainer at work", lambda: _trainer(states, asked["id"]))
    services[place].kill()
    other = services[1 - place]
    ended = other.ended(asked["id"])
    assert (ended["state"], ended["version"], ended["attempt"]) == ("succeeded", 1, 2), ended
    events = other.http.get(f"/v1/jobs/{asked['id']}/events", params={"limit": 500}).json()["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["type"] for event in events].count("job.succeeded") == 1
    other.wait_live("shared", 1)
    until("the lost service's trainer is gone", lambda: not _group_lives(group))
    assert sorted(folder.name for folder in (repository / "shared").iterdir() if folder.name.isdigit()) == ["1"]

    order = {"head": "shared", "base": "digits", "dataset": ended["dataset"]}
    again = other.http.post("/v1/jobs", json=order)
    assert (again.status_code, again.json()["id"], again.json()["reused"]) == (200, asked["id"], True)
    assert other.terminate() == 0


def test_a_shared_database_without_shared_data_is_refused(tmp_path: Path, postgres: Postgres) -> None:
    command = [GRAFT, "serve", "--repository", str(tmp_path / "models"), "--state", str(tmp_path / "state")]
    command += ["--rest-port", "0", "--grpc-port", "0", "--database", postgres.database()]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "--datasets" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_not_there_is_refused_and_its_password_not_shown(tmp_path: Path) -> None:
    command = [GRAFT, "serve", "--repository", str(tmp_path / "models"), "--state", str(tmp_path / "state")]
    command += ["--rest-port", "0", "--grpc-port", "0", "--datasets", str(tmp_path / "data")]
    environment = {**ENVIRONMENT, "GRAFT_DATABASE": "postgresql://graft:geheim@127.0.0.1:1/graft"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "does not answer" in done.stderr
    assert "geheim" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
