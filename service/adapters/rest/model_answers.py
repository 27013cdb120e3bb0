"""What TF Serving's status and metadata routes answer: its field names, its int64 as text, its doubled keys."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from service.application.lifecycle import VersionStatus
from service.domain.tensors import Array, Signature, TensorSpec, type_name
from service.domain.versions import VersionId, VersionState

STATES: Mapping[VersionState, str] = {
    VersionState.NEW: "START",
    VersionState.LOADING: "LOADING",
    VersionState.LIVE: "AVAILABLE",
    VersionState.DRAINING: "UNLOADING",
    VersionState.FAILED: "END",
    VersionState.ENDED: "END",
}
_FIELDS = {
    "DT_FLOAT": "float_val",
    "DT_DOUBLE": "double_val",
    "DT_INT8": "int_val",
    "DT_INT16": "int_val",
    "DT_INT32": "int_val",
    "DT_UINT8": "int_val",
    "DT_UINT16": "int_val",
    "DT_BOOL": "bool_val",
}


def status(versions: Sequence[VersionStatus]) -> bytes:
    """The versions of a model and how they are."""
    listed = [
        {
            "version": str(one.version),
            "state": STATES[one.state],
            "status": {"error_code": "UNKNOWN" if one.error else "OK", "error_message": one.error or ""},
        }
        for one in versions
    ]
    return orjson.dumps({"model_version_status": listed}, option=orjson.OPT_INDENT_2)


def metadata(version: VersionId, signatures: Mapping[str, Signature]) -> bytes:
    """The signatures of a version."""
    spec = {"name": version.model, "signature_name": "", "version": str(version.version)}
    defined = {name: _signature(signature) for name, signature in signatures.items()}
    body = {"model_spec": spec, "metadata": {"signature_def": {"signature_def": defined}}}
    return orjson.dumps(body, option=orjson.OPT_INDENT_2)


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {alias: _tensor_info(spec) for alias, spec in signature.inputs.items()},
        "outputs": {alias: _tensor_info(spec) for alias, spec in signature.outputs.items()},
        "method_name": signature.method,
        "defaults": {alias: _tensor(array) for alias, array in signature.defaults.items()},
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    shape = {"dim": _dims(spec.shape or ()), "unknown_rank": spec.shape is None}
    return {"dtype": spec.dtype, "tensor_shape": shape, "name": spec.graph_name}


def _dims(shape: Sequence[int | None]) -> list[dict[str, str]]:
    return [{"size": "-1" if size is None else str(size), "name": ""} for size in shape]


def _tensor(array: Array) -> dict[str, Any]:
    """A tensor as a message in JSON: floats, integers and text in their own fields, all else as a block of bytes."""
    dtype = type_name(array)
    said: dict[str, Any] = {"dtype": dtype, "tensor_shape": {"dim": _dims(array.shape), "unknown_rank": False}}
    values = array.ravel().tolist()
    if dtype == "DT_STRING":
        said["string_val"] = [base64.b64encode(value).decode() for value in values]
    elif dtype == "DT_INT64":
        said["int64_val"] = [str(value) for value in values]
    elif dtype in _FIELDS and all(map(math.isfinite, values)):
        said[_FIELDS[dtype]] = values
    else:
        said["tensor_content"] = base64.b64encode(array.tobytes()).decode()
    return said
