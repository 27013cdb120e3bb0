"""The client's commands against a real server: what they print, and what they say when it goes wrong."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from real_server import ENVIRONMENT, GRAFT, Digits, Server, until

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

    tuned = _graft(server, "tune", str(data), "--head", "shell", "--base", "digits", "--watch")
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
    for words in (("jobs",), ("jobs", "list"), ("jobs", "list", "--state", "succeeded", "--head", "shell")):
        assert job["id"] in _graft(server, *words).stdout
    assert job["id"] not in _graft(server, "jobs", "list", "--state", "failed").stdout
    assert json.loads(_graft(server, "jobs", "show", job["id"]).stdout)["version"] == 1
    history = [json.loads(line) for line in _graft(server, "jobs", "events", job["id"]).stdout.splitlines()]
    assert [event["seq"] for event in history] == list(range(1, len(history) + 1))
    assert "shell@1 is published" in _graft(server, "jobs", "watch", job["id"]).stdout
    estimated = _graft(server, "jobs", "estimate", "--head", "h", "--base", "digits", "--dataset", job["dataset"])
    assert (estimated.returncode, "by 1 earlier jobs" in estimated.stdout) == (0, True), estimated


def test_a_version_goes_live_from_a_shell(
    trained: Path, digits: Digits, tmp_path: Path, serve: Callable[..., Server], repository: Path
) -> None:
    """Tuned, tuned again on probation, promoted, labelled, compared, and taken back."""
    server = serve(repository, keep=3).ready()
    data = tmp_path / "data.zip"
    data.write_bytes(digits.archive(12))
    tune = ("tune", str(data), "--head", "shell", "--base", "digits")
    assert _graft(server, *tune, "--watch").returncode == 0
    server.wait_live("shell", 1)
    again = _graft(server, *tune)
    assert (again.returncode, "made just this already: shell@1" in again.stdout) == (0, True), again
    new = _graft(server, *tune, "--require-new", "--priority", "5", "--on-success", "canary:10", "--watch")
    assert (new.returncode, "shell@2 is published" in new.stdout) == (0, True), new
    until("the canary's share is known", lambda: "version 2 has 10 % of" in _graft(server, "direction", "shell").stdout)
    server.wait_live("shell", 2)

    promoted = _graft(server, "promote", "shell", "2", "--by", "me", "--why", "it is good")
    assert (promoted.returncode, promoted.stdout) == (
        0,
        "shell: version 2 answers (revision 3)\n  before: 1\n",
    ), promoted
    labelled = _graft(server, "label", "shell", "old", "1:3", "2")
    assert "label old: version 1 (weight 3), version 2 (weight 1)" in labelled.stdout, labelled
    assert "compared: 1" in _graft(server, "shadow", "shell", "1").stdout
    until("it is compared", lambda: "compared rows" in _graft(server, "direction", "shell").stdout)
    assert "me promoted version 2: it is good" in _graft(server, "direction", "shell").stdout
    assert "stable" in _graft(server, "models", "shell").stdout
    assert "label old" not in _graft(server, "label", "shell", "old", "--by", "me").stdout
    assert "compared" not in _graft(server, "shadow", "shell").stdout
    assert "me forgot label old" in _graft(server, "direction", "shell").stdout
    stale = _graft(server, "rollback", "shell", "--revision", "1")
    assert (stale.returncode, "it was changed" in stale.stderr) == (1, True), stale
    assert "shell: version 1 answers" in _graft(server, "rollback", "shell").stdout
    for words, said in (
        (("rollback", "shell"), "no earlier version"),
        (("promote", "shell", "9"), "holds no version 9"),
        (("promote", "nobody", "1"), "holds no version 1"),
        (("canary", "shell", "2", "--percent", "100"), "percent"),
        (("canary", "shell", "2", "--slower", "0.5"), "slower of at least 1"),
        (("label", "shell", "stable", "1"), "by itself"),
        ((*tune, "--on-success", "celebrate"), "on_success is"),
        ((*tune, "--priority", "101"), "from -100 to 100"),
        ((*tune, "--max-seconds", "0"), "above zero"),
    ):
        failed = _graft(server, *words)
        assert (failed.returncode, said in failed.stderr, failed.stdout) == (1, True, ""), failed


def test_datasets_from_a_shell(trained: Path, digits: Digits, tmp_path: Path, serve: Callable[..., Server]) -> None:
    """Uploaded, listed, shown and deleted; and a job that is not watched is cancelled."""
    server = serve(trained).ready()
    data = tmp_path / "data.zip"
    data.write_bytes(digits.archive(12))
    uploaded = _graft(server, "datasets", "upload", str(data))
    assert uploaded.returncode == 0, uploaded.stderr
    id = uploaded.stdout.split()[1]
    for words in (("datasets",), ("datasets", "list")):
        assert id in _graft(server, *words).stdout
    assert json.loads(_graft(server, "datasets", "show", id).stdout)["report"]["items"] == 60
    begun = _graft(server, "tune", str(data), "--head", "short", "--base", "digits", "--key", "k")
    assert begun.returncode == 0, begun.stderr
    job = begun.stdout.split()[1]
    assert (
        _graft(server, "tune", str(data), "--head", "short", "--base", "digits", "--key", "k").stdout.split()[1] == job
    )
    needed = _graft(server, "datasets", "delete", id)
    assert (needed.returncode, "needed by job" in needed.stderr) == (1, True)
    cancelled = _graft(server, "jobs", "cancel", job)
    assert (cancelled.returncode, cancelled.stdout) == (0, f"job {job} cancelled\n"), cancelled.stderr
    again = _graft(server, "jobs", "cancel", job)
    assert (again.returncode, "has ended" in again.stderr) == (1, True)
    assert _graft(server, "datasets", "delete", id).returncode == 0
    assert "no dataset" in _graft(server, "datasets", "show", id).stderr


def test_errors_are_one_sentence_and_a_status(trained: Path, tmp_path: Path, serve: Callable[..., Server]) -> None:
    """No stack trace; what was wrong, with its place."""
    server = serve(trained).ready()
    bad = tmp_path / "bad.csv"
    bad.write_text("a,label\n1,x\nnan,y\n")
    refused = _graft(server, "tune", str(bad), "--head", "h", "--base", "digits")
    assert refused.returncode == 1
    assert "row 3, column a: nan is not a finite number" in refused.stderr
    for words, said in (
        (("tune", str(tmp_path / "none"), "--head", "h", "--base", "digits"), "No such file"),
        (("datasets", "upload", str(bad)), "row 3, column a"),
        (("datasets", "delete", "ds-none"), "no dataset"),
        (("predict", "digits", "[[1]]"), "expects shape"),
        (("predict", "digits", "[1"), "not JSON"),
        (("predict", "nobody", "[1]"), "Servable not found"),
        (("models", "nobody"), "no model is called"),
        (("jobs", "show", "job-none"), "job"),
        (("jobs", "watch", "job-none"), "job"),
        (("jobs", "cancel", "job-none"), "job"),
        (("jobs", "events", "job-none"), "job"),
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
