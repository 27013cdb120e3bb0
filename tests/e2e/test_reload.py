"""Reload storms over gRPC while REST and gRPC clients ask: who stays loses no request, whatever comes and goes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from real_server import ENVIRONMENT, Server, until
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

pytestmark = pytest.mark.e2e

# Version v of every model answers v * x: an answer says by its value who gave it.
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
COMERS = ("b", "c", "d")


@pytest.fixture(scope="module")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions, which every model of these tests is made of."""
    root = tmp_path_factory.mktemp("two")
    subprocess.run([sys.executable, "-c", BUILD, str(root)], check=True, env=ENVIRONMENT, capture_output=True)
    return root


def configuration(base_path: Path, stable: int, comers: tuple[str, ...]) -> model_management_pb2.ReloadConfigRequest:
    """The model that stays, with its two versions and where its label points; and those that come and go."""
    request = model_management_pb2.ReloadConfigRequest()
    models = request.config.model_config_list.config
    stays = models.add(name="stays", base_path=str(base_path), model_platform="tensorflow")
    stays.model_version_policy.specific.versions.extend([1, 2])
    stays.version_labels["stable"] = stable
    # A label that takes its version along: each reload loads the one and unloads the other.
    swaps = models.add(name="swaps", base_path=str(base_path), model_platform="tensorflow")
    swaps.model_version_policy.specific.versions.append(stable)
    swaps.version_labels["stable"] = stable
    for name in comers:
        models.add(name=name, base_path=str(base_path), model_platform="tensorflow")
    return request


@contextmanager
def asked(server: Server, wrong: list[str]) -> Iterator[Counter[str]]:
    """Clients over both doors, asking both models by number, by label and for the newest."""
    seen: Counter[str] = Counter()
    over = threading.Event()

    def rest(path: str) -> None:
        with httpx.Client(base_url=server.rest, timeout=30) as client:
            while not over.is_set():
                answer = client.post(f"/v1/models/{path}:predict", json={"instances": [3.0, 5.0]})
                if answer.status_code != 200:
                    wrong.append(f"REST {path} {answer.status_code}: {answer.text}")
                    continue
                check(f"rest {path}", int(answer.headers["graft-model-version"]), answer.json()["predictions"])

    def rpc(model: str, label: str) -> None:
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.version_label = model, label
        proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[3.0, 5.0])
        proto.tensor_shape.dim.add(size=2)
        request.inputs["x"].CopyFrom(proto)
        with server.channel() as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not over.is_set():
                try:
                    answer = stub.Predict(request, timeout=30)
                except grpc.RpcError as error:
                    wrong.append(f"gRPC {model}/{label} {error.code()}: {error.details()}")
                    continue
                check(f"grpc {model}", answer.model_spec.version.value, list(answer.outputs["y"].float_val))

    def check(who: str, version: int, y: list[float]) -> None:
        if not np.allclose(y, [3.0 * version, 5.0 * version]):
            wrong.append(f"{who}: version {version} cannot have answered {y}")
        seen[f"{who} {version}"] += 1

    threads = [
        threading.Thread(target=rest, args=("stays/labels/stable",)),
        threading.Thread(target=rest, args=("swaps",)),
        threading.Thread(target=rpc, args=("stays", "stable")),
        threading.Thread(target=rpc, args=("swaps", "stable")),
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def storm(server: Server, base_path: Path, reloads: int) -> None:
    """Reload again and again, adding, dropping and moving labels; not one request to who stays may fail."""
    wrong: list[str] = []
    with server.channel() as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        stub.HandleReloadConfigRequest(configuration(base_path, 1, ()), timeout=60)
        with asked(server, wrong) as seen:
            until("everyone is asked", lambda: len(seen) >= 4)
            for number in range(reloads):
                comers = tuple(name for place, name in enumerate(COMERS) if (number >> place) & 1)
                response = stub.HandleReloadConfigRequest(configuration(base_path, 1 + number % 2, comers), timeout=60)
                assert response.status.error_code == 0, response
                for name in comers:
                    answer = server.http.post(f"/v1/models/{name}:predict", json={"instances": [1.0]})
                    assert answer.json() == {"predictions": [2.0]}, f"{name} was new and is said to answer"
    assert not wrong, wrong[:5]
    assert {who.rsplit(" ", 1)[1] for who in seen} == {"1", "2"}, "both versions were asked"


def test_a_storm_of_reloads_fails_no_request_to_who_stays(
    base_path: Path, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve(tmp_path / "models")
    storm(server, base_path, 40)


@pytest.mark.soak
def test_a_long_storm_of_reloads_fails_no_request_and_leaves_nothing_behind(
    base_path: Path, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve(tmp_path / "models")
    storm(server, base_path, 200)
    with server.channel() as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        stub.HandleReloadConfigRequest(configuration(base_path, 1, ()), timeout=60)
    until("who came is gone", lambda: server.metric("graft_loaded_graphs") == 3)


def test_a_configuration_file_is_followed_and_a_bad_one_changes_nothing(
    base_path: Path, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """Read at the start, read again, survived when it is broken, and shown where operators look."""
    file = tmp_path / "models.config"
    file.write_text(str(configuration(base_path, 1, ()).config))
    server = serve(tmp_path / "models", model_config_file=file, model_config_file_poll_wait_seconds=0.1).ready()
    for version in (1, 2):
        server.wait_live("stays", version)
    assert server.http.get("/v1/models/stays/labels/stable/metadata").json()["model_spec"]["version"] == "1"
    file.write_text("model_config_list {\n  confic {}\n}\n")
    problem = until("the fault is shown", lambda: server.http.get("/v1/models").json()["config_problem"])
    assert f"{file}:2" in problem
    server.wait_live("stays", 2)
    file.write_text(str(configuration(base_path, 2, ("b",)).config))
    server.wait_live("b", 2)
    assert server.http.get("/v1/models").json()["config_problem"] is None
    assert server.http.get("/v1/models/stays/labels/stable/metadata").json()["model_spec"]["version"] == "2"


def test_a_server_does_not_start_on_a_broken_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text("model_config_list {\n  confic {}\n}\n")
    command = [str(Path(sys.executable).with_name("graft")), "serve", "--model-config-file", str(file)]
    command += ["--rest-port", "0", "--grpc-port", "0", "--state", str(tmp_path / "state")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    told = done.stderr.strip().splitlines()[-1]
    assert told.startswith("graft serve: Error parsing text-format tensorflow.serving.ModelServerConfig: ")
    assert f"{file}:2:" in told
