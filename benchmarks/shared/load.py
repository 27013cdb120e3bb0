"""Load from a process of its own: ``wrk`` for HTTP, ``h2load`` for gRPC, both a closed loop of so many clients.

A closed loop finds what a server can do; its latencies are those at saturation. What a server answers at a load it is
given, whether it keeps up or not, is asked by ``at_rate``, which sends on a schedule and counts from the time a request
was due (``graft bench`` is the same program).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

CLIENTS = 16
PREDICT = "/tensorflow.serving.PredictionService/Predict"
_PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client"}
_WARM_S, _PATIENCE_S = 1.0, 60

_WRK = """
local file = io.open(os.getenv("LOAD_BODY"), "rb")
wrk.method, wrk.body = "POST", file:read("*a")
file:close()
function done(summary, latency)
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests": %d, "us": %d, "p50": %f, "p99": %f, "refused": %d, "broken": %d, "timed_out": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.status,
    e.connect + e.read + e.write, e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What one load found. Errors by what happened; only what was answered well counts as a request."""

    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: Mapping[str, int] = field(default_factory=dict)


class NoTool(RuntimeError):
    """A program that benchmarks need is not on this machine and cannot be installed."""


def tool(name: str) -> str:
    """Where ``wrk`` or ``h2load`` is; installed with the system's packages when it is missing.

    Raises:
        NoTool: it cannot be; with what to do.
    """
    if not shutil.which(name):
        subprocess.run(["apt-get", "install", "-y", _PACKAGES[name]], check=False, capture_output=True)
    found = shutil.which(name)
    if found is None:
        raise NoTool(f"{name} makes the load and is not here: install the package {_PACKAGES[name]}")
    return found


def http(
    url: str,
    body: bytes,
    seconds: float = 5,
    *,
    clients: int = CLIENTS,
    headers: Mapping[str, str] | None = None,
    warm_s: float = _WARM_S,
) -> Load:
    """POST this body again and again from so many connections; whole seconds, after a warm-up that does not count."""
    with tempfile.TemporaryDirectory() as scratch:
        script, payload = Path(scratch) / "post.lua", Path(scratch) / "body"
        script.write_text(_WRK)
        payload.write_bytes(body)
        command = [tool("wrk"), "-t1", f"-c{clients}", f"--timeout={_PATIENCE_S}s", "-s", str(script)]
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            command += ["-H", f"{name}: {value}"]
        environment = {**os.environ, "LOAD_BODY": str(payload)}
        for lasting in filter(None, (warm_s, seconds)):
            said = subprocess.run(
                [*command, f"-d{max(1, round(lasting))}s", url], env=environment, capture_output=True, text=True
            )
            if said.returncode or not said.stderr.strip().endswith("}"):
                raise RuntimeError(f"wrk failed: {said.stdout[-500:]} {said.stderr[-500:]}")
    found = json.loads(said.stderr.strip().splitlines()[-1])
    errors = {name: found[name] for name in ("refused", "broken", "timed_out") if found[name]}
    good = found["requests"] - found["refused"]
    return Load(good, good / (found["us"] / 1e6), found["p50"] / 1e3, found["p99"] / 1e3, errors)


def framed(message: bytes) -> bytes:
    """A message as gRPC writes it into a stream."""
    return struct.pack(">?I", False, len(message)) + message


def grpc(
    address: str,
    message: bytes,
    seconds: float = 5,
    *,
    answer: int,
    method: str = PREDICT,
    clients: int = CLIENTS,
    warm_s: float = _WARM_S,
) -> Load:
    """Call a method with this message again and again, one call at a time on each of so many connections.

    ``answer`` is the length of the right answer's message in bytes: h2load does not read gRPC's status, which comes
    after the body, but a call that failed has no body.
    """
    with tempfile.TemporaryDirectory() as scratch:
        payload, log = Path(scratch) / "message", Path(scratch) / "log"
        payload.write_bytes(framed(message))
        command = [
            tool("h2load"),
            f"-c{clients}",
            "-m1",
            "-t1",
            f"-D{round(seconds * 1e3)}ms",
            f"--warm-up-time={round(warm_s * 1e3)}ms",
        ]
        command += ["-w24", "-W24", f"--log-file={log}", "-d", str(payload)]
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        said = subprocess.run([*command, f"http://{address}{method}"], capture_output=True, text=True)
        traffic = re.search(r"^traffic: .*\((\d+)\) data$", said.stdout, re.MULTILINE)
        count = re.search(r"^requests: .* (\d+) done, (\d+) succeeded", said.stdout, re.MULTILINE)
        if said.returncode or traffic is None or count is None or not log.exists():
            raise RuntimeError(f"h2load failed: {said.stdout[-500:]} {said.stderr[-500:]}")
        # A line a request: when it began in us since 1970, its HTTP status, and how long it took in us.
        lines = [line.split() for line in log.read_text().splitlines()]
    took = np.array([int(line[2]) for line in lines if len(line) == 3 and line[1] == "200"]) / 1e3
    done, succeeded = map(int, count.groups())
    good = min(succeeded, round(int(traffic[1]) / (answer + len(framed(b"")))))
    errors = {"failed": done - good} if done > good else {}
    p50, p99 = np.percentile(took, [50, 99]) if took.size else (float("nan"),) * 2
    return Load(good, good / seconds, float(p50), float(p99), errors)
