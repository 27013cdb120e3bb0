"""A client of any server that speaks TensorFlow Serving: plain httpx, and the stubs of ``tensorflow-serving-api``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf import text_format
from real_server import until
from tensorflow import make_ndarray, make_tensor_proto
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

MOST_BYTES = 2**31 - 1
CALL_S = 30.0
Arrays = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Answer:
    """What was asked of TensorFlow, and what it answered."""

    inputs: dict[str, np.ndarray[Any, Any]]
    outputs: dict[str, np.ndarray[Any, Any]]

    @property
    def output(self) -> np.ndarray[Any, Any]:
        """The only output."""
        (only,) = self.outputs.values()
        return only

    def first(self, rows: int) -> Answer:
        """The same for the first rows only."""
        return Answer({a: v[:rows] for a, v in self.inputs.items()}, {a: v[:rows] for a, v in self.outputs.items()})


@dataclass
class Target:
    """The server under test, and what TensorFlow says to the same models."""

    rest_url: str
    grpc_address: str
    directory: Path
    rest: httpx.Client = field(init=False)
    channel: grpc.Channel = field(init=False)

    def __post_init__(self) -> None:
        self.rest = httpx.Client(base_url=self.rest_url, timeout=CALL_S)
        sizes = [("grpc.max_send_message_length", MOST_BYTES), ("grpc.max_receive_message_length", MOST_BYTES)]
        self.channel = grpc.insecure_channel(self.grpc_address, options=sizes)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def close(self) -> None:
        """Let go of the connections."""
        self.rest.close()
        self.channel.close()

    # What is known of the models.

    def answer(self, name: str) -> Answer:
        """TensorFlow's own, as the building script kept it."""
        with np.load(self.directory / "answers" / f"{name}.npz", allow_pickle=True) as kept:
            sides = {
                side: {k[len(side) :]: kept[k] for k in kept.files if k.startswith(side)} for side in ("in:", "out:")
            }
        return Answer(sides["in:"], sides["out:"])

    def signatures(self, model: str) -> get_model_metadata_pb2.SignatureDefMap:
        """The SavedModel's own signatures."""
        return get_model_metadata_pb2.SignatureDefMap.FromString(
            (self.directory / "signatures" / f"{model}.pb").read_bytes()
        )

    def config(self) -> model_server_config_pb2.ModelServerConfig:
        """What the server was started with."""
        text = (self.directory / "models.config").read_text()
        return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())

    # REST.

    def post(self, path: str, body: object, **more: Any) -> httpx.Response:
        """``body`` as JSON, with NaN and Infinity as the bare words that they are in this contract."""
        return self.rest.post(path, content=json.dumps(body), **more)

    def predict_rows(self, model: str, instances: object, signature: str | None = None) -> Any:
        """The predictions for a request in rows that succeeds."""
        return self._predicted(model, {"instances": instances}, signature, "predictions")

    def predict_columns(self, model: str, inputs: object, signature: str | None = None) -> Any:
        """The outputs for a request in columns that succeeds."""
        return self._predicted(model, {"inputs": inputs}, signature, "outputs")

    def _predicted(self, model: str, body: dict[str, object], signature: str | None, key: str) -> Any:
        answer = self.post(f"/v1/models/{model}:predict", body | ({"signature_name": signature} if signature else {}))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        said = json.loads(answer.content)
        assert list(said) == [key]
        return said[key]

    # gRPC.

    def predict(
        self,
        model: str,
        inputs: Arrays | Mapping[str, tensor_pb2.TensorProto],
        *,
        timeout: float = CALL_S,
        output_filter: Sequence[str] = (),
        **spec: Any,
    ) -> predict_pb2.PredictResponse:
        """Predict; ``spec`` is ``signature_name``, ``version`` or ``version_label``."""
        return self.prediction.Predict(predict_request(model, inputs, output_filter, **spec), timeout=timeout)

    def status(self, model: str, version: int | None = None) -> dict[int, str]:
        """The state of each version."""
        request = get_model_status_pb2.GetModelStatusRequest()
        fill(request.model_spec, model, version=version)
        answer = self.models.GetModelStatus(request, timeout=CALL_S)
        name = get_model_status_pb2.ModelVersionStatus.State.Name
        return {one.version: name(one.state) for one in answer.model_version_status}

    def live(self, model: str) -> set[int]:
        """The versions that answer now; none of an unknown model."""
        try:
            return {version for version, state in self.status(model).items() if state == "AVAILABLE"}
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return set()

    def reload(
        self, config: model_server_config_pb2.ModelServerConfig, timeout: float = CALL_S
    ) -> model_management_pb2.ReloadConfigResponse:
        """HandleReloadConfigRequest."""
        request = model_management_pb2.ReloadConfigRequest(config=config)
        return self.models.HandleReloadConfigRequest(request, timeout=timeout)

    def wait_live(self, model: str, *versions: int) -> None:
        """Until exactly these versions answer."""
        until(f"{model} serves {versions}", lambda: self.live(model) == set(versions), CALL_S)


