"""Real server processes on real sockets, a base trained once, and real digits to upload."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from once import once
from real_server import ENVIRONMENT, GRAFT, Digits, Server
from sklearn.datasets import load_digits


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers: ``serve(repository, state=..., flag=value)``; all are gone when the test ends."""
    servers: list[Server] = []

    def start(
        repository: Path | str, state: Path | None = None, environment: Mapping[str, str] | None = None, **flags: object
    ) -> Server:
        log = tmp_path / f"server-{len(servers)}.log"
        command = [GRAFT, "serve", "--repository", str(repository), "--state", str(state or tmp_path / "state")]
        settings = {
            "rest_port": 0,
            "grpc_port": 0,
            "poll_seconds": 0.1,
            "drain_seconds": 0.1,
            "warm_trainers": 0,
            **flags,
        }
        for name, value in settings.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        with log.open("w") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**ENVIRONMENT, **(environment or {})}
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"REST (\S+)  gRPC (\S+)", line)
        assert found, f"the server said {line!r}; its log: {log.read_text()}"
        servers.append(Server(process, log, found[1], found[2]))
        return servers[-1]

    yield start
    for server in servers:
        server.http.close()
        if server.process.poll() is None:
            server.kill()
        if server.process.stdout is not None:
            server.process.stdout.close()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the digits base, trained once for all tests; not to be changed."""
    return once(tmp_path_factory, "trained", lambda place: _train(place, "--only", "base"))


@pytest.fixture(scope="session")
def tuned(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the digits base and the head on 5-9, as the preset makes them; not to be changed."""

    def make(place: Path) -> None:
        shutil.copytree(trained, place, dirs_exist_ok=True)
        _train(place, "--only", "head")

    return once(tmp_path_factory, "tuned", make)


def _train(repository: Path, *options: str) -> None:
    command = [GRAFT, "train", "digits", *options, "--repository", str(repository)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture
def repository(trained: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(trained, tmp_path / "models"))


@pytest.fixture(scope="session")
def digits() -> Digits:
    """Scikit-learn's digits 5-9."""
    data = load_digits()
    chosen = data.target >= 5
    return Digits(np.round(data.images[chosen] * 255 / 16).astype(np.uint8), data.target[chosen])
