"""TF Serving's REST routes: predict, classify, regress, status and metadata, as a plain ASGI application in front of
everything else.

No framework stands between the socket and the tensors on this path. A client written for TensorFlow Serving finds the
same routes, bodies and codes; ``docs/compatibility.md`` has the deliberate differences.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import orjson

from service.adapters.rest import (
    answer_json,
    example_json,
    model_answers,
    plain_numbers,
    predict_json,
    request_body,
    routes,
    tensor_json,
)
from service.adapters.rest.asgi import Headers, Receive, Scope, Send, field
from service.adapters.rest.departure import WhileConnected
from service.adapters.rest.direct import Work
from service.adapters.rest.errors import headers_of, status_of
from service.adapters.rest.predict_json import NumberReader, PredictRequest
from service.adapters.rest.reading_thread import ReadingThread
from service.adapters.rest.reply import JSON, Reply, reply
from service.adapters.rest.small_inference import SmallInference
from service.application.many_heads import head_reference
from service.application.predict import Predictor
from service.application.registry import Registry
from service.domain import errors, inference
from service.domain.errors import InvalidInput, ModelNotFound, ServiceError, SignatureNotFound
from service.domain.tensors import DEFAULT_SIGNATURE, Array, Signature
from service.domain.versions import ModelRef, VersionId

log = logging.getLogger(__name__)

Said = list[tuple[bytes, bytes]]
"""Headers of an answer that come together while it is made."""
_MOST_ADDRESSES, _LONGEST_ADDRESS = 16_384, 256
"""Remembered as read, some megabytes of them; the next one makes all be forgotten. Anyone can invent an address."""


class TfServingDoor:
    """Answers the routes it knows; ``takes`` says which."""

    def __init__(
        self,
        predictor: Predictor,
        models: Registry,
        *,
        timeout_s: float,
        max_body_bytes: int,
        max_bodies_bytes: int = 1 << 30,
        gzip_answers: bool = True,
        numbers: NumberReader = plain_numbers.read,
    ) -> None:
        """``max_body_bytes`` bounds a request's body both as it was sent and inflated, ``max_bodies_bytes`` all that
        are in memory at once. ``numbers`` reads bodies of numbers.
        """
        self._predictor, self._models = predictor, models
        self._room, self._reading = request_body.Room(max_bodies_bytes), ReadingThread()
        self._numbers = numbers
        self._directly: dict[bytes, Work | None] = {}
        self._timeout_s, self._max_body_bytes, self._gzip_answers = timeout_s, max_body_bytes, gzip_answers

    @staticmethod
    def takes(method: str, path: str) -> bool:
        """Whether this door answers: all about models but their list, which is Graft's own, and Graft's own routes."""
        lower = path.lower()
        if lower == "/v1/models":
            return method != "GET"
        return lower.startswith("/v1/models/") and not routes.is_own(method, path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; nothing is sent to a client that has left."""
        said: Said = []
        connected = WhileConnected(receive)
        # raw_path, because a name may hold an encoded slash or colon, which must not be taken for syntax.
        target = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        work = self._answer(scope, target.partition("?")[0], receive, said, connected)
        answer = await self._replied(work, scope["method"], target, scope["headers"], said)
        if not connected.left:
            await answer.send(send)

    def direct(self, target: bytes) -> Work | None:
        """What answers a POST to this target, if it is one that is worth to be answered without ASGI: an inference."""
        try:
            return self._directly[target]
        except KeyError:
            work = self._work(target)
        if len(target) <= _LONGEST_ADDRESS:
            if len(self._directly) >= _MOST_ADDRESSES:
                self._directly.clear()
            self._directly[target] = work
        return work

    def _work(self, target: bytes) -> Work | None:
        path = target.decode("latin-1").partition("?")[0]
        try:
            asked = routes.inference(path)
        except ServiceError:
            return None
        if asked is None:
            return None
        return SmallInference(partial(self._answer_small, *asked), partial(self._refusal, *asked))

    def _answer_small(
        self, ref: ModelRef, verb: str, headers: Headers, body: bytes, crowded: Callable[[], None]
    ) -> Coroutine[Any, Any, Reply]:
        said: Said = []
        return self._replied(self._infer(ref, verb, body, said), verb, ref.model, headers, said, crowded)

    def _refusal(self, ref: ModelRef, verb: str) -> Reply | None:
        """What a request to the default signature is told unread, if it cannot be answered; it is counted."""
        try:
            self._look_up(ref, verb)
        except ServiceError as error:
            return Reply(status_of(error), [JSON, *_said(error)], _error(str(error)))
        return None

    async def _replied(
        self,
        work: Coroutine[Any, Any, bytes],
        method: str,
        target: str,
        asked: Headers,
        said: Said,
        crowded: Callable[[], None] = lambda: None,
    ) -> Reply:
        """What there is to answer, whatever becomes of the work; ``method`` and ``target`` are for the log. ``crowded``
        is called when too much waits.
        """
        try:
            status, body = 200, await work
        except ServiceError as error:
            status, body = status_of(error), _error(str(error))
            said += _said(error)
            if isinstance(error, errors.Overloaded | errors.QueueTimedOut):
                crowded()
            if field(asked, b"expect"):
                # Whether the body that was announced still comes is for the client to decide, and not to be known here.
                said.append((b"connection", b"close"))
        except Exception:
            request_id = uuid.uuid4().hex
            log.exception("unexpected error, request %s %s %s", request_id, method, target)
            status, body = 500, _error(f"internal error, request id {request_id}")
        return await reply(status, body, said, asked if self._gzip_answers else None)

    async def _answer(self, scope: Scope, path: str, receive: Receive, said: Said, connected: WhileConnected) -> bytes:
        method = scope["method"]
        if method == "POST" and (asked := routes.inference(path)):
            ref, verb = asked
            with self._room.share() as take:
                body = await request_body.read(
                    scope, receive, self._max_body_bytes, take, lambda: self._look_up(ref, verb), self._reading
                )
                with connected:
                    return await self._infer(ref, verb, body, said)
            return b""
        if method == "GET" and (whose := routes.status(path)):
            return self._status(whose)
        if method == "GET" and (whose := routes.metadata(path)):
            return self._metadata(whose)
        raise InvalidInput(f"Malformed request: {method} {path}")

    def _look_up(self, ref: ModelRef, verb: str) -> None:
        """Refuse what no version could answer now, and have it counted.

        Raises:
            ModelNotFound, UnknownLabel, NotReady, Overloaded
        """
        try:
            self._predictor.check_room(ref, self._timeout_s)
        except ServiceError:
            with self._predictor.call(ref, "", "rest", verb):
                raise

    def _infer(self, ref: ModelRef, verb: str, body: bytes, said: Said) -> Coroutine[Any, Any, bytes]:
        if verb == "predict":
            return self._predict(ref, body, said)
        return self._infer_examples(ref, verb, body, said)

    async def _predict(self, ref: ModelRef, body: bytes, said: Said) -> bytes:
        read = self._reading
        request = await read.run(len(body), predict_json.read, body, self._numbers)
        if request.heads:
            return await self._predict_many(ref, request, len(body), said)
        with self._predictor.call(ref, request.signature_name, "rest") as call:
            said.append(_named(call.version))
            inputs, in_rows = await self._tensors(request, len(body), call.signature, call.signature_name)
            outputs = await call.run(inputs, self._timeout_s)
            return await read.run(answer_json.weight(outputs), answer_json.encode, outputs, in_rows)

    async def _tensors(
        self, request: PredictRequest, size: int, signature: Signature, name: str
    ) -> tuple[dict[str, Array], bool]:
        if request.weight:
            plain = await self._reading.run(request.weight, request.plain, signature)
            if plain is not None:
                return plain
        return await self._reading.run(size, request.careful, signature, name)

    async def _predict_many(self, base: ModelRef, request: PredictRequest, size: int, said: Said) -> bytes:
        """One request to several heads of a base: their answers by the names they were asked for."""
        read = self._reading
        heads = {name: head_reference(name) for name in request.heads}
        with self._predictor.call_many(base, heads, request.signature_name, "rest") as call:
            said.append(_named(call.version))
            name = request.signature_name or DEFAULT_SIGNATURE
            inputs, in_rows = await self._tensors(request, size, call.signature, name)
            answers = await call.run(inputs, self._timeout_s)
            weight = sum(map(answer_json.weight, answers.values()))
            return await read.run(weight, answer_json.encode_many, answers, in_rows)

    async def _infer_examples(self, ref: ModelRef, verb: str, body: bytes, said: Said) -> bytes:
        """Classify or regress. The examples are looked at before the model, as TF Serving does."""
        name, examples = await self._reading.run(len(body), _read_examples, body, verb)
        try:
            with self._predictor.call(ref, name, "rest", verb) as call:
                said.append(_named(call.version))
                if verb == "classify":
                    inference.check_classifier(call.signature)
                    outputs = await call.run({inference.INPUTS: examples}, self._timeout_s)
                    return example_json.classified(inference.classifications(outputs, len(examples)))
                inference.check_regressor(call.signature)
                outputs = await call.run({inference.INPUTS: examples}, self._timeout_s)
                return example_json.regressed(inference.regressions(outputs, len(examples)))
        except SignatureNotFound as error:
            raise InvalidInput(f"No signature was found with the name: {error.signature}") from error

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


def _named(version: VersionId) -> tuple[bytes, bytes]:
    return b"graft-model-version", b"%d" % version.version


def _said(error: ServiceError) -> Said:
    return [(name.encode(), value.encode()) for name, value in headers_of(error).items()]


def _read_examples(body: bytes, verb: str) -> tuple[str, Array]:
    """The signature that is asked for, and the examples. Raises: InvalidInput."""
    root = tensor_json.parse(body)
    return tensor_json.signature_name(root), example_json.examples(root, verb)


def _error(text: str) -> bytes:
    return orjson.dumps({"error": text.encode(errors="replace").decode()})
