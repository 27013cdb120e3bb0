"""A ``graft serve`` process for benchmarks: started on free ports, asked over both doors, and gone in the end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class ServerProcess:
    """Where it is."""

    pid: int
    rest: str
    grpc: str
    log: Path

    def rss_mb(self) -> float:
        """Its resident memory now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def loaded_graphs(self, http: httpx.Client) -> int:
        """How many graphs it has in memory."""
        found = re.search(r"^graft_loaded_graphs (\S+)$", http.get("/metrics").text, re.MULTILINE)
        assert found is not None
        return round(float(found[1]))


@contextmanager
def serving(directory: Path, *flags: str) -> Iterator[ServerProcess]:
    """A server with its state and log in this directory."""
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "server.log"
    command = [str(Path(sys.executable).with_name("graft")), "serve", "--rest-port", "0", "--grpc-port", "0"]
    command += ["--host", "127.0.0.1", "--state", str(directory / "state"), *flags]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    try:
        found = re.search(r"REST (\S+)  gRPC (\S+)", process.stdout.readline())
        if found is None:
            raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
        yield ServerProcess(process.pid, found[1], found[2], log)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
