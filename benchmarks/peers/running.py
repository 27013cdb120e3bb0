"""Other people's servers as processes: started, waited for, and gone with all they have started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

_START_S, _STOP_S = 120.0, 20.0


@contextmanager
def running(command: list[str], environment: Mapping[str, str], health: str, scratch: Path) -> Iterator[None]:
    """A program, from when ``health`` answers until the context ends. Raises: RuntimeError with the end of its log."""
    scratch.mkdir(parents=True, exist_ok=True)
    log = scratch / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=scratch, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        give_up = time.monotonic() + _START_S
        while not _answers(health):
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"{command[0]} does not start: {log.read_text()[-1500:]}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
