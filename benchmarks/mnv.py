"""MobileNetV2 224 x 224 on the CPU: the service over gRPC and REST beside the engines without a service.

One image a request from 16 clients in another process on the same cores: raw tensors over gRPC, and JSON of 150,528
numbers with four decimals over REST. Beside it, in processes of their own and in turns with it: TensorFlow with one row
a call from 16 threads, TensorFlow at its best batch, and OpenVINO at its best batch. Ends with status 1 unless gRPC is
at least 2.5 times the first, 1.6 times the second and 0.85 times the third, and REST at least 0.7 times gRPC.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from shared import load, messages, mobilenet
from shared.in_process import Run, engine
from shared.machine import cores
from shared.results import Table, at_least, conclude, parser
from shared.server_process import serving

ROUNDS, SECONDS = 5, 5
QUICK_ROUNDS, QUICK_SECONDS = 1, 3
ANSWER_BYTES = 4000
"""A thousand logits; what else is in the message is small beside it."""


def best(run: Run, seconds: float) -> tuple[int, int]:
    """The threads and rows at which an engine does most rows a second."""
    tried = {(threads, rows): run(threads, rows, seconds) for threads in (1, cores()) for rows in (1, 2, 4, 8, 16, 32)}
    return max(tried, key=lambda setting: tried[setting])


def main() -> int:
    """Measure, print; 0 when every bar is met."""
    given = parser(__doc__).parse_args()
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if given.quick else (ROUNDS, SECONDS)
    model, row = mobilenet.mobilenet(), mobilenet.inputs(1)
    message, body = messages.grpc(mobilenet.NAME, mobilenet.INPUT, row), messages.rest(row)
    flags = ("--model-name", mobilenet.NAME, "--model-base-path", str(model))
    over_grpc: list[load.Load] = []
    over_rest: list[load.Load] = []
    single: list[float] = []
    batched: list[float] = []
    bare: list[float] = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        engine("tensorflow") as tensorflow,
        engine("openvino") as openvino,
        serving(Path(scratch) / "server", *flags) as server,
    ):
        server.wait_ready()
        look = 0.5 if given.quick else 1.5
        tensorflow_best, openvino_best = best(tensorflow, look), best(openvino, look)
        for _ in range(rounds):
            single.append(tensorflow(16, 1, seconds))
            batched.append(tensorflow(*tensorflow_best, seconds))
            bare.append(openvino(*openvino_best, seconds))
            over_grpc.append(load.grpc(server.grpc, message, seconds, answer=ANSWER_BYTES))
            url = f"{server.rest}/v1/models/{mobilenet.NAME}:predict"
            over_rest.append(load.http(url, body, seconds))
    grpc, rest = [one.requests_per_second for one in over_grpc], [one.requests_per_second for one in over_rest]
    table = Table(("what", "rows/s", "p50 ms", "p99 ms", "errors"))
    for name, loads in (("graft, gRPC", over_grpc), ("graft, REST JSON", over_rest)):
        rates = [one.requests_per_second for one in loads]
        errors = sum(sum(one.errors.values()) for one in loads)
        table.add(name, rates, [one.p50_ms for one in loads], [one.p99_ms for one in loads], errors)
    table.add("TensorFlow in process, 16 threads of 1 row", single, None, None, None)
    for name, (threads, rows), found in (
        ("TensorFlow", tensorflow_best, batched),
        ("OpenVINO", openvino_best, bare),
    ):
        table.add(f"{name} in process, its best: {threads} threads of {rows} rows", found, None, None, None)
    held = [
        at_least("gRPC / TensorFlow, 1 row from 16 threads", _ratios(grpc, single), 2.5),
        at_least("gRPC / TensorFlow at its best batch", _ratios(grpc, batched), 1.6),
        at_least("gRPC / OpenVINO in process", _ratios(grpc, bare), 0.85),
        at_least("REST JSON / gRPC", _ratios(rest, grpc), 0.7),
    ]
    return conclude("mnv", table, held, given)


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    return [mine / its for mine, its in zip(ours, theirs, strict=True)]


if __name__ == "__main__":
    sys.exit(main())
