"""What can be set, and to what; ``settings_sources`` is where it is read from."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SHORTEST_POLL_S = 0.01
_WHOLE = re.compile(r"-?\d{1,9}")


class SettingsError(ValueError):
    """A setting is unknown or has a value that it cannot have."""


def _setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A repository that is no directory."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def short_name(self) -> str:
        """A name for what belongs to this store, fit for a file."""
        return hashlib.sha256(self.text.rstrip("/").encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Settings of ``graft serve``."""

    repository: Path | StoreUrl = _setting(
        Path("models"), "directory, or s3://BUCKET/PREFIX, of <model>/<version>/ to serve, and to publish into"
    )
    repository_endpoint: str = _setting("", "URL of the S3-compatible store, where the environment does not name it")
    repository_cache: str = _setting("", "directory that mirrors the store (default in the state directory)")
    repository_cache_bytes: int = _setting(
        64 << 30, "most bytes of it; newest versions and those that answer are held in any case"
    )
    discover: bool = _setting(True, "serve every model of the repository, and tune; else only the models named below")
    state: Path = _setting(Path("state"), "directory for jobs, datasets and uploads")
    database: str = _setting(
        "", "URL of the job database, as postgresql://USER@HOST/NAME; one in the state directory if empty"
    )
    datasets: str = _setting("", "directory for labelled data, shared by all services on one database; else in state")
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
    dataset_root: str = _setting("", "directory whose files datasets may be made of by their path; none if empty")
    max_upload_bytes: int = _setting(16 << 30, "largest upload of labelled data")
    max_open_uploads: int = _setting(32, "how many uploads in parts may be open at once; beyond it 503")
    max_open_upload_bytes: int = _setting(64 << 30, "most bytes that they may have together; beyond it 507")
    upload_hours: float = _setting(24.0, "how long an upload in parts is kept open after its last part")
    webhook_url: str = _setting("", "address that is told of every job's end, by a signed POST")
    webhook_secret_file: str = _setting("", "file with the secret that signs it, 16 bytes at least")
    known_feature_bytes: int = _setting(4 << 30, "most bytes of features kept for the next jobs; 0 keeps none")
    trainers: int = _setting(1, "how many tuning jobs run at once")
    keep_jobs_days: float = _setting(90.0, "how long ended jobs are kept that made no version still there; 0 for ever")
    keep_datasets_days: float = _setting(0.0, "how long data is kept that no kept job names; 0 for ever")
    warm_trainers: int = _setting(1, "trainers kept started, so that a job need not wait for TensorFlow; 500 MB each")
    ray: str = _setting("", "URL of a Ray cluster's dashboard, for trainers on its machines; on this one if empty")
    ray_gpus: float = _setting(1.0, "GPUs a trainer gets there; a part of one is allowed")
    ray_cpus: float = _setting(1.0, "CPUs a trainer gets there")
    ray_python: str = _setting("python", "Python there that has Graft installed")
    ray_work_area: str = _setting(
        "", "directory for jobs at work, with the same path here, there and on every service; else in state"
    )
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
    def directory(self) -> Path:
        """The directory that is served: the repository, or what mirrors it."""
        if isinstance(self.repository, Path):
            return self.repository
        return Path(self.repository_cache) if self.repository_cache else self.state / f"s3-{self.repository.short_name}"

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
    "max_open_uploads": 0,
    "max_open_upload_bytes": 1,
    "upload_hours": 0.0,
    "known_feature_bytes": 0,
    "trainers": 0,
    "keep_jobs_days": 0,
    "keep_datasets_days": 0,
    "warm_trainers": 0,
    "ray_gpus": 0,
    "ray_cpus": 0,
    "warmup_iterations": 0,
    "load_threads": 1,
    "engine_cache_bytes": 0,
    "repository_cache_bytes": 0,
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


def checked(settings: ServeSettings) -> ServeSettings:
    """The same. Raises: SettingsError, one of them has a value that it cannot have."""
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
