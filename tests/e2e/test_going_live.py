"""Versions on their way to everyone: compared, on trial, promoted, and back again, with requests flowing."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_server import Digits, Server, until

from service.domain.artifact import GOLDEN, HEAD, MANIFEST, Manifest, content_digest
from service.domain.heads import AnswerForm, read_head

pytestmark = pytest.mark.e2e


@pytest.fixture
def head(tuned: Path, tmp_path: Path) -> Path:
    """The directory of a head, with its version 1, in a repository of its own."""
    repository = Path(shutil.copytree(tuned, tmp_path / "models"))
    return next(place for place in repository.iterdir() if (place / "1" / HEAD).exists())


@pytest.fixture
def head_name(tuned: Path) -> str:
    return next(place for place in tuned.iterdir() if (place / "1" / HEAD).exists()).name


@pytest.fixture
def one_server(serve: Callable[..., Server], tuned: Path, head_name: str) -> Server:
    server = serve(tuned).ready()
    server.wait_live(head_name, 1)
    return server


def publish(server: Server, head: Path, version: int, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Version 1 again, with other weights and the golden answers that they give."""
    hidden = head / f".{version}"
    shutil.copytree(head / "1", hidden)
    manifest = Manifest.from_json((hidden / MANIFEST).read_text())
    with np.load(hidden / HEAD) as arrays:
        changed = {**arrays, "weights": change(arrays["weights"])}
    with np.load(hidden / GOLDEN) as pair:
        golden = dict(pair)
    (inputs,) = (array for key, array in golden.items() if "/inputs/" in key)
    body = {"signature_name": "features", "inputs": inputs.tolist()}
    features = server.http.post("/v1/models/digits:predict", json=body).json()["outputs"][manifest.cut]
    made = read_head(changed, manifest.labels, manifest.task).answer(np.array(features, np.float32), AnswerForm.PREDICT)
    golden |= {key: made[key.rpartition("/")[2]] for key in golden if "/outputs/" in key}
    for path, content in ((HEAD, changed), (GOLDEN, golden)):
        np.savez(hidden / path, **content)
    (hidden / MANIFEST).unlink()
    present = [path for path in hidden.rglob("*") if path.is_file()]
    files = {str(path.relative_to(hidden)): hashlib.sha256(path.read_bytes()).hexdigest() for path in present}
    complete = replace(manifest, files=files)
    (hidden / MANIFEST).write_text(replace(complete, digest=content_digest(complete)).to_json())
    hidden.rename(head / str(version))


@contextmanager
def asked(server: Server, model: str, images: np.ndarray) -> Iterator[Counter[str]]:
    """Ask again and again, naming no version; what came of it by the version that answered, or the status."""
    came: Counter[str] = Counter()
    over = threading.Event()

    def ask() -> None:
        number = 0
        while not over.is_set():
            image = images[number % len(images)][..., np.newaxis].tolist()
            answer = server.http.post(f"/v1/models/{model}:predict", json={"instances": [image]})
            good = answer.status_code == 200
            came[answer.headers["graft-model-version"] if good else f"{answer.status_code} {answer.text}"] += 1
            number += 1

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield came
    finally:
        over.set()
        for thread in threads:
            thread.join()


def say(server: Server, model: str, what: str, **order: Any) -> Mapping[str, Any]:
    method, path = ("PUT", what) if what.startswith("/") else ("POST", f":{what}")
    answer = server.http.request(method, f"/v1/models/{model}{path}", json=order)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def direction(server: Server, model: str) -> Mapping[str, Any]:
    return server.http.get(f"/v1/models/{model}/direction").json()  # type: ignore[no-any-return]


def test_a_bad_canary_is_taken_back_by_itself_and_nobody_was_refused(
    serve: Callable[..., Server], head: Path, digits: Digits
) -> None:
    server, name = serve(head.parent).ready(), head.name
    server.wait_live(name, 1)
    assert direction(server, name) == {
        "model": name,
        "revision": 0,
        "stable": None,
        "canary": None,
        "shadows": [],
        "labels": {},
        "before": [],
        "seen": [],
        "changes": [],
    }
    say(server, name, "promote", version=1, by="me", why="it is good")
    publish(server, head, 2, np.negative)
    server.wait_live(name, 2)
    with asked(server, name, digits.images) as came:
        until("version 1 answers", lambda: came["1"] > 20)
        assert set(came) == {"1"}, "what is published waits"
        say(server, name, "canary", version=2, percent=20.0)
        told = until("the canary is taken back", lambda: _without_canary(server, name))
        until("version 1 alone answers", lambda: _only_one(server, name, digits))
    assert set(came) == {"1", "2"}, "nobody was refused"
    assert (told["stable"], told["changes"][-1]["by"]) == (1, "the watch over canaries")
    assert "another than the stable version's" in told["changes"][-1]["why"]
    assert server.metric(f'graft_canaries_taken_back_total{{model="{name}"}}') == 1


