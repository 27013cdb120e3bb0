"""Answering one request: find the version, hold it, run a signature, say what happened. Every door comes here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.application.models import Models
from service.application.online import Endpoint, Online
from service.application.ports import ServingObserver
from service.domain.errors import ServiceError, kind_of
from service.domain.tensors import DEFAULT_SIGNATURE, Array, Signature, Tensors
from service.domain.versions import ModelRef, VersionId


@dataclass(frozen=True, slots=True)
class Call:
    """One request under way. It holds its version from the moment it is found until the answer is written."""

    version: VersionId
    signature_name: str
    _endpoint: Endpoint

    @property
    def signature(self) -> Signature:
        """What to decode the request by."""
        return self._endpoint.signature

    async def run(self, inputs: Tensors, timeout_s: float | None = None) -> dict[str, Array]:
        """Run it.

        Raises:
            InvalidInput, Overloaded, ModelFailed
            DeadlineExceeded, QueueTimedOut: after ``timeout_s`` seconds; what was queued for it is dropped.
        """
        return await self._endpoint.call(inputs, timeout_s)


class Predictor:
    """What the doors call."""

    def __init__(self, models: Models, observer: ServingObserver) -> None:
        self._models, self._observer = models, observer

    @contextmanager
    def lease(self, ref: ModelRef) -> Iterator[Online]:
        """Hold the version a reference names.

        Raises:
            ModelNotFound, UnknownLabel
        """
        with self._models.find(ref).pinned() as online:
            yield online

    @contextmanager
    def call(self, ref: ModelRef, signature: str, door: str, api: str = "predict") -> Iterator[Call]:
        """Hold the version for one request on one of its signatures; the empty name means the default one. ``api`` is
        what was called, for whoever counts.

        Raises:
            ModelNotFound, UnknownLabel, SignatureNotFound
        """
        name = signature or DEFAULT_SIGNATURE
        begun = time.monotonic()
        version: int | None = None
        outcome = "ok"
        self._observer.began(door)
        try:
            with self.lease(ref) as online:
                version = online.id.version
                yield Call(online.id, name, online.endpoint(name))
        except ServiceError as error:
            outcome = kind_of(error).__name__
            raise
        except asyncio.CancelledError:
            outcome = "Cancelled"
            raise
        except BaseException:
            outcome = "Unexpected"
            raise
        finally:
            self._observer.answered(ref.model, version, name, door, outcome, time.monotonic() - begun, api)
