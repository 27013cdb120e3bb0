"""What do the doors cost? A tiny model over REST and gRPC, beside echoes that only send an answer of the same length.

The server has one core to itself, the load the others. The echoes are what people would write with the same
libraries: a Starlette route and a grpc.aio servicer, both on uvloop. Then MobileNetV2 on every core: one image as JSON
text of 150,528 numbers with four decimals, against the same image as one block of bytes over gRPC.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray
from shared import load, messages, mobilenet, tiny
from shared.places import BENCHMARKS, repository
from shared.results import Table, at_least, conclude, parser
from shared.server_process import ServerProcess, serving

from service.tensorflow_protos import predict_pb2

Rounds = dict[str, list[load.Load]]
_ALONE = ("--warm-trainers", "0")
"""A trainer that starts on the server's core is not what is measured here."""


@contextmanager
def echo(kind: str, answer: Path, cores: Sequence[int]) -> Iterator[str]:
    """An echo on these cores that answers with this file; its address."""
    command = [sys.executable, "-m", "shared.echoes", kind, str(answer)]
    if cores:
        command = ["taskset", "-c", ",".join(map(str, cores)), *command]
    environment = {**os.environ, "PYTHONPATH": f"{BENCHMARKS}{os.pathsep}{BENCHMARKS.parent}"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"the {kind} echo did not start")
        yield address
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def answers(server: ServerProcess, model: str, rest: bytes, rpc: bytes) -> tuple[bytes, bytes]:
    """What the server answers to both, as bytes of a body and of a message."""
    import grpc

    said = httpx.post(f"{server.rest}/v1/models/{model}:predict", content=rest, timeout=60).raise_for_status()
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary(load.PREDICT, None, predict_pb2.PredictResponse.FromString)
        return said.content, call(rpc, timeout=60).SerializeToString()


@contextmanager
def loading_from(cores: Sequence[int]) -> Iterator[None]:
    """What is started meanwhile, which is what makes the load, has these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tiny_rounds(scratch: Path, rounds: int, seconds: float) -> Rounds:
    """The tiny model and the echoes in turn, so that a machine that is busy is busy for all of them."""
    server_core, load_cores = _split_cores()
    row: NDArray[np.float32] = tiny.inputs(1)
    rest, rpc = messages.rest(row), messages.grpc(tiny.NAME, tiny.INPUT, row)
    found: Rounds = {name: [] for name in ("REST echo", "REST", "gRPC echo", "gRPC")}
    with ExitStack() as open_:
        repo = repository(scratch / "models", tiny.tiny())
        server = open_.enter_context(serving(scratch, "--repository", str(repo), *_ALONE, cores=server_core))
        server.wait_ready()
        body, message = answers(server, tiny.NAME, rest, rpc)
        (scratch / "body").write_bytes(body)
        (scratch / "message").write_bytes(message)
        http_echo = open_.enter_context(echo("starlette", scratch / "body", server_core))
        rpc_echo = open_.enter_context(echo("grpc", scratch / "message", server_core))
        open_.enter_context(loading_from(load_cores))
        path = f"/v1/models/{tiny.NAME}:predict"
        for _ in range(rounds):
            found["REST echo"].append(load.http(f"http://{http_echo}{path}", rest, seconds))
            found["REST"].append(load.http(server.rest + path, rest, seconds))
            found["gRPC echo"].append(load.grpc(rpc_echo, rpc, seconds, answer=len(message)))
            found["gRPC"].append(load.grpc(server.grpc, rpc, seconds, answer=len(message)))
    return found


def mobilenet_rounds(scratch: Path, rounds: int, seconds: float) -> Rounds:
    """MobileNetV2 over both doors in turn, on all cores, the load on the same."""
    image = mobilenet.inputs(1)
    rest, rpc = messages.rest(image), messages.grpc(mobilenet.NAME, mobilenet.INPUT, image)
    found: Rounds = {"mnv REST": [], "mnv gRPC": []}
    repo = repository(scratch / "models", mobilenet.mobilenet())
    with serving(scratch, "--repository", str(repo), *_ALONE) as server:
        server.wait_ready()
        _, message = answers(server, mobilenet.NAME, rest, rpc)
        for _ in range(rounds):
            found["mnv REST"].append(load.http(f"{server.rest}/v1/models/{mobilenet.NAME}:predict", rest, seconds))
            found["mnv gRPC"].append(load.grpc(server.grpc, rpc, seconds, answer=len(message)))
    return found


def _split_cores() -> tuple[list[int], list[int]]:
    """One core for the server, the others for the load; all for both where there is only one."""
    first, *others = sorted(os.sched_getaffinity(0))
    return [first], others or [first]


def ratios(found: Rounds, above: str, below: str) -> list[float]:
    """Requests a second of one as a share of the other's, round by round."""
    pairs = zip(found[above], found[below], strict=True)
    return [one.requests_per_second / other.requests_per_second for one, other in pairs]


def main(options: argparse.Namespace) -> int:
    """Print the table; 0 when the bars are met."""
    rounds, seconds = (2, 2.0) if options.quick else (7, 4.0)
    with tempfile.TemporaryDirectory() as scratch:
        found = tiny_rounds(Path(scratch) / "tiny", rounds, seconds)
        found |= mobilenet_rounds(Path(scratch) / "mnv", rounds, seconds)
    table = Table(["16 clients", "requests/s", "p50 ms", "p99 ms", "errors"])
    for name, loads in found.items():
        errors = sum(sum(one.errors.values()) for one in loads)
        cells = ([getattr(one, field) for one in loads] for field in ("requests_per_second", "p50_ms", "p99_ms"))
        table.add(name, *cells, errors)
    held = [
        at_least("tiny model, REST / Starlette echo", ratios(found, "REST", "REST echo"), 0.6),
        at_least("tiny model, gRPC / grpc.aio echo", ratios(found, "gRPC", "gRPC echo"), 0.6),
        at_least("MobileNetV2, REST JSON / gRPC", ratios(found, "mnv REST", "mnv gRPC"), 0.7),
    ]
    return conclude("doors", table, held, options)


if __name__ == "__main__":
    sys.exit(main(parser(__doc__).parse_args()))