def test_what_was_said_outlives_the_service_and_can_be_taken_back_in_one_call(
    serve: Callable[..., Server], head: Path, digits: Digits, tmp_path: Path
) -> None:
    state, name = tmp_path / "kept", head.name
    server = serve(head.parent, state, keep=3).ready()
    publish(server, head, 2, lambda weights: weights + np.float32(0))
    publish(server, head, 3, np.negative)
    for version in (1, 2, 3):
        server.wait_live(name, version)
    say(server, name, "promote", version=1)
    say(server, name, "/shadows", versions=[2, 3])
    with asked(server, name, digits.images) as came:
        seen = until("both are compared", lambda: _compared(server, name, rows=100))
    assert set(came) == {"1"}
    assert seen[2]["differed"] == 0
    assert seen[3]["differed"] > seen[3]["compared"] / 2
    say(server, name, "promote", version=2)
    say(server, name, "/labels/old", split=[{"version": 1}])
    server.kill()

    server = serve(head.parent, state).ready()
    assert _answered_by(server, name, digits) == "2", "and not the newest, from the first request on"
    assert _answered_by(server, f"{name}/labels/old", digits) == "1"
    assert _answered_by(server, f"{name}/labels/stable", digits) == "2"
    back = say(server, name, "rollback", why="second thoughts")
    assert (back["stable"], back["before"]) == (1, [])
    until("version 1 answers", lambda: _answered_by(server, name, digits) == "1")
    refused = server.http.post(f"/v1/models/{name}:rollback")
    assert refused.status_code == 409
    assert "no earlier version" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "order", "status", "words"),
    [
        ("POST", ":promote", {"version": 9}, 404, "no version 9"),
        ("POST", ":promote", {}, 400, "version"),
        ("POST", ":promote", {"verison": 1}, 400, "version"),
        ("POST", ":promote", {"version": "1"}, 400, "version"),
        ("POST", ":promote", {"version": 1, "revision": 7}, 409, "revision 0, not 7"),
        ("POST", ":canary", {"version": 1}, 409, "answers already"),
        ("POST", ":canary", {"version": 1, "percent": 100}, 400, "percent"),
        ("POST", ":canary", {"version": 1, "limits": {"slower": 0.5}}, 400, "limits"),
        ("PUT", "/shadows", {"versions": [1, 9]}, 404, "no version 9"),
        ("PUT", "/labels/x", {"version": 1, "split": []}, 400, "a label points at"),
        ("PUT", "/labels/x", {"split": []}, 400, "at least one version"),
        ("PUT", "/labels/x", {"split": [{"version": 1, "weight": 0}]}, 400, "weight"),
        ("PUT", "/labels/stable", {"version": 1}, 400, "by itself"),
    ],
)
def test_what_cannot_be_is_refused_with_words_and_changes_nothing(
    one_server: Server, head_name: str, method: str, path: str, order: Mapping[str, Any], status: int, words: str
) -> None:
    answer = one_server.http.request(method, f"/v1/models/{head_name}{path}", json=order)
    assert (answer.status_code, words in answer.json()["error"]["message"]) == (status, True), answer.text
    assert direction(one_server, head_name)["revision"] == 0


def _without_canary(server: Server, name: str) -> Mapping[str, Any] | None:
    told = direction(server, name)
    return told if told["canary"] is None else None


def _compared(server: Server, name: str, rows: int) -> dict[int, Any] | None:
    seen = {one["version"]: one for one in direction(server, name)["seen"]}
    return seen if seen and min(seen[2]["compared"], seen[3]["compared"]) >= rows else None


def _answered_by(server: Server, name: str, digits: Digits) -> str:
    body = {"instances": [digits.images[0][..., np.newaxis].tolist()]}
    answer = server.http.post(f"/v1/models/{name}:predict", json=body)
    assert answer.status_code == 200, answer.text
    return answer.headers["graft-model-version"]


def _only_one(server: Server, name: str, digits: Digits) -> bool:
    return {_answered_by(server, name, digits) for _ in range(20)} == {"1"}
