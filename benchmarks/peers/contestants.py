"""Every server as something that can be started with a model and asked in its own ways.

Peers run with the settings that were fastest here on two cores, of those their documentation offers: workers 1 and 2,
batches of 4, 8 and 16, waits of 0 to 10 ms, TensorFlow's threads 1 and 2. Each has both cores, as Graft has.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from shared.server_process import serving

from peers import ways
from peers.environments import HERE, interpreter
from peers.running import free_ports, running
from peers.ways import Model, Ways


@dataclass(frozen=True)
class Contestant:
    """A server. ``start`` runs it with a model, a scratch directory at hand, while its context is open."""

    name: str
    start: Callable[[Model, Path], AbstractContextManager[Ways]]
    ours: bool = False


@dataclass(frozen=True)
class Peer:
    """How a peer is run: its program, its settings for a model by name, and its ways."""

    name: str
    command: Callable[[Path, Path], list[str]]
    settings: Mapping[str, Mapping[str, str]]
    ways: Callable[[Model, int, int], Ways]
    health: str = "/health"
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def start(self, model: Model, scratch: Path) -> Iterator[Ways]:
        """Run it until the context ends."""
        http, grpc, metrics = free_ports(3)
        environment = {
            **os.environ,
            **self.environment,
            **{f"PEER_{name}": value for name, value in self.settings[model.name].items()},
            "PEER_MODEL": str(model.place / "1"),
            "PEER_HTTP": str(http),
            "PEER_GRPC": str(grpc),
            "PEER_METRICS": str(metrics),
            "PYTHONPATH": str(HERE),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        command = [word.replace("{http}", str(http)) for word in self.command(interpreter(self.name), scratch)]
        with running(command, environment, f"http://127.0.0.1:{http}{self.health}", scratch):
            yield self.ways(model, http, grpc)


def graft(name: str, *flags: str) -> Contestant:
    """Graft with these flags."""

    @contextmanager
    def start(model: Model, scratch: Path) -> Iterator[Ways]:
        wanted = ("--model-name", model.name, "--model-base-path", str(model.place), *flags)
        with serving(scratch, *wanted) as server:
            server.wait_ready()
            yield ways.tfserving(model, server.rest, server.grpc)

    return Contestant(name, start, ours=True)


def tensorflow_serving(program: str) -> Contestant:
    """TensorFlow Serving with its batching on, a lane a core and no waiting."""
    batching = "max_batch_size { value: 32 }\nbatch_timeout_micros { value: 0 }\nnum_batch_threads { value: 2 }\n"

    @contextmanager
    def start(model: Model, scratch: Path) -> Iterator[Ways]:
        rest, address = free_ports(2)
        scratch.mkdir(parents=True, exist_ok=True)
        parameters = scratch / "batching.txt"
        parameters.write_text(batching)
        command = [program, f"--rest_api_port={rest}", f"--port={address}", f"--model_name={model.name}"]
        command += [f"--model_base_path={model.place}", "--enable_batching", f"--batching_parameters_file={parameters}"]
        place = f"http://127.0.0.1:{rest}"
        with running(command, os.environ, f"{place}/v1/models/{model.name}", scratch):
            yield ways.tfserving(model, place, f"127.0.0.1:{address}")

    return Contestant("tfserving", start)


def _settings(workers: int, doors: int, batch: int, wait_s: float, threads: int) -> dict[str, str]:
    return {
        "WORKERS": str(workers),
        "DOORS": str(doors),
        "BATCH": str(batch),
        "WAIT_S": str(wait_s),
        "INTRA": str(threads),
        "INTER": str(threads),
    }


PEERS = [
    Peer(
        "litserve",
        lambda python, _: [str(python), str(HERE / "litserve_server.py")],
        {"tiny": _settings(1, 1, 16, 0.002, 1), "mnv": _settings(1, 1, 8, 0.005, 2)},
        ways.litserve,
    ),
    Peer(
        "mlserver",
        lambda python, scratch: [str(python), str(HERE / "mlserver_runtime.py"), str(scratch / "folder")],
        {"tiny": _settings(0, 1, 16, 0.002, 1), "mnv": _settings(0, 1, 8, 0.005, 2)},
        ways.mlserver,
        "/v2/models/served/ready",
    ),
    Peer(
        "bentoml",
        lambda python, _: [
            *(str(python.with_name("bentoml")), "serve", "bentoml_service:Served", "--working-dir", str(HERE)),
            *("--host", "127.0.0.1", "--port", "{http}"),
        ],
        {"tiny": _settings(1, 1, 16, 0.0, 1), "mnv": _settings(1, 1, 8, 0.0, 2)},
        ways.bentoml,
        "/readyz",
        {"BENTOML_DO_NOT_TRACK": "True"},
    ),
    Peer(
        "rayserve",
        lambda python, _: [str(python), str(HERE / "rayserve_app.py")],
        {"tiny": _settings(1, 1, 16, 0.0, 1), "mnv": _settings(2, 1, 8, 0.005, 1)},
        ways.rayserve,
        "/-/healthz",
        {"RAY_USAGE_STATS_ENABLED": "0"},
    ),
]


def contestants(only: list[str]) -> list[Contestant]:
    """Graft first; the peers asked for, and TensorFlow Serving when it is on this machine."""
    found = [graft("graft"), graft("graft, TensorFlow", "--engine", "tensorflow")]
    found += [Contestant(peer.name, peer.start) for peer in PEERS if peer.name in only]
    program = shutil.which("tensorflow_model_server")
    if program:
        found.append(tensorflow_serving(program))
    else:
        print("tensorflow_model_server is not on the PATH: left out", file=sys.stderr)
    return found
