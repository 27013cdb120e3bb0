"""What a server says of a model's signature, over either door, and the trial request that shows it answers at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from service.adapters.load_test.plan import LoadTestError, Question, Target
from service.adapters.load_test.questions import Specs
from service.domain.tensors import Array, TensorSpec

PREDICT = "/tensorflow.serving.PredictionService/Predict"
_PATIENCE_S = 60.0
_ADVICE = "; if it cannot take made inputs, give it some of yours with --json-file"


class RestDoor:
    """TensorFlow Serving's REST API."""

    def __init__(self, target: Target) -> None:
        import httpx

        self._http = httpx.Client(base_url=target.address, timeout=_PATIENCE_S, headers=dict(target.headers))
        self._broken: tuple[type[Exception], ...] = (httpx.HTTPError, httpx.InvalidURL)

    def specs(self, model: str, signature: str) -> Specs:
        """The signature's inputs. Raises: LoadTestError."""
        answer = self._asked("GET", f"/v1/models/{quote(model, safe='')}/metadata")
        try:
            found = answer["metadata"]["signature_def"]["signature_def"]
            inputs = _chosen(found, signature)["inputs"]
            return {alias: _from_json(alias, info) for alias, info in inputs.items()}
        except (KeyError, TypeError, ValueError) as error:
            raise LoadTestError("the server answers, but not with TensorFlow Serving's metadata") from error

    def question(self, model: str, body: bytes) -> Question:
        """A predict request."""
        return Question(f"/v1/models/{quote(model, safe='')}:predict", body)

    def attempt(self, question: Question) -> None:
        """Send one request. Raises: LoadTestError with the server's words."""
        self._asked("POST", question.path, question.body)

    def _asked(self, method: str, path: str, body: bytes | None = None) -> Any:
        headers = {"content-type": "application/json"}
        try:
            answer = self._http.request(method, path, content=body, headers=headers)
        except self._broken as error:
            raise LoadTestError(f"{self._http.base_url} cannot be reached: {error}") from error
        try:
            said = answer.json()
        except ValueError as error:
            raise LoadTestError(f"{method} {path} answers {answer.status_code} and no JSON") from error
        if answer.status_code != 200:
            words = said.get("error", said) if isinstance(said, dict) else said
            advice = _ADVICE if method == "POST" and answer.status_code in (400, 422) else ""
            raise LoadTestError(f"{method} {path} answers {answer.status_code}: {words}{advice}")
        return said


class GrpcDoor:
    """TensorFlow Serving's PredictionService."""

    def __init__(self, target: Target) -> None:
        import grpc

        from service.tensorflow_protos import prediction_service_pb2_grpc

        self._grpc = grpc
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        self._metadata = tuple(target.headers.items())
        self._channel = grpc.insecure_channel(target.address, options)
        self._service = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def specs(self, model: str, signature: str) -> Specs:
        """The signature's inputs. Raises: LoadTestError."""
        from service.tensorflow_protos import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = model
        answer = self._called(self._service.GetModelMetadata, request)
        found = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(found)
        inputs = _chosen(found.signature_def, signature).inputs
        return {alias: _from_proto(alias, info) for alias, info in inputs.items()}

    def question(self, model: str, signature: str, tensors: Mapping[str, Array]) -> Question:
        """A predict request with raw tensors."""
        from service.tensorflow_protos import predict_pb2, types_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, signature
        for alias, array in tensors.items():
            tensor = request.inputs[alias]
            tensor.dtype = types_pb2.DT_STRING if array.dtype == object else _number(array)
            for size in array.shape:
                tensor.tensor_shape.dim.add(size=size)
            if array.dtype == object:
                tensor.string_val.extend(array.ravel().tolist())
            else:
                tensor.tensor_content = array.tobytes()
        return Question(PREDICT, request.SerializeToString())

    def attempt(self, question: Question) -> None:
        """Send one request. Raises: LoadTestError with the server's words."""
        self._called(self._channel.unary_unary(question.path), question.body)

    def _called(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=_PATIENCE_S, metadata=self._metadata)
        except self._grpc.RpcError as error:
            code = error.code().name
            advice = _ADVICE if code == "INVALID_ARGUMENT" else ""
            raise LoadTestError(f"the server answers {code}: {error.details()}{advice}") from error


def _chosen(signatures: Mapping[str, Any], name: str) -> Any:
    if name not in signatures:
        raise LoadTestError(f"the model has no signature {name!r}; it has {sorted(signatures)}")
    return signatures[name]


def _from_json(alias: str, info: Mapping[str, Any]) -> TensorSpec:
    shape = info["tensor_shape"]
    if shape.get("unknown_rank"):
        return TensorSpec(alias, info["dtype"], None)
    return TensorSpec(alias, info["dtype"], tuple(_size(int(dim["size"])) for dim in shape.get("dim", ())))


def _from_proto(alias: str, info: Any) -> TensorSpec:
    from service.tensorflow_protos import types_pb2

    dtype = types_pb2.DataType.Name(info.dtype)
    if info.tensor_shape.unknown_rank:
        return TensorSpec(alias, dtype, None)
    return TensorSpec(alias, dtype, tuple(_size(dim.size) for dim in info.tensor_shape.dim))


def _size(size: int) -> int | None:
    return None if size < 0 else size


def _number(array: Array) -> int:
    from service.domain.tensors import type_name
    from service.tensorflow_protos import types_pb2

    return int(types_pb2.DataType.Value(type_name(array)))
