"""``graft serve --workers 2``: real processes behind the same ports, one of them lost now and then."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from once import once
from real_server import ENVIRONMENT, Digits, Server, until

from service.tensorflow_protos import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
)

pytestmark = pytest.mark.e2e

# Version v answers v * x: an answer says by its value who gave it.
BUILD = """
import sys, tensorflow as tf
class Scaled(tf.Module):
    def __init__(self, version):
        self.factor = tf.Variable(float(version))
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def scaled(self, x):
        return {"y": self.factor * x}
for version in (1, 2):
    module = Scaled(version)
    tf.saved_model.save(module, f"{sys.argv[1]}/{version}", signatures=module.scaled)
"""
CONNECTIONS = 30
"""New ones, each of which the system gives to either worker: that all go to one happens once in 2^29 times."""


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(place: Path) -> None:
        subprocess.run([sys.executable, "-c", BUILD, str(place)], check=True, env=ENVIRONMENT, capture_output=True)

    return once(tmp_path_factory, "workers", make)


@pytest.fixture
def models(versions: Path, tmp_path: Path) -> Path:
    """A repository whose model ``m`` has its first version."""
    publish(versions, tmp_path / "repository", 1)
    return tmp_path / "repository"


@pytest.fixture
def crew(serve: Callable[..., Server], models: Path) -> Server:
    """Two workers, ready."""
    return serve(models, workers=2).ready()


def publish(versions: Path, repository: Path, version: int) -> None:
    place = repository / "m"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copytree(versions / str(version), place / f".{version}")
    (place / f".{version}").rename(place / str(version))


def workers(server: Server) -> dict[str, int]:
    """The process that has each place now, by what the log says."""
    return {name: int(pid) for name, pid in re.findall(r"(worker \d) is process (\d+)", server.log.read_text())}


def ask(server: Server, model: str = "m") -> float:
    """What a connection of its own is answered."""
    answer = httpx.post(f"{server.rest}/v1/models/{model}:predict", json={"instances": [1.0]}, timeout=60)
    assert answer.status_code == 200, answer.text
    return float(answer.json()["predictions"][0])


def counted(server: Server) -> float:
    """All requests that were counted; asked again when the question lay with a worker that was killed."""
    try:
        page = httpx.get(f"{server.rest}/metrics", timeout=60).text
    except httpx.TransportError:
        return counted(server)
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith("graft_requests_total{"))


def there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def replaced(server: Server, name: str, pid: int) -> None:
    """Wait until another process has the place, and the crew is whole again."""
    until(f"{name} is replaced:\n{server.tail()}", lambda: workers(server)[name] != pid)
    until(f"ready again:\n{server.tail()}", lambda: httpx.get(f"{server.rest}/readyz").status_code == 200)


@contextmanager
def load(server: Server) -> Iterator[Counter[str]]:
    """Four clients, each request on a connection of its own; what became of them."""
    seen: Counter[str] = Counter()
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            try:
                answer = httpx.post(f"{server.rest}/v1/models/m:predict", json={"instances": [1.0]}, timeout=60)
                seen[str(answer.status_code)] += 1
            except httpx.TransportError:
                seen["broken"] += 1

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_both_answer_on_both_ports_and_are_counted_together(crew: Server) -> None:
    for _ in range(CONNECTIONS):
        assert ask(crew) == 1.0
    assert counted(crew) == CONNECTIONS
    shares = [crew.metric(f'graft_worker_requests_total{{worker="worker {number}"}}') for number in range(2)]
    assert all(shares), shares
    assert crew.metric('graft_requests_in_flight{door="rest"}') == 0
    assert crew.metric("graft_loaded_graphs") == 2
    for _ in range(10):
        with grpc.insecure_channel(crew.grpc, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            request = get_model_status_pb2.GetModelStatusRequest()
            request.model_spec.name = "m"
            status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=60)
            assert status.model_version_status[0].version == 1


def test_one_that_is_killed_loses_only_its_connections_and_is_replaced(crew: Server) -> None:
    before = workers(crew)
    with load(crew) as seen:
        until("some were answered", lambda: seen["200"] > 50)
        counts = [counted(crew)]
        os.kill(before["worker 0"], signal.SIGKILL)
        counts.append(counted(crew))
        answered = seen["200"]
        until("the other one goes on", lambda: seen["200"] > answered + 50)
        replaced(crew, "worker 0", before["worker 0"])
        counts.append(counted(crew))
        answered = seen["200"]
        until("all go on", lambda: seen["200"] > answered + 50)
        counts.append(counted(crew))
    assert seen.keys() <= {"200", "broken"}
    assert seen["broken"] <= 10  # those it held, and those that waited to be accepted by it
    assert counts == sorted(counts)
    assert workers(crew)["worker 1"] == before["worker 1"]


def test_asked_to_stop_all_finish_what_they_accepted_and_end(crew: Server) -> None:
    pids = workers(crew).values()
    with load(crew) as seen:
        until("some were answered", lambda: seen["200"] > 50)
        assert crew.terminate() == 0
    # A listening socket that closes resets what had not been accepted; whatever was, was answered.
    assert seen.keys() <= {"200", "broken"}
    assert not any(map(there, pids))
    assert crew.log.read_text().count("stopped") == 2


def test_when_the_parent_is_killed_no_worker_is_left(crew: Server) -> None:
    pids = workers(crew).values()
    crew.kill()
    until("all workers are gone", lambda: not any(map(there, pids)))


def test_a_new_version_is_answered_by_all(crew: Server, models: Path, versions: Path) -> None:
    publish(versions, models, 2)
    until("the new version answers", lambda: ask(crew) == 2.0)
    until("the old one is gone", lambda: crew.log.read_text().count("m@1 is gone") == 2)
    assert {ask(crew) for _ in range(CONNECTIONS)} == {2.0}


def test_a_reload_reaches_all_and_those_that_come_later(
    serve: Callable[..., Server], versions: Path, tmp_path: Path
) -> None:
    crew = serve(tmp_path / "none", workers=2, discover="false", model_name="first", model_base_path=versions)
    crew.ready()
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add(
        name="second", base_path=str(versions), model_platform="tensorflow"
    ).version_labels["stable"] = 2
    with crew.channel() as channel:
        answer = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=120)
    assert answer.status.error_code == 0, answer.status.error_message
    assert {ask(crew, "second") for _ in range(CONNECTIONS)} == {2.0}
    lost = workers(crew)["worker 1"]
    os.kill(lost, signal.SIGKILL)
    replaced(crew, "worker 1", lost)
    assert {ask(crew, "second/labels/stable") for _ in range(CONNECTIONS)} == {2.0}


def test_a_version_promoted_through_one_worker_answers_from_all_and_from_those_that_come_later(
    serve: Callable[..., Server], models: Path, versions: Path
) -> None:
    crew = serve(models, workers=2, keep=2).ready()
    direct(crew, "promote", version=1)
    publish(versions, models, 2)
    until("both hold it", lambda: crew.log.read_text().count("m@2 is live") == 2)
    assert {ask(crew) for _ in range(CONNECTIONS)} == {1.0}, "what is published waits"
    direct(crew, "promote", version=2)
    assert {ask(crew) for _ in range(CONNECTIONS)} == {2.0}
    direct(crew, "canary", version=1, percent=50.0)
    until("both give it its share", lambda: {ask(crew) for _ in range(4)} == {1.0, 2.0})
    direct(crew, "rollback")
    assert {ask(crew) for _ in range(CONNECTIONS)} == {2.0}
    direct(crew, "rollback")
    assert {ask(crew) for _ in range(CONNECTIONS)} == {1.0}
    lost = workers(crew)["worker 0"]
    os.kill(lost, signal.SIGKILL)
    replaced(crew, "worker 0", lost)
    assert {ask(crew) for _ in range(CONNECTIONS)} == {1.0}, "from its first request on"
    orders = [crew.http.post("/v1/models/m:promote", json={"version": 2, "revision": 5}) for _ in range(2)]
    assert [order.status_code for order in orders] == [200, 409], "a revision is changed once, whoever is asked"


def direct(server: Server, what: str, **order: Any) -> None:
    """Say something through one worker, and wait until every worker has read it."""
    answer = httpx.post(f"{server.rest}/v1/models/m:{what}", json=order, timeout=60)
    assert answer.status_code == 200, answer.text

    def known() -> set[int]:
        place = f"{server.rest}/v1/models/m/direction"
        return {httpx.get(place, timeout=60).json()["revision"] for _ in range(CONNECTIONS)}

    until("all have read it", lambda: known() == {answer.json()["revision"]})


def test_a_head_is_tuned_though_the_worker_that_runs_the_job_is_lost_and_all_answer_with_it(
    serve: Callable[..., Server], repository: Path, digits: Digits
) -> None:
    crew = serve(repository, workers=2).ready()
    job = crew.submit(digits.archive(20), "fives")
    until("it is at work", lambda: crew.job(job["id"])["phase"])
    at_work = re.findall(r"(worker \d) \S+ this worker runs the jobs", crew.log.read_text())[-1]
    pid = workers(crew)[at_work]
    os.kill(pid, signal.SIGKILL)
    replaced(crew, at_work, pid)
    with httpx.Client(base_url=crew.rest, timeout=120) as other:
        events = other.get(f"/v1/jobs/{job['id']}/events", headers={"accept": "text/event-stream"}).text
    assert "job.succeeded" in events, events[-2000:]
    assert crew.job(job["id"])["state"] == "succeeded"
    crew.wait_live("fives", 1)

    def all_know_it() -> bool:
        status = [httpx.get(f"{crew.rest}/v1/models/fives", timeout=60).status_code for _ in range(CONNECTIONS)]
        return set(status) == {200}

    until("all answer with the head", all_know_it)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"grpc_socket": "socket"}, "a Unix socket belongs to one process"),
        ({"model_config_file": "nowhere.txt"}, "worker . could not begin"),
    ],
    ids=["socket", "configuration"],
)
def test_what_cannot_begin_says_why_and_leaves_nothing_behind(
    models: Path, tmp_path: Path, flags: dict[str, str], says: str
) -> None:
    words = [f"--{name.replace('_', '-')}={tmp_path / value}" for name, value in flags.items()]
    places = [f"--repository={models}", f"--state={tmp_path / 'state'}", "--rest-port=0", "--grpc-port=0"]
    command = [sys.executable, "-m", "service", "serve", "--workers=2", *places, *words]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (1, 2)
    assert re.search(says, done.stderr), done.stderr


def test_a_port_that_others_have_is_not_shared_with_them(crew: Server, models: Path, tmp_path: Path) -> None:
    ports = [f"--rest-port={crew.rest.rpartition(':')[2]}", "--grpc-port=0", f"--state={tmp_path / 'other'}"]
    command = [sys.executable, "-m", "service", "serve", "--workers=2", f"--repository={models}", *ports]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "cannot listen on 127.0.0.1" in done.stderr
