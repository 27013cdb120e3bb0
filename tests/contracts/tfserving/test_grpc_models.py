"""2.1, 2.3, 2.4: GetModelMetadata, GetModelStatus, health and reflection over gRPC."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from contract_client import CALL_S, Target, fill, rejected
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT
MISSING = grpc.StatusCode.NOT_FOUND
FIELD = ("signature_def",)


def metadata(target: Target, model: str, fields: tuple[str, ...] = FIELD, **spec: Any) -> Any:
    """GetModelMetadata."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    fill(request.model_spec, model, **spec)
    return target.prediction.GetModelMetadata(request, timeout=CALL_S)


def status(target: Target, model: str, **spec: Any) -> list[tuple[int, str, int]]:
    """GetModelStatus."""
    request = get_model_status_pb2.GetModelStatusRequest()
    fill(request.model_spec, model, **spec)
    said = target.models.GetModelStatus(request, timeout=CALL_S).model_version_status
    name = get_model_status_pb2.ModelVersionStatus.State.Name
    return [(one.version, name(one.state), one.status.error_code) for one in said]


@pytest.mark.parametrize("model", ["half", "many", "strings", "identity", "examples", "shapes", "words", "defaults"])
def test_metadata(target: Target, model: str) -> None:
    """2.2, 2.3: the SavedModel's own signatures in an Any, the version used, and no signature name."""
    said = metadata(target, model)
    assert said.model_spec.name == model
    assert said.model_spec.version.value == (2 if model == "half" else 1)
    assert said.model_spec.signature_name == ""
    (packed,) = said.metadata.values()
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    assert get_model_metadata_pb2.SignatureDefMap.FromString(packed.value) == target.signatures(model)


@pytest.mark.parametrize("spec", [{"version": 1}, {"version_label": "stable"}], ids=["2.3 version", "2.3 label"])
def test_metadata_of_a_version(target: Target, spec: dict[str, Any]) -> None:
    """2.3: versions and labels are honoured, and the answer names the version."""
    said = metadata(target, "half", **spec)
    assert said.model_spec.version.value == 1
    assert said.model_spec.WhichOneof("version_choice") == "version"


METADATA_ERRORS = [
    ("no field", ("half", ()), {}, INVALID, "GetModelMetadataRequest must specify at least one metadata_field"),
    ("unknown field", ("half", ("size",)), {}, INVALID, "Metadata field size is not supported"),
    ("empty name", ("",), {}, INVALID, "ModelSpec has no name specified."),
    ("unknown model", ("x",), {}, MISSING, "Servable not found for request: Latest(x)"),
    ("unknown version", ("half",), {"version": 9}, MISSING, "Servable not found for request: Specific(half, 9)"),
    ("unknown label", ("half",), {"version_label": "l"}, INVALID, "Unrecognized servable version label: l"),
]


@pytest.mark.parametrize(
    ("asked", "spec", "code", "gist"), [pytest.param(*case[1:], id=f"2.4 {case[0]}") for case in METADATA_ERRORS]
)
def test_metadata_errors(target: Target, asked: Any, spec: dict[str, Any], code: grpc.StatusCode, gist: str) -> None:
    """2.4: what GetModelMetadata refuses."""
    with rejected(code, gist):
        metadata(target, *asked, **spec)


def test_no_model_spec(target: Target) -> None:
    """2.4: Missing ModelSpec, for metadata and for status."""
    with rejected(INVALID, "Missing ModelSpec"):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=FIELD)
        target.prediction.GetModelMetadata(request, timeout=CALL_S)
    with rejected(INVALID, "Missing ModelSpec"):
        target.models.GetModelStatus(get_model_status_pb2.GetModelStatusRequest(), timeout=CALL_S)


@pytest.mark.parametrize(
    ("spec", "versions"),
    [
        pytest.param({}, [2, 1], id="2.3 all versions, newest first"),
        pytest.param({"version": 1}, [1], id="2.3 one version"),
        pytest.param({"version_label": "stable"}, [2, 1], id="2.4 label ignored"),
        pytest.param({"version_label": "unknown"}, [2, 1], id="2.4 unknown label ignored"),
    ],
)
def test_status(target: Target, spec: dict[str, Any], versions: list[int]) -> None:
    """2.2: state AVAILABLE (30) and error code OK."""
    assert status(target, "half", **spec) == [(version, "AVAILABLE", 0) for version in versions]


@pytest.mark.parametrize(
    ("model", "spec", "gist"),
    [
        pytest.param("x", {}, "Could not find any versions of model x", id="2.4 unknown model"),
        pytest.param("half", {"version": 99}, "Could not find version 99 of model half", id="2.4 unknown version"),
        pytest.param("", {}, "Could not find any versions of model", id="2.4 empty name is not found"),
    ],
)
def test_status_errors(target: Target, model: str, spec: dict[str, Any], gist: str) -> None:
    """2.4: what GetModelStatus does not find."""
    with rejected(MISSING, gist):
        status(target, model, **spec)


@pytest.mark.parametrize(
    "service",
    [
        "",
        pytest.param("ModelService", id="2.1 ModelService"),
        pytest.param("PredictionService", id="2.1 PredictionService"),
        pytest.param("tensorflow.serving.PredictionService", marks=pytest.mark.differs, id="differs: qualified"),
        pytest.param("tensorflow.serving.ModelService", marks=pytest.mark.differs, id="differs: qualified too"),
    ],
)
def test_health(target: Target, service: str) -> None:
    """2.1: SERVING, under TensorFlow Serving's unqualified names; differs: under the qualified ones too."""
    request = health_pb2.HealthCheckRequest(service=service)
    said = health_pb2_grpc.HealthStub(target.channel).Check(request, timeout=CALL_S)
    assert said.status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_an_unknown_service(target: Target) -> None:
    """2.1: NOT_FOUND, as gRPC's health protocol has it."""
    with rejected(MISSING):
        request = health_pb2.HealthCheckRequest(service="nobody")
        health_pb2_grpc.HealthStub(target.channel).Check(request, timeout=CALL_S)


def reflected(target: Target, **asked: str) -> reflection_pb2.ServerReflectionResponse:
    """One question to reflection."""
    request = reflection_pb2.ServerReflectionRequest(**asked)
    stub = reflection_pb2_grpc.ServerReflectionStub(target.channel)
    return next(iter(stub.ServerReflectionInfo(iter([request]), timeout=CALL_S)))


def test_reflection_lists_the_services(target: Target) -> None:
    """2.1: server reflection is linked in."""
    said = {one.name for one in reflected(target, list_services="").list_services_response.service}
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"} <= said


@pytest.mark.parametrize("symbol", ["tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"])
def test_reflection_knows_the_messages(target: Target, symbol: str) -> None:
    """2.1: so that grpcurl needs no proto files."""
    said = reflected(target, file_containing_symbol=symbol)
    assert said.file_descriptor_response.file_descriptor_proto


@pytest.mark.parametrize(
    "method",
    ["/tensorflow.serving.SessionService/SessionRun", "/tensorflow.serving.PredictionService/PredictStreamed"],
)
def test_what_is_not_served(target: Target, method: str) -> None:
    """2.1: SessionService has a proto and no server, PredictStreamed only messages."""
    with rejected(grpc.StatusCode.UNIMPLEMENTED):
        target.channel.unary_unary(method)(b"", timeout=CALL_S)
