"""Hot swaps under load: heads, and whole small models, are replaced while 16 clients ask over REST and gRPC.

Every version answers with numbers of its own, so that an answer tells which version gave it: one that no version gives
is mixed. A swap publishes the next version, which lies written elsewhere, and takes the one before the last away.
Steady times and times of swaps take turns, and in both the server is asked as often which version is live: what is
compared are latencies with and without swaps, and nothing else. Memory is followed over all swaps.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from shared import messages
from shared.fleet import Fleet, fleet, head_name, wide, wide_inputs
from shared.results import Table, at_most, conclude, parser
from shared.server_process import ENVIRONMENT, ServerProcess, serving
from shared.tiny import inputs as tiny_inputs
from shared.tiny import tiny

from service.domain.heads import AnswerForm

CLIENTS = 16
_WARM_S, _ASKED_EVERY_S = 2.0, 0.01
_CLIENT = """
import asyncio, json, sys, time
import grpc, httpx, numpy as np
from service.tensorflow_protos import predict_pb2
rest, target, name, output, body, message, answers, stop = sys.argv[1:9]
known = np.load(answers)
body, message = open(body, "rb").read(), open(message, "rb").read()
took, failed, mixed = [], [], [0]
def judge(values):
    gap = np.abs(known - np.asarray(values, np.float32).ravel()).max(axis=1).min()
    mixed[0] += bool(gap > 1e-4)
async def over_rest(session, until):
    while not until():
        begun = time.perf_counter()
        reply = await session.post(f"{rest}/v1/models/{name}:predict", content=body)
        took.append((begun, time.perf_counter() - begun))
        if reply.status_code != 200:
            failed.append(reply.text[:200])
            continue
        row = reply.json()["predictions"][0]
        judge(row[output] if isinstance(row, dict) else row)
async def over_grpc(call, until):
    while not until():
        begun = time.perf_counter()
        try:
            reply = predict_pb2.PredictResponse.FromString(await call(message))
        except grpc.aio.AioRpcError as error:
            failed.append(error.details())
            continue
        finally:
            took.append((begun, time.perf_counter() - begun))
        tensor = reply.outputs[output]
        judge(np.frombuffer(tensor.tensor_content, np.float32) if tensor.tensor_content else tensor.float_val)
async def main():
    import os
    until = lambda: os.path.exists(stop)
    async with httpx.AsyncClient(timeout=60) as session, grpc.aio.insecure_channel(target) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        half = int(sys.argv[9]) // 2
        await asyncio.gather(*(over_rest(session, until) for _ in range(half)),
                             *(over_grpc(call, until) for _ in range(half)))
    print(json.dumps({"took": took, "failed": failed, "mixed": mixed[0]}))
asyncio.run(main())
"""


@dataclass(frozen=True)
class Swapped:
    """What is swapped: its name, its output, every version's answer to the one request, and how to publish one."""

    name: str
    output: str
    rows: np.ndarray
    alias: str
    answers: np.ndarray
    write: Callable[[Path, int], object]
    """Writes a version's files to a place."""
    repository: Path

    def written(self, shelf: Path, versions: range) -> None:
        """Write these versions where no look finds them."""
        for version in versions:
            self.write(shelf / str(version), version)

    def publish(self, shelf: Path, version: int) -> None:
        """Put a written version in its place, and take the one before the last away."""
        place = self.repository / self.name / str(version)
        (shelf / str(version)).rename(place)
        old = place.with_name(str(version - 2))
        if version > 3:
            hidden = shelf / f"gone-{old.name}"
            old.rename(hidden)
            shutil.rmtree(hidden)


def heads(directory: Path) -> Swapped:
    """A head whose versions take turns between eight sets of numbers."""
    built = fleet(directory / "models", wide(), wide_inputs(8), 1)
    rows = wide_inputs(8)[:1]
    answers = [
        built.head(0, change).answer(built.features[:1], AnswerForm.PREDICT)["probabilities"] for change in range(8)
    ]
    known = np.concatenate(answers)
    write = partial(_write_head, built, len(known))
    return Swapped(head_name(0), "probabilities", rows, built.alias, known, write, built.repository)


def _write_head(built: Fleet, changes: int, place: Path, version: int) -> None:
    built.write(place, 0, version % changes)


def small_model(directory: Path) -> Swapped:
    """A whole small model, copied anew for every version."""
    place = directory / "models" / "tiny" / "1"
    shutil.copytree(tiny() / "1", place)
    rows = tiny_inputs(1)
    copy = partial(_copy, place)
    return Swapped("tiny", "scores", rows, "x", np.zeros((0, 3), np.float32), copy, directory / "models")


def _copy(source: Path, place: Path, version: int) -> None:
    shutil.copytree(source, place)


