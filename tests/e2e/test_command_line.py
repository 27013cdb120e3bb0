"""The client's commands against a real server: what they print, and what they say when it goes wrong."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from real_server import ENVIRONMENT, GRAFT, Digits, Server

pytestmark = pytest.mark.e2e


def _graft(server: Server, *words: str) -> subprocess.CompletedProcess[str]:
    command = [GRAFT, *words, "--url", server.rest]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def test_models_predict_tune_and_jobs(
    trained: Path, digits: Digits, tmp_path: Path, serve: Callable[..., Server], repository: Path
) -> None:
    """Everything the API does, from a shell."""
    server = serve(repository).ready()
    data = tmp_path / "data.zip"
    data.write_bytes(digits.archive(12))

    tuned = _graft(server, "tune", "shell", str(data), "--base", "digits")
    assert tuned.returncode == 0, tuned.stderr
    assert "shell@1 is published" in tuned.stdout
    server.wait_live("shell", 1)

    models = _graft(server, "models").stdout
    assert "shell" in models
    assert "digits@1" in models
    image = digits.images[:1, ..., None].tolist()
    answer = json.loads(_graft(server, "predict", "shell", json.dumps(image)).stdout)
    assert len(answer["predictions"][0]["probabilities"]) == 5

    (job,) = server.http.get("/v1/jobs").json()["jobs"]
    assert job["id"] in _graft(server, "jobs").stdout
    assert json.loads(_graft(server, "jobs", job["id"]).stdout)["version"] == 1


def test_errors_are_one_sentence_and_a_status(trained: Path, tmp_path: Path, serve: Callable[..., Server]) -> None:
    """No stack trace; what was wrong, with its place."""
    server = serve(trained).ready()
    bad = tmp_path / "bad.csv"
    bad.write_text("a,label\n1,x\nnan,y\n")
    refused = _graft(server, "tune", "h", str(bad), "--base", "digits")
    assert refused.returncode == 1
    assert "row 3, column a: nan is not a finite number" in refused.stderr
    for words, said in (
        (("tune", "h", str(tmp_path / "none"), "--base", "digits"), "No such file"),
        (("predict", "digits", "[[1]]"), "expects shape"),
        (("predict", "digits", "[1"), "not JSON"),
        (("predict", "nobody", "[1]"), "Servable not found"),
        (("models", "nobody"), "no model is called"),
        (("jobs", "job-none"), "job"),
    ):
        failed = _graft(server, *words)
        assert failed.returncode == 1, words
        assert said in failed.stderr, failed.stderr
        assert "Traceback" not in failed.stderr
    server.kill()
    gone = _graft(server, "models")
    assert (gone.returncode, "cannot be reached" in gone.stderr) == (1, True)


def test_a_wrong_setting_ends_the_server_with_a_sentence(tmp_path: Path, trained: Path) -> None:
    """A misspelt flag, variable or key, a port out of range, a state directory in use."""
    config = tmp_path / "graft.toml"
    config.write_text("rest_prot = 1\n")
    for extra, environment, said in (
        (["--config", str(config)], {}, "did you mean 'rest_port'"),
        ([], {"GRAFT_REST_PROT": "1"}, "did you mean 'rest_port'"),
        (["--rest-port", "70000"], {}, "between 0 and 65535"),
        (["--poll-seconds", "soon"], {}, "--poll-seconds"),
    ):
        command = [GRAFT, "serve", "--repository", str(trained), "--state", str(tmp_path / "s"), *extra]
        ended = subprocess.run(command, env={**ENVIRONMENT, **environment}, capture_output=True, text=True, check=False)
        assert ended.returncode == 2, ended
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr


def test_two_servers_cannot_share_a_state_directory_or_a_port(
    trained: Path, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """The second one ends at once and says why."""
    first = serve(trained, tmp_path / "state").ready()
    rest, rpc = first.rest.rsplit(":", 1)[1], first.grpc.rsplit(":", 1)[1]
    for state, ports, said in (
        ("state", ("0", "0"), "state directory"),
        ("other", (rest, "0"), "REST cannot listen"),
        ("another", ("0", rpc), "gRPC cannot listen"),
    ):
        command = [GRAFT, "serve", "--repository", str(trained), "--state", str(tmp_path / state)]
        command += ["--rest-port", ports[0], "--grpc-port", ports[1]]
        second = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode == 1
        assert said in second.stderr
        assert "Traceback" not in second.stderr
