"""What can be set by flag, environment and file, and which wins: flag, then ``GRAFT_<NAME>``, then file, then default.

A key nobody knows is an error with a suggestion, wherever it stands: a misspelt setting that is silently ignored is how
servers come to run with the wrong one.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

PREFIX = "GRAFT_"
_SERVICE_LINK = re.compile(r"GRAFT_(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT=\w+://|PORT_\d+_\w+=).*")
"""What Kubernetes puts into every container when a Service is named ``graft`` or ``graft-...``; nobody set it."""

_SHORTEST_POLL_S = 0.01
_WHOLE = re.compile(r"-?\d{1,9}")


class SettingsError(ValueError):
    """A setting is unknown or has a value that it cannot have."""


def _setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Settings of ``graft serve``."""

    repository: Path = _setting(Path("models"), "directory of <model>/<version>/ to serve, and to publish into")
    discover: bool = _setting(True, "serve every model of the repository, and tune; else only the models named below")
    state: Path = _setting(Path("state"), "directory for jobs, datasets and uploads")
    host: str = _setting("127.0.0.1", "address to listen on; 0.0.0.0 for every one")
    rest_port: int = _setting(8501, "REST port; 0 takes a free one")
    grpc_port: int = _setting(8500, "gRPC port; 0 takes a free one")
    workers: int = _setting(1, "processes that share the ports; each has its own lanes, limits and models in memory")
    keep: int = _setting(1, "how many of a model's newest versions to serve")
    model_name: str = _setting("default", "name of the one model that model_base_path is for")
    model_base_path: str = _setting("", "directory of <version>/ to serve as one model, beside the repository's")
    model_config_file: str = _setting("", "TF Serving's ModelServerConfig, as text; wins over model_base_path")
    model_config_file_poll_wait_seconds: float = _setting(0.0, "how often to read it again; 0 for never")
    require: str = _setting("", "models, comma-separated, that must be live before the server calls itself ready")
    poll_seconds: float = _setting(0.5, "how often to look for new versions; 0 for once")
    lanes: int = _setting(0, "how many graphs run at once; 0 means one a core, shared by the workers")
    spare_lanes: int = _setting(4, "how many lanes more stand in for those that a graph never gives back")
    stuck_seconds: float = _setting(
        5.0, "how long a run may go on after its last caller left before it is one of those"
    )
    max_batch_rows: int = _setting(
        0, "most rows in one run of a graph; 0 takes what is measured to be best at load, at most 32"
    )
    max_waiting_rows: int = _setting(4096, "most rows waiting for a graph before requests are refused")
    max_waiting_bytes: int = _setting(1 << 30, "most bytes of decoded requests under way before more are refused")
    request_timeout_seconds: float = _setting(30.0, "longest a REST request may take")
    max_request_bytes: int = _setting(256 << 20, "largest REST predict request")
    max_message_bytes: int = _setting(256 << 20, "largest gRPC request; up to 2 GiB, as TF Serving takes")
    max_buffered_bytes: int = _setting(1 << 30, "most bytes of REST requests in memory at once; beyond it 503")
    max_connections: int = _setting(4096, "most REST connections at once; beyond it 503")
    max_header_bytes: int = _setting(64 << 10, "largest head of a REST request; beyond it 431")
    read_timeout_seconds: float = _setting(
        30.0, "longest for a REST request's head to arrive, and for its body, but for a second more each 16 KiB of it"
    )
    keep_alive_seconds: float = _setting(75.0, "longest pause between two requests of a REST connection")
    max_upload_bytes: int = _setting(4 << 30, "largest upload of labelled data")
    trainers: int = _setting(1, "how many tuning jobs run at once")
    warm_trainers: int = _setting(1, "trainers kept started, so that a job need not wait for TensorFlow; 500 MB each")
    batching_parameters_file: str = _setting("", "TF Serving's BatchingParameters, as text, for every model")
    per_model_batching: bool = _setting(False, "read batching_params.pbtxt in a version's directory, too")
    warmup_iterations: int = _setting(1, "how often a version's warm-up records are run before it answers")
    load_threads: int = _setting(4, "how many versions load at once")
    engine: str = _setting(
        "auto", "what runs models: auto (OpenVINO where it answers as TensorFlow does), tensorflow, or openvino"
    )
    precision: str = _setting("f32", "OpenVINO's: f32, or bf16 or int8, whose answers differ; by how much is shown")
    engine_cache: str = _setting("", "directory for compiled models (default engines/ in the state directory)")
    engine_cache_bytes: int = _setting(4 << 30, "most bytes of compiled models; the least recently used go")
    intra_op_threads: int = _setting(0, "TensorFlow's threads inside one operation; 0 means as many as it likes")
    inter_op_threads: int = _setting(0, "TensorFlow's threads for operations side by side; 0 is one a lane and spare")
    saved_model_tags: str = _setting("serve", "tags, comma-separated, of the graph to take from a SavedModel")
    prefer_tflite: bool = _setting(False, "take model.tflite where a version has both forms")
    monitoring_config_file: str = _setting("", "TF Serving's MonitoringConfig, as text; its metrics at its path")
    cors: bool = _setting(False, "let pages of any origin call the REST predict routes")
    ssl_config_file: str = _setting("", "TF Serving's SSLConfig, as text; gRPC speaks TLS")
    grpc_socket: str = _setting("", "Unix socket for gRPC, beside the port; with port 0 instead of it")
    grpc_channel_arguments: str = _setting("", "gRPC channel arguments, as name=value,name=value")
    tensor_content: bool = _setting(False, "answer over gRPC with tensor_content instead of the typed fields")
    drain_seconds: float = _setting(1.0, "after SIGTERM, how long to go on answering while not ready")
    shutdown_seconds: float = _setting(30.0, "after that, how long accepted requests may take to finish")
    log_level: str = _setting("info", "debug, info, warning or error")

    @property
    def required_models(self) -> tuple[str, ...]:
        """``require`` as names."""
        return tuple(name.strip() for name in self.require.split(",") if name.strip())

    @property
    def source(self) -> str:
        """Where what is served comes from."""
        named = self.model_config_file or self.model_base_path
        return str(self.repository) if self.discover or not named else named

    @property
    def channel_arguments(self) -> tuple[tuple[str, str | int], ...]:
        """``grpc_channel_arguments`` as names and values; a value that reads as a whole number is one."""
        pairs = (pair.partition("=") for pair in self.grpc_channel_arguments.split(",") if pair)
        return tuple((name, int(text) if _WHOLE.fullmatch(text) else text) for name, _, text in pairs)