def fill(
    spec: Any,
    name: str,
    *,
    signature_name: str = "",
    version: int | None = None,
    version_label: str | None = None,
) -> None:
    """Fill a ``ModelSpec`` in."""
    spec.name, spec.signature_name = name, signature_name
    if version is not None:
        spec.version.value = version
    if version_label is not None:
        spec.version_label = version_label


def predict_request(
    model: str,
    inputs: Arrays | Mapping[str, tensor_pb2.TensorProto],
    output_filter: Sequence[str] = (),
    **spec: Any,
) -> predict_pb2.PredictRequest:
    """A ``PredictRequest``, arrays as ``tf.make_tensor_proto`` has them."""
    request = predict_pb2.PredictRequest(output_filter=output_filter)
    fill(request.model_spec, model, **spec)
    for alias, value in inputs.items():
        proto = value if isinstance(value, tensor_pb2.TensorProto) else make_tensor_proto(value)
        request.inputs[alias].CopyFrom(proto)
    return request


def arrays(outputs: Mapping[str, tensor_pb2.TensorProto]) -> dict[str, np.ndarray[Any, Any]]:
    """Outputs as TensorFlow reads them."""
    return {alias: make_ndarray(proto) for alias, proto in outputs.items()}


def same(actual: Any, expected: np.ndarray[Any, Any], *, rtol: float = 0.0) -> None:
    """Hold a tensor, or the JSON of one, against TensorFlow's own: type, shape and every value.

    JSON has strings for bytes, and ``{"b64": ...}`` is decoded by ``unb64`` first.
    """
    if isinstance(actual, np.ndarray):
        assert actual.dtype == expected.dtype
    elif expected.dtype == object:
        actual = _strings(actual, expected.shape)
    else:
        _typed(actual, expected.dtype.kind)
        actual = np.array(actual, expected.dtype)
    assert actual.shape == expected.shape
    if rtol and expected.dtype.kind == "f":
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(actual, expected)


def _strings(actual: Any, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    found = np.empty(shape, object)
    flat = [actual]
    for _ in shape:
        flat = [item for part in flat for item in part]
    found.reshape(-1)[:] = [item.encode() if isinstance(item, str) else item for item in flat]
    return found


def _typed(value: Any, kind: str) -> None:
    """JSON of the kind that the tensor has: no ``1.0`` for an integer, no ``1`` for a float or a truth value."""
    if isinstance(value, list):
        for one in value:
            _typed(one, kind)
    else:
        assert type(value) is {"f": float, "i": int, "u": int, "b": bool}[kind], value


def refused(response: httpx.Response, status: int, *gist: str) -> None:
    """A REST error as the contract has it: this code, and JSON with the message and nothing else."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/json")
    said = json.loads(response.content)
    assert list(said) == ["error"]
    assert isinstance(said["error"], str)
    for part in gist:
        assert part in said["error"], f"{part!r} is not in {said['error']!r}"


@dataclass
class Rejection:
    """The text of an error, once there is one."""

    text: str = ""


@contextmanager
def rejected(code: grpc.StatusCode, *gist: str) -> Iterator[Rejection]:
    """A gRPC error with this code, whose text has these parts."""
    rejection = Rejection()
    with pytest.raises(grpc.RpcError) as caught:
        yield rejection
    rejection.text = caught.value.details() or ""
    assert caught.value.code() is code, rejection.text
    for part in gist:
        assert part in rejection.text, f"{part!r} is not in {rejection.text!r}"


def at_all_depths(value: Any, change: Callable[[Any], Any]) -> Any:
    """``change`` applied to whatever nested lists hold."""
    return [at_all_depths(one, change) for one in value] if isinstance(value, list) else change(value)
