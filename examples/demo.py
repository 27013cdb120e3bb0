"""The whole loop on real input, from an empty folder: train a base, serve it, upload labelled data, watch a head being
tuned, ask it over REST and gRPC, tune a second version while requests flow, and read the metrics that moved.

Everything goes through the public doors: the ``graft`` command, HTTP, and TensorFlow Serving's own gRPC client classes.
Run it with ``make demo``; ``make demo KEEP=1`` leaves the server up.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
PLACE = Path("var/demo")
BASE, HEAD = "digits", "digits-5-9"
CLASSES = range(5, 10)


def main() -> int:
    """Run the demo; 0 when every step did what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the server up and say what to try")
    keep = parser.parse_args().keep
    begun = time.monotonic()
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)

    step("1. Train a base: a small CNN on scikit-learn's handwritten digits 0-4")
    graft("train", "digits", "--only", "base", "--repository", str(PLACE / "models"))

    step("2. Serve it over REST and gRPC")
    ports = (8501, 8500) if keep else (free_port(), free_port())
    with served(*ports) as server, httpx.Client(base_url=f"http://127.0.0.1:{ports[0]}", timeout=60) as client:
        wait_ready(client, server)
        images, labels = digits()
        train, held_out = split(labels)
        asked = images[held_out]
        print(f"  ready; {HEAD} does not exist yet: {ask_rest(client, asked[:1]).text.strip()}")

        step(f"3. Upload 50 labelled images of each digit {CLASSES[0]}-{CLASSES[-1]} and tune a head on the base")
        first = archive(images[train[:250]], labels[train[:250]])
        write_samples(PLACE, images, labels, first)
        job = tune(client, first)
        report(client, job)

        step("4. Ask the new head, which went live by itself")
        answers = wait_for_version(client, asked, 1)
        right = sum(row["classes"][0] == str(label) for row, label in zip(answers, labels[held_out], strict=True))
        print(f"  REST: {right} of {len(asked)} digits it has never seen are right ({right / len(asked):.1%})")
        with grpc.insecure_channel(f"127.0.0.1:{ports[1]}") as channel:
            version, scores = ask_grpc(channel, asked)
            same = np.allclose(scores, [row["probabilities"] for row in answers], atol=1e-6)
            print(f"  gRPC: version {version} gives {'the same' if same else 'OTHER'} probabilities")

            step("5. Tune a second version from more data while requests flow over both doors")
            with traffic(client, channel, asked[:8]) as seen:
                job2 = tune(client, archive(images[train], labels[train]))
                wait_for_version(client, asked, 2)
            report(client, job2)
            print(f"  answers while version 2 was tuned and swapped in: {dict(sorted(seen.items()))}")
            failed = sum(count for outcome, count in seen.items() if "failed" in outcome)

        step("6. What Prometheus sees")
        show_metrics(client)
        ok = same and right / len(asked) >= 0.9 and not failed and {job["version"], job2["version"]} == {1, 2}
        print(f"\n{'Done' if ok else 'NOT as promised'} in {time.monotonic() - begun:.0f} s, {failed} requests failed.")
        if keep and ok:
            stay(server, *ports)
    return 0 if ok else 1


def step(title: str) -> None:
    """Say what comes next."""
    print(f"\n== {title}", flush=True)


