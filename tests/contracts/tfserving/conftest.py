"""TensorFlow Serving's contract as cases over two addresses; each names the clause of ``tfserving.md`` that it checks.

By itself the suite builds its models, starts ``graft serve`` on them and asks it. Against any other server::

    .venv/bin/python tests/support/contract_models.py DIR         # --served-from PATH if the server sees DIR elsewhere
    tensorflow_model_server --port=8500 --rest_api_port=8501 --model_config_file=DIR/models.config \\
        --allow_version_labels_for_unavailable_models --prefer_tflite_model --rest_api_enable_cors_support \\
        --monitoring_config_file=DIR/monitoring.config --enable_grpc_healthcheck_service
    CONTRACT_REST=http://localhost:8501 CONTRACT_GRPC=localhost:8500 CONTRACT_MODELS=DIR \\
        .venv/bin/python -m pytest tests/contracts/tfserving -m 'not differs'

``differs`` marks what Graft does on purpose otherwise, as ``docs/compatibility.md`` says. CONTRACT_MODELS alone
saves the building: the suite starts its own server on that directory.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from contract_client import Target
from once import once
from real_server import ENVIRONMENT, GRAFT, Server, until

REST, GRPC, MODELS = (f"CONTRACT_{name}" for name in ("REST", "GRPC", "MODELS"))
BUILD = Path(__file__).parents[2] / "support" / "contract_models.py"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, their config and TensorFlow's answers."""
    if MODELS in os.environ:
        return Path(os.environ[MODELS]).resolve()
    return once(tmp_path_factory, "contract", _build)


def _build(directory: Path) -> None:
    command = [sys.executable, str(BUILD), str(directory)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="session")
def target(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The server under test."""
    if REST in os.environ:
        target = Target(os.environ[REST], os.environ[GRPC], built)
        yield target
        target.close()
        return
    with _serving(built, tmp_path_factory.mktemp("serving")) as server:
        target = Target(server.rest, server.grpc, built)
        wanted = {one.name for one in target.config().model_config_list.config}
        # A verdict on each is enough here: cases on a model that does not load say so themselves.
        until(f"every model tried:\n{server.tail()}", lambda: all(_settled(target, name) for name in wanted))
        yield target
        target.close()


def _settled(target: Target, name: str) -> bool:
    answer = target.rest.get(f"/v1/models/{quote(name, safe='')}")
    found = [one["state"] for one in answer.json().get("model_version_status", ())]
    return bool(found) and {"START", "LOADING"}.isdisjoint(found)


@contextmanager
def _serving(built: Path, workdir: Path) -> Iterator[Server]:
    flags = {
        "repository": workdir / "repository",
        "state": workdir / "state",
        "rest-port": 0,
        "grpc-port": 0,
        "poll-seconds": 0.1,
        "drain-seconds": 0,
        "model_config_file": built / "models.config",
        "monitoring_config_file": built / "monitoring.config",
        "rest_api_enable_cors_support": "true",
        "enable_grpc_healthcheck_service": "true",
        "prefer_tflite_model": "true",
    }
    command = [GRAFT, "serve", *(f"--{name}={value}" for name, value in flags.items())]
    log = workdir / "server.log"
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"REST (\S+)  gRPC (\S+)", line)
    try:
        assert found, f"the server said {line!r}; its log: {log.read_text()}"
        server = Server(process, log, found[1], found[2])
        yield server
        server.http.close()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
