"""Answering one request: find the version, hold it, run a signature, say what happened. Every door comes here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from service.application.many_heads import ManyCall, held
from service.application.online import Endpoint, Online
from service.application.ports import ServingObserver
from service.application.registry import Registry
from service.domain.errors import ModelFailed, ServiceError, kind_of
from service.domain.tensors import DEFAULT_SIGNATURE, Array, Signature, Tensors
from service.domain.versions import ModelRef, VersionId


class Call:
    """One request under way: ``with predictor.call(...) as call:``. It holds its version from the moment it is found
    until the answer is written, and says in the end how it went.

    A class and no generator, because every request of every door goes through here.
    """

    __slots__ = ("_api", "_begun", "_door", "_endpoint", "_models", "_observer", "_online", "_ref", "signature_name")

    def __init__(
        self, models: Registry, observer: ServingObserver, ref: ModelRef, signature_name: str, door: str, api: str
    ) -> None:
        self._models, self._observer, self._ref = models, observer, ref
        self.signature_name, self._door, self._api = signature_name, door, api
        self._online: Online
        self._endpoint: Endpoint

    def __enter__(self) -> Call:
        """Raises: ModelNotFound, UnknownLabel, NotReady, SignatureNotFound."""
        self._begun = time.monotonic()
        self._observer.began(self._door)
        version: int | None = None
        try:
            self._online = self._models.find(self._ref)
            version = self._online.id.version
            self._endpoint = self._online.endpoint(self.signature_name)
        except BaseException as error:
            self._say(version, error)
            raise
        self._online.pin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        online = self._online
        online.unpin()
        seconds = self._say(online.id.version, error)
        if online.watched is not None and (error is None or isinstance(error, ModelFailed)):
            online.watched.saw(error is not None, seconds)

    def _say(self, version: int | None, error: BaseException | None) -> float:
        seconds = time.monotonic() - self._begun
        name = self.signature_name
        self._observer.answered(self._ref.model, version, name, self._door, _outcome(error), seconds, self._api)
        return seconds

    @property
    def version(self) -> VersionId:
        """Which version answers."""
        return self._online.id

    @property
    def signature(self) -> Signature:
        """What to decode the request by."""
        return self._endpoint.signature

    def run(self, inputs: Tensors, timeout_s: float | None = None) -> Coroutine[Any, Any, dict[str, Array]]:
        """Run it, when awaited.

        Raises:
            InvalidInput, Overloaded, ModelFailed
            DeadlineExceeded, QueueTimedOut: after ``timeout_s`` seconds; what was queued for it is dropped.
        """
        return self._endpoint.call(inputs, timeout_s, self._ref.model)


def _outcome(error: BaseException | None) -> str:
    """The word for how a request ended."""
    if error is None:
        return "ok"
    if isinstance(error, ServiceError):
        return kind_of(error).__name__
    return "Cancelled" if isinstance(error, asyncio.CancelledError) else "Unexpected"


class Predictor:
    """What the doors call."""

    def __init__(self, models: Registry, observer: ServingObserver) -> None:
        self._models, self._observer = models, observer

    @contextmanager
    def lease(self, ref: ModelRef) -> Iterator[Online]:
        """Hold the version a reference names.

        Raises:
            ModelNotFound, UnknownLabel
        """
        with self._models.find(ref).pinned() as online:
            yield online

    def check_room(self, ref: ModelRef, timeout_s: float | None = None) -> None:
        """Refuse a request before its inputs are taken in, as far as can be known then: which signature it asks for
        is not, so it is the default one that is asked.

        Raises:
            ModelNotFound, UnknownLabel, NotReady, Overloaded
        """
        endpoint = self._models.find(ref).endpoints.get(DEFAULT_SIGNATURE)
        if endpoint is not None:
            endpoint.batcher.check_room(timeout_s, ref.model)

    def call(self, ref: ModelRef, signature: str, door: str, api: str = "predict") -> Call:
        """One request on one of the signatures of the version a reference names; the empty name means the default one.
        ``api`` is what was called, for whoever counts.
        """
        return Call(self._models, self._observer, ref, signature or DEFAULT_SIGNATURE, door, api)

    @contextmanager
    def call_many(self, base: ModelRef, heads: Mapping[str, ModelRef], signature: str, door: str) -> Iterator[ManyCall]:
        """One request to many heads of a base, counted as one to the base.

        Raises:
            ModelNotFound, UnknownLabel, NotReady, SignatureNotFound
            InvalidInput: no heads or too many, or one that is not grown on this version of the base.
        """
        begun, version, name = time.monotonic(), None, signature or DEFAULT_SIGNATURE
        ended: BaseException | None = None
        self._observer.began(door)
        try:
            with held(self._models, base, heads, name) as call:
                version = call.version.version
                yield call
        except BaseException as error:
            ended = error
            raise
        finally:
            seconds = time.monotonic() - begun
            self._observer.answered(base.model, version, name, door, _outcome(ended), seconds, "predict")
