"""TF Serving's model configuration, as a message and as a text file: which models, versions and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import text_format

from service.domain.errors import InvalidInput
from service.domain.serving_config import (
    TENSORFLOW,
    All,
    Latest,
    ModelConfig,
    ServingConfig,
    Specific,
    VersionPolicy,
)
from service.tensorflow_protos import model_server_config_pb2

_TYPES = model_server_config_pb2.ModelType


def serving_config(message: model_server_config_pb2.ModelServerConfig, place: str) -> ServingConfig:
    """What a message says. ``place`` is where it came from, for the error.

    Raises:
        InvalidInput
    """
    if message.WhichOneof("config") != "model_config_list":
        raise InvalidInput(
            f"ServerModelConfig type not supported by {place}. Only ModelConfigList is currently supported"
        )
    return ServingConfig(tuple(_model(one) for one in message.model_config_list.config))


def _model(message: model_server_config_pb2.ModelConfig) -> ModelConfig:
    if message.HasField("logging_config"):
        raise InvalidInput(
            f"No request-logger-creator provided. Model {message.name} has a logging_config; leave it out"
        )
    return ModelConfig(
        message.name, message.base_path, _policy(message), dict(message.version_labels), _platform(message)
    )


def _platform(message: model_server_config_pb2.ModelConfig) -> str:
    kind = "ModelServerConfig::model_type (deprecated)"
    if message.model_type == _TYPES.MODEL_TYPE_UNSPECIFIED:
        if not message.model_platform:
            raise InvalidInput(
                f"Illegal setting neither {kind} nor ModelServerConfig::model_platform, model name is {message.name}"
            )
        return str(message.model_platform)
    if message.model_platform:
        raise InvalidInput(
            f"Illegal setting both {kind} and ModelServerConfig::model_platform, model name is {message.name}"
        )
    return TENSORFLOW if message.model_type == _TYPES.TENSORFLOW else "other"


def _policy(message: model_server_config_pb2.ModelConfig) -> VersionPolicy:
    policy: Any = message.model_version_policy
    which = policy.WhichOneof("policy_choice")
    if which == "all":
        return All()
    if which == "specific":
        return Specific(frozenset(policy.specific.versions))
    return Latest(policy.latest.num_versions or 1)


class ModelConfigFile:
    """A file with a ``ModelServerConfig``. Implements the port of configurations."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> ServingConfig:
        """What the file says now.

        Raises:
            InvalidInput: it cannot be understood; the text names the file, and the line where there is one to blame.
            OSError: it cannot be read.
        """
        message = model_server_config_pb2.ModelServerConfig()
        try:
            text_format.Parse(self._file.read_text(encoding="utf-8"), message)
        except text_format.ParseError as error:
            place = ":".join(str(part) for part in (self._file, error.GetLine(), error.GetColumn()) if part)
            told = str(error).partition(" : ")[2] or error
            raise InvalidInput(
                f"Error parsing text-format tensorflow.serving.ModelServerConfig: {place}: {told}"
            ) from error
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"Error parsing text-format tensorflow.serving.ModelServerConfig: {self._file}: {error}"
            ) from error
        try:
            return serving_config(message, "a model configuration file")
        except InvalidInput as error:
            raise InvalidInput(f"{self._file}: {error}") from error


class OneModel:
    """TF Serving's single-model mode: a configuration of one, or of none without a base path."""

    def __init__(self, name: str, base_path: str) -> None:
        self._name, self._base_path = name, base_path

    def read(self) -> ServingConfig:
        """The one model. Raises: InvalidInput."""
        return ServingConfig((ModelConfig(self._name, self._base_path),) if self._base_path else ())
