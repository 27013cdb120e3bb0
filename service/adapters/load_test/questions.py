"""Requests for a model: from what its server says of it, or from a file that holds one.

What is made fits the signature and is otherwise arbitrary: a model may still refuse it, which the trial request before
the load finds out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from service.adapters.load_test.plan import LoadTestError
from service.domain.tensors import NUMPY_TYPES, Array, TensorSpec

_DECIMALS = 4
_HELP = "say what to send with --json-file"

Specs = Mapping[str, TensorSpec]


def made(specs: Specs, rows: int, seed: int) -> dict[str, Array]:
    """Inputs of a signature, the same for the same seed.

    Raises:
        LoadTestError: the signature does not say enough to make one.
    """
    draws = np.random.default_rng(seed)
    return {alias: _values(spec, _shape(spec, rows), draws) for alias, spec in specs.items()}


def _shape(spec: TensorSpec, rows: int) -> tuple[int, ...]:
    if spec.shape is None:
        raise LoadTestError(f"input {spec.alias!r} may be of any shape: {_HELP}")
    inner = spec.shape[1:]
    if not all(size is not None for size in inner):
        raise LoadTestError(f"input {spec.alias!r} is {spec.shape_text()}, and only the rows can be chosen: {_HELP}")
    if spec.shape and spec.shape[0] not in (None, rows):
        raise LoadTestError(f"input {spec.alias!r} is {spec.shape_text()}: it takes --rows {spec.shape[0]} only")
    return tuple(rows if size is None else size for size in spec.shape)


def _values(spec: TensorSpec, shape: tuple[int, ...], draws: np.random.Generator) -> Array:
    dtype = NUMPY_TYPES.get(spec.dtype)
    if spec.dtype == "DT_STRING":
        return np.full(shape, b"graft", dtype=object)
    if spec.dtype == "DT_UINT8":
        return draws.integers(0, 256, shape, dtype=np.uint8)
    if dtype is not None and dtype.kind == "f":
        return draws.normal(size=shape).round(_DECIMALS).astype(dtype)
    if dtype is not None and dtype.kind in "iub":
        # Whole numbers are mostly places in a table; every table has these.
        return draws.integers(0, 2, shape).astype(dtype)
    raise LoadTestError(f"input {spec.alias!r} is {spec.dtype}: {_HELP}")


def as_json(tensors: Mapping[str, Array], specs: Specs, signature: str) -> bytes:
    """The body of a predict request: rows where every input has them, else one tensor an input."""
    listed = {alias: _listed(array) for alias, array in tensors.items()}
    body: dict[str, Any] = {"signature_name": signature}
    if listed and all(spec.shape for spec in specs.values()) and len({len(rows) for rows in listed.values()}) == 1:
        (first, *others) = listed
        rows = [dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]
        body["instances"] = rows if others else listed[first]
    else:
        body["inputs"] = listed
    return orjson.dumps(body)


def _listed(array: Array) -> Any:
    if array.dtype == object:
        return np.vectorize(bytes.decode, otypes=[object])(array).tolist()
    return array.astype(np.float64).round(_DECIMALS).tolist() if array.dtype.kind == "f" else array.tolist()


def from_json(text: str, specs: Specs, signature: str) -> tuple[bytes, dict[str, Array]]:
    """A request from a file's JSON, a list of instances or a whole body; the same for either door.

    Raises:
        LoadTestError: it is not JSON, or not a request to this signature.
    """
    try:
        body = json.loads(text)
    except ValueError as error:
        raise LoadTestError(f"the file is not JSON: {error}") from error
    if isinstance(body, list):
        body = {"instances": body}
    if not isinstance(body, dict) or not ("instances" in body) ^ ("inputs" in body):
        raise LoadTestError('the file holds neither a list of instances nor a body with "instances" or "inputs"')
    body.setdefault("signature_name", signature)
    return orjson.dumps(body), {alias: _array(value, specs[alias]) for alias, value in _columns(body, specs).items()}


def _columns(body: Mapping[str, Any], specs: Specs) -> dict[str, Any]:
    """Whole tensors by input."""
    given = body.get("inputs", body.get("instances"))
    if "inputs" in body:
        columns = given if isinstance(given, dict) and "b64" not in given else dict.fromkeys(list(specs)[:1], given)
    elif given and all(isinstance(row, dict) and "b64" not in row for row in given):
        columns = {alias: [row.get(alias) for row in given] for alias in given[0]}
    else:
        columns = dict.fromkeys(list(specs)[:1], given)
    if set(columns) != set(specs):
        raise LoadTestError(f"the file gives inputs {sorted(columns)}; the signature has {sorted(specs)}")
    return columns


def _array(value: Any, spec: TensorSpec) -> Array:
    if spec.dtype not in NUMPY_TYPES:
        raise LoadTestError(f"input {spec.alias!r} is {spec.dtype}, which cannot be sent")
    try:
        array = np.array(_decoded(value), NUMPY_TYPES[spec.dtype])
    except (ValueError, TypeError) as error:
        raise LoadTestError(f"input {spec.alias!r} is not {spec.dtype} in the file: {error}") from error
    if not spec.accepts(array.shape):
        raise LoadTestError(f"input {spec.alias!r} is {spec.shape_text()}; the file has {list(array.shape)}")
    return array


def _decoded(value: Any) -> Any:
    """JSON's texts and ``b64`` objects as bytes, however deep in lists."""
    if isinstance(value, list):
        return [_decoded(one) for one in value]
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"])
    return value.encode() if isinstance(value, str) else value