def asked_once(server: ServerProcess, what: Swapped) -> np.ndarray:
    """What the first version answers."""
    reply = httpx.post(f"{server.rest}/v1/models/{what.name}:predict", content=messages.rest(what.rows), timeout=60)
    (row,) = reply.raise_for_status().json()["predictions"]
    return np.array([row[what.output] if isinstance(row, dict) else row], np.float32)


def run(what: Swapped, directory: Path, swaps: int, rounds: int, steady_s: float) -> dict[str, Any]:
    """One server; steady load, then some of the swaps under it, in so many rounds."""
    shelf = directory / "shelf"
    what.written(shelf, range(2, swaps + 2))
    with serving(directory, "--repository", str(what.repository), "--poll-seconds", "0.05") as server:
        server.wait_ready()
        answers = what.answers if len(what.answers) else asked_once(server, what)
        files = {name: directory / name for name in ("body", "message", "answers.npy", "stop")}
        files["body"].write_bytes(messages.rest(what.rows))
        files["message"].write_bytes(messages.grpc(what.name, what.alias, what.rows))
        np.save(files["answers.npy"], answers)
        command = [sys.executable, "-c", _CLIENT, server.rest, server.grpc, what.name, what.output]
        command += [str(files[name]) for name in ("body", "message", "answers.npy", "stop")] + [str(CLIENTS)]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        steady, swapping, sizes, version = [], [], [server.rss_mb()], 1
        try:
            with httpx.Client(base_url=server.rest, timeout=60) as http:
                watch(server, http, what.name, version, _WARM_S)
                for last in (1 + swaps * at // rounds for at in range(1, rounds + 1)):
                    begun = time.perf_counter()
                    watch(server, http, what.name, version, steady_s)
                    swapped = time.perf_counter()
                    for version in range(version + 1, last + 1):  # noqa: B020 - it goes on where it was
                        what.publish(shelf, version)
                        watch(server, http, what.name, version)
                        sizes.append(server.rss_mb())
                    steady.append((begun, swapped))
                    swapping.append((swapped, time.perf_counter()))
            files["stop"].touch()
            said = json.loads(client.communicate(timeout=120)[0])
        finally:
            client.kill()
            client.wait()
    took = np.array(said["took"])
    before, during = ([_p99_ms(took, span) for span in spans] for spans in (steady, swapping))
    second = sizes[len(sizes) // 2 :]
    return {
        "swaps": swaps,
        "swaps/s": swaps / sum(end - begun for begun, end in swapping),
        "requests": len(took),
        "failed": len(said["failed"]),
        "mixed": said["mixed"],
        "steady p99 ms": before,
        "swap p99 ms": during,
        "p99 ratio": [one / other for one, other in zip(during, before, strict=True)],
        "RSS KB a swap": float(np.polyfit(range(len(second)), second, 1)[0]) * 1024,
    }


def _p99_ms(took: np.ndarray, span: tuple[float, float]) -> float:
    """Of the requests that began in a time."""
    began = took[:, 0]
    return float(np.percentile(took[(began >= span[0]) & (began < span[1]), 1], 99)) * 1e3


def watch(server: ServerProcess, http: httpx.Client, name: str, version: int, lasting_s: float = 0.0) -> None:
    """Ask until this version answers and so long has passed."""
    url, begun = f"/v1/models/{name}/versions/{version}", time.monotonic()
    while time.monotonic() < begun + 60:
        reply = http.get(url)
        live = reply.status_code == 200 and reply.json()["model_version_status"][0]["state"] == "AVAILABLE"
        if live and time.monotonic() >= begun + lasting_s:
            return
        time.sleep(_ASKED_EVERY_S)
    raise RuntimeError(f"{name}@{version} does not come to be live: {server.log.read_text()[-2000:]}")


def main() -> int:
    """Swap heads, then whole models."""
    options = parser(__doc__)
    options.add_argument("--swaps", type=int, help="of the head; default 1000. Of the model there are a tenth")
    given = options.parse_args()
    swaps, rounds = given.swaps or (100 if given.quick else 1000), 2 if given.quick else 5
    columns = ("what", "swaps", "swaps/s", "requests", "failed", "mixed", "steady p99 ms", "swap p99 ms", "p99 ratio")
    table, held = Table((*columns, "RSS KB a swap")), []
    for what, make, times in (("head", heads, swaps), ("small model", small_model, max(swaps // 10, 5))):
        with tempfile.TemporaryDirectory() as scratch:
            found = run(make(Path(scratch)), Path(scratch), times, rounds, 3.0)
        table.add(what, *found.values())
        held.append(at_most(f"{what}: failed or mixed answers", [found["failed"] + found["mixed"]], 0, ""))
        held.append(at_most(f"{what}: p99 while swapping to steady", found["p99 ratio"], 1.2))
    return conclude("swap_under_load", table, held, given)


if __name__ == "__main__":
    sys.exit(main())
