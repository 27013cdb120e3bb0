"""TF Serving's model configuration: what its text means, what is refused and in which words, and over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import text_format
from serving_fakes import Bench, Gate, scaling_model
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from service.adapters.rpc.model_configs import ModelConfigFile, OneModel
from service.adapters.rpc.model_status import ModelStatusService
from service.adapters.rpc.prediction import PredictionService
from service.adapters.rpc.server import RpcServer
from service.domain.errors import InvalidInput
from service.domain.serving_config import All, Latest, ModelConfig, ServingConfig, Specific

Code = grpc.StatusCode
EVERYTHING = """
# What TF Serving's documentation shows, and more.
model_config_list {
  config {
    name: "first" base_path: "/models/first" model_platform: "tensorflow"
    model_version_policy { specific { versions: 42 versions: 43 } }
    version_labels { key: 'stable' value: 42 }
    version_labels { key: 'canary' value: 43 }
  }
  config { name: "second", base_path: "/models/second", model_platform: "tensorflow",
           model_version_policy: { latest: { num_versions: 3 } } }
  config { name: "third" base_path: "/models/third" model_type: TENSORFLOW model_version_policy { all {} } }
  config { name: "fourth" base_path: "/models/fourth" model_platform: "tensorflow" }
}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "models.config"


def test_every_field_has_its_meaning(file: Path) -> None:
    file.write_text(EVERYTHING)
    assert ModelConfigFile(file).read() == ServingConfig(
        (
            ModelConfig("first", "/models/first", Specific(frozenset({42, 43})), {"stable": 42, "canary": 43}),
            ModelConfig("second", "/models/second", Latest(3)),
            ModelConfig("third", "/models/third", All()),
            ModelConfig("fourth", "/models/fourth", Latest(1)),
        )
    )


def test_an_empty_list_is_a_configuration(file: Path) -> None:
    file.write_text("model_config_list {}")
    assert ModelConfigFile(file).read() == ServingConfig()


REFUSED = {
    "": "ServerModelConfig type not supported by {place}. Only ModelConfigList is currently supported",
    "custom_model_config {}": "ServerModelConfig type not supported by {place}. Only ModelConfigList",
    'name: "m" base_path: "m" model_platform: "tensorflow"': "Expected model m to have an absolute path or URI; got",
    'name: "m" base_path: "/m"': (
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
        "model name is m"
    ),
    'name: "m" base_path: "/m" model_type: TENSORFLOW model_platform: "tensorflow"': "Illegal setting both",
    'name: "m" base_path: "/m" model_type: OTHER': "Model m requests unsupported platform other",
    'name: "m" base_path: "/m" model_platform: "pytorch"': "Model m requests unsupported platform pytorch",
    'name: "m" base_path: "/m" model_platform: "tensorflow" logging_config {}': "No request-logger-creator provided",
    'name: "m" base_path: "/m" model_platform: "tensorflow" } config { '
    'name: "m" base_path: "/n" model_platform: "tensorflow"': "Illegal to list model m multiple times in config list",
}


def whole(text: str) -> str:
    """A model's fields as a configuration."""
    return f"model_config_list {{ config {{ {text} }} }}" if text.startswith("name") else text


@pytest.mark.parametrize(("text", "message"), REFUSED.items())
def test_what_cannot_be_is_refused_with_the_files_name(file: Path, text: str, message: str) -> None:
    file.write_text(whole(text))
    with pytest.raises(InvalidInput) as caught:
        ModelConfigFile(file).read()
    assert str(caught.value).startswith(f"{file}: ")
    assert message.format(place="a model configuration file") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [("model_config_list {\n  config { nam: 'm' }\n}", 2), ("model_config_list {\n", 1), ("\n\nnonsense", 3)],
)
def test_what_cannot_be_parsed_is_refused_with_file_and_line(file: Path, text: str, line: int) -> None:
    file.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        ModelConfigFile(file).read()
    assert str(caught.value).startswith(
        f"Error parsing text-format tensorflow.serving.ModelServerConfig: {file}:{line}:"
    )


def test_bytes_that_are_no_text_are_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match=r"Error parsing text-format .*models\.config"):
        ModelConfigFile(file).read()
    with pytest.raises(OSError, match="No such file"):
        ModelConfigFile(file.with_name("other")).read()


def test_one_model_is_a_configuration_of_one() -> None:
    assert OneModel("m", "/m").read() == ServingConfig((ModelConfig("m", "/m"),))
    assert OneModel("m", "").read() == ServingConfig()


# --- HandleReloadConfigRequest ----------------------------------------------------------------------------------------


class Place:
    """A server over fakes, and a channel to it."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.server = RpcServer(
            PredictionService(self.bench.predictor),
            ModelStatusService(self.bench.models, self.bench.reloads),
            "127.0.0.1:0",
        )
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    async def reload(self, text: str, timeout: float = 20) -> Any:
        request = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(whole(text), request.config)
        return await self.model.HandleReloadConfigRequest(request, timeout=timeout)

    async def refused(self, text: str, timeout: float = 20) -> tuple[Code, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.reload(text, timeout)
        return caught.value.code(), caught.value.details() or ""

    async def status(self, model: str) -> dict[int, tuple[int, int, str]]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        answer = await self.model.GetModelStatus(request)
        return {
            one.version: (one.state, one.status.error_code, one.status.error_message)
            for one in answer.model_version_status
        }


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    await made.server.start()
    yield made
    await made.channel.close()
    await made.server.stop(0)
    await made.bench.close()


M = 'name: "m" base_path: "/m" model_platform: "tensorflow"'
State = get_model_status_pb2.ModelVersionStatus


async def test_a_reload_that_succeeds_says_ok(place: Place) -> None:
    place.bench.place("/m", 1)
    answer = await place.reload(M)
    assert (answer.status.error_code, answer.status.error_message) == (0, "")
    assert await place.status("m") == {1: (State.AVAILABLE, 0, "")}
    await place.reload("model_config_list {}")
    await place.bench.models.settle()
    assert await place.status("m") == {1: (State.END, 0, "")}


@pytest.mark.parametrize(("text", "message"), REFUSED.items())
async def test_a_request_that_cannot_be_is_an_invalid_argument(place: Place, text: str, message: str) -> None:
    code, told = await place.refused(text)
    assert code == Code.INVALID_ARGUMENT
    assert message.format(place="HandleReloadConfigRequest") in told


async def test_a_label_for_nothing_is_a_failed_precondition(place: Place) -> None:
    place.bench.place("/m", 1)
    code, told = await place.refused(M + ' version_labels { key: "stable" value: 2 }')
    assert (code, told) == (
        Code.FAILED_PRECONDITION,
        "Request to assign label to version 2 of model m, which is not currently available for inference",
    )


async def test_a_model_that_does_not_load_is_unknown_with_its_error(place: Place) -> None:
    place.bench.place("/m", 1, replace(scaling_model(), broken="no variables"))
    code, told = await place.refused(M)
    assert code == Code.UNKNOWN
    assert told == "1 model(s) did not become available: {{name: m} due to error: version: 1: no variables}"
    assert await place.status("m") == {1: (State.END, Code.UNKNOWN.value[0], "no variables")}


async def test_the_callers_deadline_is_kept_with_a_sentence(place: Place) -> None:
    gate = Gate()
    place.bench.place("/m", 1, replace(scaling_model(), load_gate=gate))
    code, told = await place.refused(M, timeout=1.0)
    assert code == Code.DEADLINE_EXCEEDED
    assert "the configuration is in force" in told
    assert told.endswith("still loading: m")
    gate.open()
    await place.bench.models.settle()
