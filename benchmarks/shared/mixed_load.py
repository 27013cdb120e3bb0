"""REST requests to many models by turns, from a closed loop of clients in a process of its own (``wrk``)."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.load import CLIENTS, Load, tool

_SCRIPT = """
local file = io.open(os.getenv("LOAD_BODY"), "rb")
local body = file:read("*a")
file:close()
local requests, at = {}, 0
function init()
  for name in io.lines(os.getenv("LOAD_NAMES")) do
    local path = "/v1/models/" .. name .. ":predict"
    requests[#requests + 1] = wrk.format("POST", path, {["content-type"] = "application/json"}, body)
    if #body * #requests > 3e8 then break end
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests": %d, "us": %d, "p50": %f, "p99": %f, "refused": %d, "broken": %d, "timed_out": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.status,
    e.connect + e.read + e.write, e.timeout))
end
"""


class MixedLoad:
    """A load under way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def running(self) -> bool:
        """Whether it goes on."""
        return self._process.poll() is None

    def result(self) -> Load:
        """What it found, once its time is over."""
        out, err = self._process.communicate()
        if self._process.returncode or not err.strip().endswith("}"):
            raise RuntimeError(f"wrk failed: {out[-500:]} {err[-500:]}")
        found = json.loads(err.strip().splitlines()[-1])
        errors = {name: found[name] for name in ("refused", "broken", "timed_out") if found[name]}
        good = found["requests"] - found["refused"]
        return Load(good, good / (found["us"] / 1e6), found["p50"] / 1e3, found["p99"] / 1e3, errors)


@contextmanager
def mixed_load(
    rest: str, body: bytes, names: Sequence[str], seconds: int, clients: int = CLIENTS
) -> Iterator[MixedLoad]:
    """Ask these models, in this order again and again, for so many seconds; ``result`` waits for the end.

    Of large bodies only as many different requests are made as 300 MB hold.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in (("script.lua", _SCRIPT.encode()), ("body", body), ("names", "\n".join(names).encode())):
            (Path(scratch) / name).write_bytes(content)
        environment = {**os.environ, "LOAD_BODY": f"{scratch}/body", "LOAD_NAMES": f"{scratch}/names"}
        command = [tool("wrk"), "-t1", f"-c{clients}", "--timeout=60s", f"-d{seconds}s", "-s", f"{scratch}/script.lua"]
        process = subprocess.Popen(
            [*command, rest], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            yield MixedLoad(process)
        finally:
            process.kill()
            process.wait()
