"""A ``graft serve`` process for benchmarks: started on free ports, asked over both doors, and gone in the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from shared.memory import family, proportional_mb, resident_mb

ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
_READY_S, _STOP_S = 300.0, 30.0


@dataclass(frozen=True)
class ServerProcess:
    """Where it is."""

    pid: int
    rest: str
    grpc: str
    log: Path

    def rss_mb(self) -> float:
        """Resident memory of its first process now."""
        return resident_mb(self.pid)

    def family_mb(self) -> float:
        """Memory of all its processes now, what they share counted once."""
        return sum(proportional_mb(pid) for pid in family(self.pid))

    def outcomes(self) -> Counter[str]:
        """How so many predict requests ended, by the server's own count."""
        page = httpx.get(f"{self.rest}/metrics", timeout=60).text
        counted: Counter[str] = Counter()
        for outcome, number in re.findall(r'^graft_requests_total{.*outcome="(\w+)".*} (\S+)$', page, re.MULTILINE):
            counted[outcome] += round(float(number))
        return counted

    def loaded_graphs(self, http: httpx.Client) -> int:
        """How many graphs it has in memory."""
        found = re.search(r"^graft_loaded_graphs (\S+)$", http.get("/metrics").text, re.MULTILINE)
        assert found is not None
        return round(float(found[1]))

    def wait_ready(self, timeout_s: float = _READY_S) -> None:
        """Return once everything it serves answers.

        Raises:
            RuntimeError: it does not within the time, or ended; with the end of its log.
        """
        give_up = time.monotonic() + timeout_s
        with httpx.Client(base_url=self.rest, timeout=10) as http:
            try:
                while http.get("/readyz").status_code != httpx.codes.OK:
                    if time.monotonic() > give_up:
                        raise RuntimeError(f"not ready after {timeout_s:.0f} s: {self.log.read_text()[-2000:]}")
                    time.sleep(0.05)
            except httpx.TransportError as error:
                raise RuntimeError(f"the server ended: {self.log.read_text()[-2000:]}") from error


@contextmanager
def serving(
    directory: Path,
    *flags: str,
    cores: Sequence[int] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[ServerProcess]:
    """A server with its state and log in this directory, on these cores only where they are given.

    It is asked to stop in the end, and killed with all its processes when it does not.
    """
    directory.mkdir(parents=True, exist_ok=True)
    log = directory / "server.log"
    command = [str(Path(sys.executable).with_name("graft")), "serve", "--rest-port", "0", "--grpc-port", "0"]
    command += ["--host", "127.0.0.1", "--state", str(directory / "state"), *flags]
    if cores is not None:
        command = ["taskset", "-c", ",".join(map(str, cores)), *command]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**ENVIRONMENT, **(environment or {})},
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        found = re.search(r"REST (\S+)  gRPC (\S+)", process.stdout.readline())
        if found is None:
            raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
        yield ServerProcess(process.pid, found[1], found[2], log)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()
