"""Predict requests for both of TensorFlow Serving's doors, as bytes that are made once and sent again and again."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.tensorflow_protos import predict_pb2, types_pb2

DECIMALS = 4


def rest(rows: NDArray[np.float32], **fields: Any) -> bytes:
    """The body of ``POST /v1/models/NAME:predict`` in the row format, numbers with four decimals."""
    return orjson.dumps({**fields, "instances": rows.astype(np.float64).round(DECIMALS).tolist()})


def grpc(model: str, name: str, rows: NDArray[np.float32], signature: str = "serving_default") -> bytes:
    """A PredictRequest with one raw float32 tensor."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    tensor = request.inputs[name]
    tensor.dtype = types_pb2.DT_FLOAT
    for size in rows.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = np.ascontiguousarray(rows, np.float32).tobytes()
    return bytes(request.SerializeToString())