def graft(*words: str) -> None:
    """Run the ``graft`` command of this environment."""
    subprocess.run([str(Path(sys.executable).with_name("graft")), *words], check=True)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(rest: int, rpc: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server process, its log in the demo's folder."""
    command = [str(Path(sys.executable).with_name("graft")), "serve", "--repository", str(PLACE / "models")]
    command += ["--state", str(PLACE / "state"), "--rest-port", str(rest), "--grpc-port", str(rpc)]
    with (PLACE / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
        try:
            yield server
        finally:
            server.terminate()
            server.wait(60)


def wait_ready(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    """Until requests may be sent."""
    for _ in range(600):
        if server.poll() is not None:
            sys.exit(f"the server ended at once:\n{(PLACE / 'server.log').read_text()[-2000:]}")
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(0.1)
    sys.exit("the server did not become ready within a minute")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The digits 5-9: images [n, 8, 8] uint8 on 0..255, and their labels."""
    data = load_digits()
    chosen = np.isin(data.target, list(CLASSES))
    return np.round(data.images[chosen] * 255 / 16).astype(np.uint8), data.target[chosen]


def split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on, 50 of each class first and 50 more behind them, and rows that are never uploaded."""
    rng = np.random.default_rng(0)
    rows = [rng.permutation(np.flatnonzero(labels == label)) for label in CLASSES]
    train = np.concatenate([r[:50] for r in rows] + [r[50:100] for r in rows])
    return train, np.concatenate([r[100:] for r in rows])


def archive(images: np.ndarray, labels: np.ndarray) -> bytes:
    """A zip with one folder of PNG files a class."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            zipped.writestr(f"{label}/{index:04d}.png", file.getvalue())
    return buffer.getvalue()


def write_samples(place: Path, images: np.ndarray, labels: np.ndarray, upload: bytes) -> None:
    """What the README's calls send: an upload, a predict request, and an image file."""
    (place / "digits-5-9.zip").write_bytes(upload)
    (place / "request.json").write_text(json.dumps({"instances": images[:1, ..., np.newaxis].tolist()}))
    Image.fromarray(images[np.flatnonzero(labels == 7)[0]]).save(place / "seven.png")


def tune(client: httpx.Client, upload: bytes) -> dict:
    """Upload, start the job, print its events as they come, and return it when it has ended."""
    answer = client.post(
        f"/v1/models/{BASE}:tune", data={"head": HEAD}, files={"file": ("digits.zip", upload, "application/zip")}
    )
    answer.raise_for_status()
    job = answer.json()
    with client.stream("GET", f"/v1/jobs/{job['id']}/events", headers={"accept": "text/event-stream"}) as events:
        for line in events.iter_lines():
            if line.startswith("data:"):
                event = json.loads(line.removeprefix("data:"))
                print(f"  {event['type']:<16} {event['message']}", flush=True)
    job = client.get(f"/v1/jobs/{job['id']}").json()
    if job["state"] != "succeeded":
        sys.exit(f"the job {job['state']}: {job['error']}")
    return job


def report(client: httpx.Client, job: dict) -> None:
    """The job's outcome in three lines."""
    print(f"  published {job['head']}@{job['version']}; the gate says: {job['gate']['verdict']}")
    file = PLACE / "models" / job["head"] / str(job["version"]) / "assets.extra/graft/report.json"
    print(f"  report: {json.loads(file.read_text())['headline']}")


def ask_rest(client: httpx.Client, images: np.ndarray) -> httpx.Response:
    """One predict request."""
    return client.post(f"/v1/models/{HEAD}:predict", json={"instances": images[..., np.newaxis].tolist()})


def wait_for_version(client: httpx.Client, images: np.ndarray, version: int) -> list[dict]:
    """The answers of this version, as soon as it is the one that answers."""
    for _ in range(300):
        answer = ask_rest(client, images)
        if answer.headers.get("graft-model-version") == str(version):
            return answer.json()["predictions"]
        time.sleep(0.1)
    sys.exit(f"version {version} did not go live within half a minute")


def ask_grpc(channel: grpc.Channel, images: np.ndarray) -> tuple[int, np.ndarray]:
    """One predict call with TensorFlow Serving's own classes: the version that answered, and its probabilities."""
    from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    batch = np.ascontiguousarray(images[..., np.newaxis], np.float32)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = HEAD
    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in batch.shape]
    request.inputs["inputs"].CopyFrom(
        tensor_pb2.TensorProto(
            dtype=types_pb2.DT_FLOAT,
            tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=dims),
            tensor_content=batch.tobytes(),
        )
    )
    response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=30)
    scores = np.array(response.outputs["probabilities"].float_val, np.float32).reshape(len(images), -1)
    return response.model_spec.version.value, scores


@contextmanager
def traffic(client: httpx.Client, channel: grpc.Channel, images: np.ndarray) -> Iterator[Counter[str]]:
    """Requests over both doors, one after another, for as long as the block lasts; counts outcomes by version."""
    seen: Counter[str] = Counter()
    over = threading.Event()

    def over_rest() -> None:
        with httpx.Client(base_url=client.base_url, timeout=30) as own:
            while not over.is_set():
                try:
                    answer = ask_rest(own, images)
                    good = answer.status_code == 200
                    seen[f"REST v{answer.headers['graft-model-version']}" if good else "REST failed"] += 1
                except httpx.HTTPError:
                    seen["REST failed"] += 1

    def over_grpc() -> None:
        while not over.is_set():
            try:
                seen[f"gRPC v{ask_grpc(channel, images)[0]}"] += 1
            except grpc.RpcError:
                seen["gRPC failed"] += 1

    threads = [threading.Thread(target=over_rest), threading.Thread(target=over_grpc)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def show_metrics(client: httpx.Client) -> None:
    """The lines of the metrics page that the demo moved."""
    wanted = ("graft_requests_total", "graft_version_live", "graft_loaded_graphs", "graft_versions_made_live_total")
    wanted += ("graft_job_moves_total", "graft_datasets_checked_total", "graft_batch_requests_total")
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(wanted):
            print(f"  {line}")


def stay(server: subprocess.Popen[bytes], rest: int, rpc: int) -> None:
    """Leave the server up until it is interrupted, and say what to try."""
    print(f"""
The server stays up: REST on {rest}, gRPC on {rpc}. Try, from another shell:

  curl -s localhost:{rest}/v1/models
  curl -s -d @{PLACE}/request.json localhost:{rest}/v1/models/{HEAD}:predict
  curl -s localhost:{rest}/v1/jobs
  .venv/bin/graft models
  .venv/bin/graft tune {PLACE}/digits-5-9.zip --head my-digits --watch --base {BASE}
  open {PLACE}/models/{HEAD}/2/assets.extra/graft/report.html in a browser

Ctrl-C ends it.""")
    try:
        server.wait()
    except KeyboardInterrupt:
        print("\nstopping")


if __name__ == "__main__":
    sys.exit(main())
