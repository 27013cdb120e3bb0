"""How long does a predict request's JSON take, in and out? 150,528 numbers of one image in, 32 rows of 1,000 out.

Each way beside what orjson and numpy take for the same in the same run, the careful reader too, and gRPC's messages for
the same tensors. Prints medians, and ends with status 1 unless the requirements are met: in 5 ms in, in 2 ms out.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from service.adapters.rest import answer_json, plain_numbers, predict_json, tensor_json
from service.domain.tensors import Signature, TensorSpec

RUNS = 41
IN_MS, OUT_MS = 5.0, 2.0
IMAGE = Signature({"image": TensorSpec("image", "DT_FLOAT", (None, 224, 224, 3))}, {})


def medians(**ways: Callable[[], Any]) -> dict[str, float]:
    """Milliseconds each way takes, one after the other in turn, so that a busy machine is busy for all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(RUNS):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) * 1e3 for name, taken in seconds.items()}


def read(body: bytes) -> Any:
    """As the door reads it."""
    return predict_json.read(body).tensors(IMAGE, "serving_default")[0]["image"]


def read_with_care(body: bytes) -> Any:
    """As the door reads what is out of the ordinary."""
    return tensor_json.decode(tensor_json.parse(body), IMAGE, "serving_default")[0]["image"]


def decoding(name: str, body: bytes, values: Callable[[Any], Any]) -> float:
    """Print one line; the milliseconds taken."""
    expected = np.array(values(orjson.loads(body)), np.float32)
    assert plain_numbers.read(body) is not None
    assert read(body).tobytes() == expected.tobytes() == read_with_care(body).tobytes()
    took = medians(
        graft=lambda: read(body),
        orjson=lambda: np.array(values(orjson.loads(body)), np.float32),
        careful=lambda: read_with_care(body),
    )
    line(f"in   {name}", len(body), took)
    return took["graft"]


def encoding(name: str, array: np.ndarray[Any, Any]) -> float:
    """Print one line; the milliseconds taken."""
    took = medians(
        graft=lambda: answer_json.encode({"y": array}, True),
        orjson=lambda: orjson.dumps({"predictions": array.tolist()}),
    )
    line(f"out  {name}", len(answer_json.encode({"y": array}, True)), took)
    return took["graft"]


def messages(image: np.ndarray[Any, Any], rows: np.ndarray[Any, Any]) -> None:
    """Print what gRPC's messages of typed fields take for the same tensors."""
    from service.adapters.rpc import tensor_proto

    proto = tensor_proto.encode(image)
    line("gRPC in, typed field", proto.ByteSize(), medians(graft=lambda: tensor_proto.decode("image", proto)))
    line("gRPC out, typed field", rows.nbytes, medians(graft=lambda: tensor_proto.encode(rows)))


def line(name: str, size: int, took: dict[str, float]) -> None:
    """One row of the table."""
    ratio = f"{took['orjson'] / took['graft']:8.1f}" if "orjson" in took else f"{'':8}"
    times = "".join(f"{took[way]:10.2f}" if way in took else f"{'':10}" for way in ("graft", "orjson", "careful"))
    print(f"{name:<34}{size / 1e6:7.2f}{times}{ratio}")


def main() -> int:
    """Print the table; 0 when the requirements are met."""
    random = np.random.default_rng(0)
    image = random.random((1, 224, 224, 3)).astype(np.float32)
    short = np.round(image.astype(np.float64), 4)
    rows = random.random((32, 1000)).astype(np.float32)
    print(f"{processor()}, Python {platform.python_version()}; medians of {RUNS}, milliseconds")
    print(f"{'':<34}{'MB':>7}{'Graft':>10}{'orjson+np':>10}{'careful':>10}{'ratio':>8}")
    plain = decoding("rows, 4 decimals", json.dumps({"instances": short.tolist()}).encode(), lambda r: r["instances"])
    decoding(
        "named rows, 4 decimals",
        json.dumps({"instances": [{"image": one} for one in short.tolist()]}).encode(),
        lambda root: [row["image"] for row in root["instances"]],
    )
    decoding("columns, 4 decimals", json.dumps({"inputs": short.tolist()}).encode(), lambda root: root["inputs"])
    decoding(
        "rows, full float32 text",
        orjson.dumps({"instances": image}, option=orjson.OPT_SERIALIZE_NUMPY),
        lambda root: root["instances"],
    )
    out = encoding("32 x 1000 float32", rows)
    rows[3, 5] = np.nan
    encoding("32 x 1000 float32, one NaN", rows)
    messages(image, rows)
    met = plain <= IN_MS and out <= OUT_MS
    verdict = "met" if met else "missed"
    print(f"150,528 floats in: {plain:.2f} ms of {IN_MS:g}; 32 x 1000 out: {out:.2f} ms of {OUT_MS:g}: {verdict}")
    return 0 if met else 1


def processor() -> str:
    """What this machine calls its processor."""
    file = Path("/proc/cpuinfo")
    names = [row.partition(":")[2].strip() for row in file.read_text().splitlines() if row.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


if __name__ == "__main__":
    sys.exit(main())
