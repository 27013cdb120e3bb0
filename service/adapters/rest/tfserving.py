"""TF Serving's REST routes: predict, status and metadata, as a plain ASGI application in front of everything else.

No framework stands between the socket and the tensors on this path. A client written for TensorFlow Serving finds the
same routes, bodies and codes; ``docs/compatibility.md`` has the deliberate differences.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote

import orjson

from service.adapters.rest import tensor_json
from service.adapters.rest.errors import headers_of, status_of
from service.application.models import Models
from service.application.predict import Predictor
from service.domain.errors import InvalidInput, ModelNotFound, ServiceError, UploadTooLarge
from service.domain.tensors import Signature, TensorSpec
from service.domain.versions import ModelRef, VersionState

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_WHICH = r"(?P<model>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(rf"/v1/models/{_WHICH}:predict")
_STATUS = re.compile(rf"/v1/models/{_WHICH}")
_METADATA = re.compile(rf"/v1/models/{_WHICH}/metadata")
_MAX_VERSION = 2**63 - 1
_MOST_DIGITS = 1000
"""More than any number needs, leading zeros and all, and fewer than Python refuses to read."""

STATES: Mapping[VersionState, str] = {
    VersionState.NEW: "START",
    VersionState.LOADING: "LOADING",
    VersionState.LIVE: "AVAILABLE",
    VersionState.DRAINING: "UNLOADING",
    VersionState.FAILED: "END",
}


class TfServingDoor:
    """Answers the routes it knows; ``takes`` says which."""

    def __init__(self, predictor: Predictor, models: Models, *, timeout_s: float, max_body_bytes: int) -> None:
        self._predictor, self._models = predictor, models
        self._timeout_s, self._max_body_bytes = timeout_s, max_body_bytes

    @staticmethod
    def takes(method: str, path: str) -> bool:
        """Whether this door answers: everything below ``/v1/models/`` but Graft's own verbs."""
        return path.startswith("/v1/models/") and not (method == "POST" and path.endswith(":tune"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers: dict[str, str] = {}
        try:
            status, body = 200, await self._answer(scope, receive, headers)
        except ServiceError as error:
            status, body = status_of(error), orjson.dumps({"error": str(error)})
            headers |= headers_of(error)
        except Exception:
            request_id = uuid.uuid4().hex
            log.exception("unexpected error, request %s %s %s", request_id, scope["method"], scope["path"])
            status, body = 500, orjson.dumps({"error": f"internal error, request id {request_id}"})
        await _respond(send, status, body, headers)

    async def _answer(self, scope: Scope, receive: Receive, headers: dict[str, str]) -> bytes:
        # raw_path, because a name may hold an encoded slash or colon, which must not be taken for syntax.
        raw = scope.get("raw_path") or scope["path"].encode()
        path, method = raw.decode("latin-1").partition("?")[0], scope["method"]
        if method == "POST" and (match := _PREDICT.fullmatch(path)):
            return await self._predict(_reference(match), await self._body(scope, receive), headers)
        if method == "GET" and (match := _STATUS.fullmatch(path)):
            return self._status(_reference(match))
        if method == "GET" and (match := _METADATA.fullmatch(path)):
            return self._metadata(_reference(match))
        raise InvalidInput(f"Malformed request: {method} {path}")

    async def _predict(self, ref: ModelRef, body: bytes, headers: dict[str, str]) -> bytes:
        root = tensor_json.parse(body)
        name = tensor_json.signature_name(root)
        with self._predictor.call(ref, name, "rest") as call:
            headers["graft-model-version"] = str(call.version.version)
            inputs, in_rows = tensor_json.decode(root, call.signature, call.signature_name)
            return tensor_json.encode(await call.run(inputs, self._timeout_s), in_rows)

    def _status(self, ref: ModelRef) -> bytes:
        versions = [one for one in self._models.status(ref.model) if ref.version in (None, one.version)]
        if not versions:
            which = f"versions of model {ref.model}"
            if ref.version is not None and self._models.status(ref.model):
                raise ModelNotFound(f"Could not find version {ref.version} of model {ref.model}")
            raise ModelNotFound(f"Could not find any {which}")
        listed = [
            {
                "version": str(one.version),
                "state": STATES[one.state],
                "status": {"error_code": "UNKNOWN" if one.error else "OK", "error_message": one.error or ""},
            }
            for one in versions
        ]
        return orjson.dumps({"model_version_status": listed}, option=orjson.OPT_INDENT_2)

    def _metadata(self, ref: ModelRef) -> bytes:
        with self._predictor.lease(ref) as online:
            signatures = {name: _signature(endpoint.signature) for name, endpoint in online.endpoints.items()}
            spec = {"name": ref.model, "signature_name": "", "version": str(online.id.version)}
        body = {"model_spec": spec, "metadata": {"signature_def": {"signature_def": signatures}}}
        return orjson.dumps(body, option=orjson.OPT_INDENT_2)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        if any(name == b"content-encoding" and value != b"identity" for name, value in scope["headers"]):
            raise InvalidInput("compressed request bodies are not supported; send it without Content-Encoding")
        chunks, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise InvalidInput("the client left before its request was complete")
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._max_body_bytes:
                raise UploadTooLarge(
                    f"the request is larger than {self._max_body_bytes} bytes, the limit of this server"
                )
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _reference(match: re.Match[str]) -> ModelRef:
    version = match["version"]
    if version is not None and (len(version) > _MOST_DIGITS or int(version) > _MAX_VERSION):
        raise InvalidInput(f"Failed to convert version: {version} to numeric.")
    return ModelRef(
        unquote(match["model"]),
        int(version) if version is not None else None,
        unquote(match["label"]) if match["label"] is not None else None,
    )


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {alias: _tensor_info(spec) for alias, spec in signature.inputs.items()},
        "outputs": {alias: _tensor_info(spec) for alias, spec in signature.outputs.items()},
        "method_name": signature.method,
        "defaults": {},
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    dims = [{"size": "-1" if size is None else str(size), "name": ""} for size in spec.shape or ()]
    shape = {"dim": dims, "unknown_rank": spec.shape is None}
    return {"dtype": spec.dtype, "tensor_shape": shape, "name": spec.graph_name}


async def _respond(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    pairs = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    pairs += [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