def add_flags(parser: ArgumentParser) -> None:
    """One flag a setting, and ``--config`` for the file."""
    parser.add_argument("--config", type=Path, help="TOML file with any of the settings below, under their names")
    for setting in fields(ServeSettings):
        text = f"{setting.metadata['help']} (default {setting.default}; also {PREFIX}{setting.name.upper()})"
        parser.add_argument("--" + setting.name.replace("_", "-"), default=None, help=text, metavar="VALUE")


def read_settings(flags: Namespace, environment: Mapping[str, str]) -> ServeSettings:
    """Settings from all three places.

    Raises:
        SettingsError
    """
    values: dict[str, Any] = {}
    if flags.config is not None:
        values |= _from_file(flags.config)
    values |= _from_environment(environment)
    values |= {
        setting.name: _typed(setting.name, getattr(flags, setting.name), f"--{setting.name.replace('_', '-')}")
        for setting in fields(ServeSettings)
        if getattr(flags, setting.name) is not None
    }
    return _checked(ServeSettings(**values))


def _from_file(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    known = _names()
    for name in raw:
        if name not in known:
            raise SettingsError(f"{path}: no setting is called {name!r}{_suggestion(name, known)}")
    return {name: _typed(name, _as_text(name, value, path), f"{path}: {name}") for name, value in raw.items()}


def _as_text(name: str, value: Any, path: Path) -> str:
    """A TOML value as it would be written in a flag; a list, a table or a truth value is none."""
    wanted = {bool: (bool,), int: (int, float), float: (int, float)}.get(type(_default(name)), (str,))
    if type(value) not in wanted:
        raise SettingsError(f"{path}: {name}: {value!r} is not of type {type(_default(name)).__name__}")
    return str(value)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    known = _names()
    for variable, value in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in known and _is_service_link(variable, environment):
            continue
        if name not in known:
            raise SettingsError(f"{variable}: no setting is called {name!r}{_suggestion(name, known)}")
        values[name] = _typed(name, value, variable)
    return values


def _is_service_link(variable: str, environment: Mapping[str, str]) -> bool:
    return (
        "KUBERNETES_SERVICE_HOST" in environment
        and _SERVICE_LINK.fullmatch(f"{variable}={environment[variable]}") is not None
    )


def _default(name: str) -> Any:
    return next(setting.default for setting in fields(ServeSettings) if setting.name == name)


def _names() -> list[str]:
    return [setting.name for setting in fields(ServeSettings)]


def about_unknown_flags(flags: Sequence[str], also: Collection[str] = ()) -> str:
    """What to say to flags that nobody knows; ``also`` are the names of others that are known."""
    known = ["--" + name.replace("_", "-") for name in ("config", *_names())] + [f"--{name}" for name in also]
    first = flags[0].partition("=")[0]
    return f"unrecognized arguments: {' '.join(flags)}{_suggestion(first, known)}"


def _suggestion(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"


def _typed(name: str, value: str, place: str) -> Any:
    default = _default(name)
    kind: Callable[[str], Any] = {bool: _truth}.get(type(default), Path if isinstance(default, Path) else type(default))
    try:
        return kind(value)
    except ValueError as error:
        raise SettingsError(f"{place}: {value!r} is not of type {type(default).__name__}") from error


def _truth(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError(value)
    return value.lower() == "true"


_LEAST = {
    "workers": 1,
    "keep": 1,
    "poll_seconds": 0,
    "model_config_file_poll_wait_seconds": 0,
    "lanes": 0,
    "spare_lanes": 0,
    "stuck_seconds": 0,
    "max_batch_rows": 0,
    "max_waiting_rows": 1,
    "max_waiting_bytes": 1,
    "request_timeout_seconds": 0.001,
    "max_request_bytes": 1,
    "max_message_bytes": 1,
    "max_buffered_bytes": 1,
    "max_connections": 1,
    "max_header_bytes": 1,
    "read_timeout_seconds": 0.001,
    "keep_alive_seconds": 0.001,
    "max_upload_bytes": 1,
    "trainers": 0,
    "warm_trainers": 0,
    "warmup_iterations": 0,
    "load_threads": 1,
    "engine_cache_bytes": 0,
    "intra_op_threads": 0,
    "inter_op_threads": 0,
    "drain_seconds": 0,
    "shutdown_seconds": 0,
}


_CHOICES = {
    "engine": ("auto", "tensorflow", "openvino"),
    "precision": ("f32", "bf16", "int8"),
    "log_level": ("debug", "info", "warning", "error"),
}


def _checked(settings: ServeSettings) -> ServeSettings:
    for name, bound in _LEAST.items():
        value = getattr(settings, name)
        if not (math.isfinite(value) and value >= bound):
            raise SettingsError(f"{name} must be at least {bound}, and is {value}")
    if 0 < settings.poll_seconds < _SHORTEST_POLL_S:
        raise SettingsError(f"poll_seconds must be 0 or at least {_SHORTEST_POLL_S}, and is {settings.poll_seconds}")
    for name in ("rest_port", "grpc_port"):
        if not 0 <= getattr(settings, name) <= 65535:
            raise SettingsError(f"{name} must be between 0 and 65535, and is {getattr(settings, name)}")
    for pair in filter(None, settings.grpc_channel_arguments.split(",")):
        if not all(pair.partition("=")):
            raise SettingsError(f"grpc_channel_arguments must be name=value pairs, and one is {pair!r}")
    for name, choices in _CHOICES.items():
        if getattr(settings, name) not in choices:
            *first, last = choices
            said = f"{', '.join(first)} or {last}"
            raise SettingsError(f"{name} must be {said}, and is {getattr(settings, name)!r}")
    if settings.precision != "f32" and settings.engine == "tensorflow":
        raise SettingsError(f"precision {settings.precision} is OpenVINO's, and engine is tensorflow")
    return settings
