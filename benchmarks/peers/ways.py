"""How each server is asked for one row: the requests its own documentation shows, and how its answers are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from shared import messages, mobilenet, tiny
from shared.load import PREDICT

from peers import open_inference
from peers.asking import Row, Way
from service.tensorflow_protos import predict_pb2

_BOUNDARY = "row"
JSON, BINARY, GRPC = "json", "binary", "grpc"
Ways = dict[str, Way]


@dataclass(frozen=True)
class Model:
    """A model that everybody serves, and the row they are asked for."""

    name: str
    place: Path
    input: str
    row: Row
    """[1, ...] float32"""

    @property
    def rounded(self) -> list[object]:
        """The row as JSON has it."""
        listed: list[object] = orjson.loads(messages.rest(self.row))["instances"]
        return listed


def models() -> list[Model]:
    """The two that are served."""
    return [
        Model(tiny.NAME, tiny.tiny(), tiny.INPUT, tiny.inputs(1)),
        Model(mobilenet.NAME, mobilenet.mobilenet(), mobilenet.INPUT, mobilenet.inputs(1)),
    ]


def _file(name: str, row: Row) -> tuple[bytes, dict[str, str]]:
    """A multipart body with the row's bytes as one file, and its header."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="row"\r\n\r\n'
    body = head.encode() + row.tobytes() + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return body, {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}


def litserve(model: Model, http: int, grpc: int) -> Ways:
    """Its request format is JSON; bytes come as a file in a form."""

    def read(body: bytes) -> object:
        return orjson.loads(body)["prediction"]

    place = f"http://127.0.0.1:{http}"
    body, headers = _file("file", model.row[0])
    instance = orjson.dumps({"instance": model.rounded[0]})
    return {
        JSON: Way("rest", place, "/predict", instance, read),
        BINARY: Way("rest", place, "/predict", body, read, headers),
    }


def mlserver(model: Model, http: int, grpc: int) -> Ways:
    """Open Inference as JSON, and its gRPC with raw tensors."""

    def read(body: bytes) -> object:
        return orjson.loads(body)["outputs"][0]["data"]

    numbers = np.array(model.rounded).ravel().tolist()
    tensor = {"name": "input", "shape": list(model.row.shape), "datatype": "FP32", "data": numbers}
    body = orjson.dumps({"inputs": [tensor]})
    message = open_inference.request("served", model.row)
    raw = Way("grpc", f"127.0.0.1:{grpc}", open_inference.INFER, message, open_inference.answer)
    return {JSON: Way("rest", f"http://127.0.0.1:{http}", "/v2/models/served/infer", body, read), GRPC: raw}


def bentoml(model: Model, http: int, grpc: int) -> Ways:
    """A numpy input as JSON; bytes come as a file in a form."""
    place = f"http://127.0.0.1:{http}"
    body, headers = _file("files", model.row[0])
    return {
        JSON: Way("rest", place, "/predict", orjson.dumps({"rows": model.rounded}), orjson.loads),
        BINARY: Way("rest", place, "/binary", body, orjson.loads, headers),
    }


def rayserve(model: Model, http: int, grpc: int) -> Ways:
    """Whatever its program reads: JSON, bytes, and TensorFlow Serving's gRPC."""

    def read(body: bytes) -> object:
        return orjson.loads(body)["prediction"]

    place, plain = f"http://127.0.0.1:{http}", {"content-type": "application/octet-stream"}
    return {
        JSON: Way("rest", place, "/", orjson.dumps({"instance": model.rounded[0]}), read),
        BINARY: Way("rest", place, "/", model.row.tobytes(), read, plain),
        GRPC: _predict(model, f"127.0.0.1:{grpc}"),
    }


def _predict(model: Model, address: str) -> Way:
    """TensorFlow Serving's gRPC."""

    def read(message: bytes) -> object:
        (tensor,) = predict_pb2.PredictResponse.FromString(message).outputs.values()
        return tensor.float_val or np.frombuffer(tensor.tensor_content, np.float32)

    return Way("grpc", address, PREDICT, messages.grpc(model.name, model.input, model.row), read)


def tfserving(model: Model, rest: str, address: str) -> Ways:
    """TensorFlow Serving's two doors."""

    def read(body: bytes) -> object:
        return orjson.loads(body)["predictions"]

    path = f"/v1/models/{model.name}:predict"
    return {JSON: Way("rest", rest, path, messages.rest(model.row), read), GRPC: _predict(model, address)}
