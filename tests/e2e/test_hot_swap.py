"""Hot swaps and shutdown under load: no request fails, and no answer mixes two versions."""

from __future__ import annotations

import shutil
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
import numpy as np
import pytest
from real_server import ENVIRONMENT, Server, until
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

pytestmark = pytest.mark.e2e

SWAPS = 20
# Version v answers v * x: an answer says by its value who gave it.
VERSIONS = """
import sys, tensorflow as tf
root, count = sys.argv[1], int(sys.argv[2])
class Scaled(tf.Module):
    def __init__(self, version):
        self.factor = tf.Variable(float(version))
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
    def scaled(self, x):
        return {"y": self.factor * x}
for version in range(1, count + 1):
    module = Scaled(version)
    tf.saved_model.save(module, f"{root}/{version}", signatures=module.scaled)
"""
ENDLESS = """
import sys, tensorflow as tf
class Endless(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def endless(self, x):
        more = lambda i: tf.reduce_max(x) > 100.0
        tf.while_loop(more, lambda i: (i + 1,), (0,))
        return {"y": x + tf.cast(tf.while_loop(more, lambda i: (i + 1,), (0,))[0], tf.float32)}
module = Endless()
tf.saved_model.save(module, sys.argv[1], signatures=module.endless)
"""
SLOW = """
import sys, tensorflow as tf
class Slow(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def slow(self, x):
        one = tf.eye(400)
        step = lambda i, square: (i + 1, tf.linalg.matmul(square, one))
        square = tf.while_loop(lambda i, _: i < 1000, step, (0, one))[1]
        return {"y": x * square[0, 0]}
module = Slow()
tf.saved_model.save(module, sys.argv[1], signatures=module.slow)
"""


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory a version of the same small model."""
    root = tmp_path_factory.mktemp("versions")
    command = [sys.executable, "-c", VERSIONS, str(root), str(SWAPS + 1)]
    subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True)
    return root


def _publish(source: Path, model: Path, version: int) -> None:
    """As a publisher does: a hidden copy, then one rename."""
    hidden = model / f".{version}"
    shutil.copytree(source / str(version), hidden)
    hidden.rename(model / str(version))


@contextmanager
def _load(server: Server, model: str, wrong: list[str]) -> Iterator[Counter[str]]:
    """Two REST and two gRPC clients asking all the time; each answer is held against the version it names."""
    seen: Counter[str] = Counter()
    over = threading.Event()

    def rest(seed: int) -> None:
        rng = np.random.default_rng(seed)
        with httpx.Client(base_url=server.rest, timeout=30) as client:
            while not over.is_set():
                x = rng.integers(1, 100, (rng.integers(1, 6), 4)).astype(float)
                try:
                    answer = client.post(f"/v1/models/{model}:predict", json={"instances": x.tolist()})
                    if answer.status_code != 200:
                        wrong.append(f"REST {answer.status_code}: {answer.text}")
                        continue
                    check("rest", int(answer.headers["graft-model-version"]), x, answer.json()["predictions"])
                except httpx.HTTPError as error:
                    wrong.append(f"REST {error!r}")

    def rpc(seed: int) -> None:
        rng = np.random.default_rng(seed)
        with server.channel() as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not over.is_set():
                x = rng.integers(1, 100, (rng.integers(1, 6), 4)).astype(np.float32)
                try:
                    answer = stub.Predict(_request(model, x), timeout=30)
                except grpc.RpcError as error:
                    wrong.append(f"gRPC {error.code()}: {error.details()}")
                    continue
                y = np.array(answer.outputs["y"].float_val).reshape(x.shape)
                check("grpc", answer.model_spec.version.value, x, y)

    def check(door: str, version: int, x: np.ndarray, y: Any) -> None:
        if not np.allclose(y, x * version, rtol=1e-6):
            wrong.append(f"{door}: version {version} cannot have answered {y} to {x}")
        seen[f"{door} {version}"] += 1

    threads = [threading.Thread(target=work, args=(seed,)) for seed, work in enumerate((rest, rest, rpc, rpc))]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _request(model: str, x: np.ndarray) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_content=np.float32(x).tobytes())
    for size in x.shape:
        proto.tensor_shape.dim.add(size=size)
    request.inputs["x"].CopyFrom(proto)
    return request


def test_twenty_hot_swaps_under_load_fail_no_request_and_mix_no_answer(
    versions: Path, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """Every answer over REST and gRPC is what the version it names computes, through 20 swaps."""
    model = tmp_path / "models" / "scaled"
    model.mkdir(parents=True)
    _publish(versions, model, 1)
    server = serve(tmp_path / "models").ready()
    wrong: list[str] = []
    with _load(server, "scaled", wrong) as seen:
        for version in range(2, SWAPS + 2):
            _publish(versions, model, version)
            server.wait_live("scaled", version)
            until(f"version {version} is asked", lambda v=version: seen[f"rest {v}"] > 2 and seen[f"grpc {v}"] > 2)
    assert not wrong, wrong[:5]
    asked = {int(key.split()[1]) for key in seen}
    assert asked == set(range(1, SWAPS + 2))
    until("the old versions are freed", lambda: server.metric("graft_loaded_graphs") == 1)


def test_sigterm_falls_from_readiness_first_and_finishes_what_was_accepted(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """A request that takes seconds is answered although the server was told to stop while it ran."""
    target = tmp_path / "models" / "slow" / "1"
    subprocess.run([sys.executable, "-c", SLOW, str(target)], check=True, env=ENVIRONMENT, capture_output=True)
    server = serve(tmp_path / "models", drain_seconds=1.0).ready()
    answers: list[tuple[str, object]] = []

    def rest() -> None:
        with httpx.Client(base_url=server.rest, timeout=60) as client:
            answers.append(("rest", client.post("/v1/models/slow:predict", json={"instances": [2.0]}).json()))

    def rpc() -> None:
        with server.channel() as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            answer = stub.Predict(_request("slow", np.array([3.0])), timeout=60)
            answers.append(("grpc", list(answer.outputs["y"].float_val)))

    threads = [threading.Thread(target=rest), threading.Thread(target=rpc)]
    for thread in threads:
        thread.start()
    for door in ("rest", "grpc"):
        until(f"{door} is accepted", lambda d=door: server.metric(f'graft_requests_in_flight{{door="{d}"}}') == 1)
    assert not answers, "the slow model must be slower than this test"
    server.process.terminate()
    with httpx.Client(base_url=server.rest) as client:
        until("not ready", lambda: client.get("/readyz").status_code == 503, 5)
    for thread in threads:
        thread.join()
    assert sorted(answers) == [("grpc", [3.0]), ("rest", {"predictions": [2.0]})]
    assert server.process.wait(60) == 0


def test_a_graph_that_never_returns_does_not_keep_the_server_from_ending(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """What cannot be stopped is left behind when the time for an orderly end is over; a second signal ends at once."""
    target = tmp_path / "models" / "endless" / "1"
    subprocess.run([sys.executable, "-c", ENDLESS, str(target)], check=True, env=ENVIRONMENT, capture_output=True)
    for shutdown_seconds, signals in ((1.0, 1), (600.0, 2)):
        state = tmp_path / f"state-{signals}"
        server = serve(tmp_path / "models", state, shutdown_seconds=shutdown_seconds).ready()
        assert server.http.post("/v1/models/endless:predict", json={"instances": [1.0]}).status_code == 200
        with httpx.Client(base_url=server.rest, timeout=0.5) as client, pytest.raises(httpx.ReadTimeout):
            client.post("/v1/models/endless:predict", json={"instances": [200.0]})
        server.process.terminate()
        if signals > 1:
            with httpx.Client(base_url=server.rest) as client:
                until("it drains", lambda c=client: _refused_or_draining(c))
            server.process.terminate()
        assert server.process.wait(30) == 1


def _refused_or_draining(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 503
    except httpx.HTTPError:
        return True
