"""TF Serving's REST routes: predict, classify, regress, status and metadata, as a plain ASGI application in front of
everything else.

No framework stands between the socket and the tensors on this path. A client written for TensorFlow Serving finds the
same routes, bodies and codes; ``docs/compatibility.md`` has the deliberate differences.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import orjson

from service.adapters.rest import (
    answer_json,
    example_json,
    model_answers,
    predict_json,
    reply,
    request_body,
    tensor_json,
)
from service.adapters.rest.asgi import Receive, Scope, Send, header
from service.adapters.rest.departure import WhileConnected
from service.adapters.rest.errors import headers_of, status_of
from service.adapters.rest.reading_thread import ReadingThread
from service.application.models import Models
from service.application.predict import Call, Predictor
from service.domain import inference
from service.domain.errors import InvalidInput, ModelNotFound, ServiceError, SignatureNotFound
from service.domain.tensors import Array
from service.domain.versions import ModelRef

log = logging.getLogger(__name__)

_WHICH = r"(?i:/v1/models/)(?P<model>[^/:]+)(?:(?i:/versions/)(?P<version>\d+)|(?i:/labels/)(?P<label>[^/:]+))?"
_INFERENCE = re.compile(rf"{_WHICH}:(?P<verb>predict|classify|regress)", re.ASCII)
_STATUS = re.compile(_WHICH, re.ASCII)
_METADATA = re.compile(rf"{_WHICH}(?i:/metadata)", re.ASCII)
_MAX_VERSION = 2**63 - 1
_MOST_DIGITS = 1000
"""More than any number needs, leading zeros and all, and fewer than Python refuses to read."""


class TfServingDoor:
    """Answers the routes it knows; ``takes`` says which."""

    def __init__(
        self,
        predictor: Predictor,
        models: Models,
        *,
        timeout_s: float,
        max_body_bytes: int,
        max_bodies_bytes: int = 1 << 30,
        gzip_answers: bool = True,
    ) -> None:
        """``max_body_bytes`` bounds a request's body both as it was sent and inflated, ``max_bodies_bytes`` all that
        are in memory at once.
        """
        self._predictor, self._models = predictor, models
        self._room, self._reading = request_body.Room(max_bodies_bytes), ReadingThread()
        self._timeout_s, self._max_body_bytes, self._gzip_answers = timeout_s, max_body_bytes, gzip_answers

    @staticmethod
    def takes(method: str, path: str) -> bool:
        """Whether this door answers: all about models but their list, which is Graft's own, and Graft's own verbs."""
        path = path.lower()
        if path == "/v1/models":
            return method != "GET"
        return path.startswith("/v1/models/") and not (method == "POST" and path.endswith(":tune"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing is sent to a client that has left."""
        headers: dict[str, str] = {}
        connected = WhileConnected(receive)
        try:
            status, body = 200, await self._answer(scope, receive, headers, connected)
        except ServiceError as error:
            status, body = status_of(error), _error(str(error))
            headers |= headers_of(error)
            if header(scope, b"expect"):
                # Whether the body that was announced still comes is for the client to decide, and not to be known here.
                headers["connection"] = "close"
        except Exception:
            request_id = uuid.uuid4().hex
            log.exception("unexpected error, request %s %s %s", request_id, scope["method"], scope["path"])
            status, body = 500, _error(f"internal error, request id {request_id}")
        if not connected.left:
            await reply.send_json(scope, send, status, body, headers, self._gzip_answers)

    async def _answer(
        self, scope: Scope, receive: Receive, headers: dict[str, str], connected: WhileConnected
    ) -> bytes:
        # raw_path, because a name may hold an encoded slash or colon, which must not be taken for syntax.
        raw = scope.get("raw_path") or scope["path"].encode()
        path, method = raw.decode("latin-1").partition("?")[0], scope["method"]
        if method == "POST" and (match := _INFERENCE.fullmatch(path)):
            ref, verb = _reference(match), match["verb"]
            with self._room.share() as take:
                body = await request_body.read(
                    scope, receive, self._max_body_bytes, take, lambda: self._look_up(ref, verb), self._reading
                )
                with connected:
                    if verb == "predict":
                        return await self._predict(ref, body, headers)
                    return await self._infer(ref, verb, body, headers)
            return b""
        if method == "GET" and (match := _STATUS.fullmatch(path)):
            return self._status(_reference(match))
        if method == "GET" and (match := _METADATA.fullmatch(path)):
            return self._metadata(_reference(match))
        raise InvalidInput(f"Malformed request: {method} {path}")

    def _look_up(self, ref: ModelRef, verb: str) -> None:
        """Refuse what no version could answer, and have it counted. Raises: ModelNotFound, UnknownLabel, NotReady."""
        try:
            self._models.find(ref)
        except ServiceError:
            with self._predictor.call(ref, "", "rest", verb):
                raise

    async def _predict(self, ref: ModelRef, body: bytes, headers: dict[str, str]) -> bytes:
        request = await self._reading.run(len(body), predict_json.read, body)
        with self._call(ref, request.signature_name, "predict", headers) as call:
            inputs, in_rows = await self._reading.run(len(body), request.tensors, call.signature, call.signature_name)
            return answer_json.encode(await call.run(inputs, self._timeout_s), in_rows)

    async def _infer(self, ref: ModelRef, verb: str, body: bytes, headers: dict[str, str]) -> bytes:
        """Classify or regress. The examples are looked at before the model, as TF Serving does."""
        name, examples = await self._reading.run(len(body), _read_examples, body, verb)
        try:
            with self._call(ref, name, verb, headers) as call:
                if verb == "classify":
                    inference.check_classifier(call.signature)
                    outputs = await call.run({inference.INPUTS: examples}, self._timeout_s)
                    return example_json.classified(inference.classifications(outputs, len(examples)))
                inference.check_regressor(call.signature)
                outputs = await call.run({inference.INPUTS: examples}, self._timeout_s)
                return example_json.regressed(inference.regressions(outputs, len(examples)))
        except SignatureNotFound as error:
            raise InvalidInput(f"No signature was found with the name: {error.signature}") from error

    @contextmanager
    def _call(self, ref: ModelRef, signature: str, verb: str, headers: dict[str, str]) -> Iterator[Call]:
        with self._predictor.call(ref, signature, "rest", verb) as call:
            headers["graft-model-version"] = str(call.version.version)
            yield call

    def _status(self, ref: ModelRef) -> bytes:
        """How the versions of a model are; a label is passed over, as TF Serving does."""
        every = self._models.history(ref.model)
        if not every:
            raise ModelNotFound(f"Could not find any versions of model {ref.model}")
        versions = [one for one in every if ref.version in (None, one.version)]
        if not versions:
            raise ModelNotFound(f"Could not find version {ref.version} of model {ref.model}")
        return model_answers.status(versions)

    def _metadata(self, ref: ModelRef) -> bytes:
        with self._predictor.lease(ref) as online:
            signatures = {name: endpoint.signature for name, endpoint in online.endpoints.items()}
            return model_answers.metadata(online.id, signatures)


def _reference(match: re.Match[str]) -> ModelRef:
    version = match["version"]
    if version is not None and (len(version) > _MOST_DIGITS or int(version) > _MAX_VERSION):
        raise InvalidInput(f"Failed to convert version: {version} to numeric.")
    return ModelRef(
        unquote(match["model"]),
        int(version) if version is not None else None,
        unquote(match["label"]) if match["label"] is not None else None,
    )


def _read_examples(body: bytes, verb: str) -> tuple[str, Array]:
    """The signature that is asked for, and the examples. Raises: InvalidInput."""
    root = tensor_json.parse(body)
    return tensor_json.signature_name(root), example_json.examples(root, verb)


def _error(text: str) -> bytes:
    return orjson.dumps({"error": text.encode(errors="replace").decode()})
