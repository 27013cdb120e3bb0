"""What each kind of error is over gRPC: one total table."""

from __future__ import annotations

import functools
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import grpc.aio

from service.domain import errors
from service.domain.errors import ServiceError, kind_of, retry_after_s

log = logging.getLogger(__name__)

STATUS: Mapping[type[ServiceError], grpc.StatusCode] = {
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotSupported: grpc.StatusCode.UNIMPLEMENTED,
    errors.UploadTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.NoRoom: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.InvalidDataset: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnknownLabel: grpc.StatusCode.INVALID_ARGUMENT,
    errors.SignatureNotFound: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.JobNotFound: grpc.StatusCode.NOT_FOUND,
    errors.DatasetNotFound: grpc.StatusCode.NOT_FOUND,
    errors.UploadNotFound: grpc.StatusCode.NOT_FOUND,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.PreconditionFailed: grpc.StatusCode.FAILED_PRECONDITION,
    errors.LoadFailed: grpc.StatusCode.UNKNOWN,
    errors.Overloaded: grpc.StatusCode.UNAVAILABLE,
    errors.NotReady: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.QueueTimedOut: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.ModelFailed: grpc.StatusCode.INTERNAL,
}
_MOST_TEXT = 1024
"""Bytes, each of which may travel as three."""

Method = Callable[[Any, Any, Any], Awaitable[Any]]


Trailer = Callable[[ServiceError], tuple[tuple[str, str | bytes], ...]]


def answering(method: Method, trailer: Trailer = lambda _: ()) -> Method:
    """A servicer's method that ends the call with the right status for every error; ``trailer`` says more of it in the
    trailing metadata.
    """

    @functools.wraps(method)
    async def answered(self: Any, request: Any, context: Any) -> Any:
        try:
            return await method(self, request, context)
        except ServiceError as error:
            await context.abort(STATUS[kind_of(error)], _cut(_text(error)), (*_pushback(error), *trailer(error)))
        except Exception as error:
            if isinstance(error, grpc.aio.AbortError):
                raise
            request_id = uuid.uuid4().hex
            log.exception("unexpected error, request %s %s", request_id, method.__name__)
            await context.abort(grpc.StatusCode.INTERNAL, f"internal error, request id {request_id}")

    return answered


def _pushback(error: ServiceError) -> tuple[tuple[str, str], ...]:
    """When to try again, in the trailer that gRPC's own retries go by."""
    seconds = retry_after_s(error)
    return () if seconds is None else (("grpc-retry-pushback-ms", str(max(1, round(seconds * 1000)))),)


def _text(error: ServiceError) -> str:
    if isinstance(error, errors.SignatureNotFound):
        return f'Serving signature key "{error.signature}" not found.'
    return str(error)


def _cut(text: str) -> str:
    """Trailers have a size limit; a status that exceeds it reaches the client as a broken call."""
    raw = text.encode(errors="replace")
    return raw.decode() if len(raw) <= _MOST_TEXT else raw[:_MOST_TEXT].decode(errors="ignore") + "...TRUNCATED"
