"""What each kind of error is over HTTP: one total table, and the two shapes an error body has.

TF Serving's routes answer ``{"error": "text"}``, because its clients parse that; Graft's own routes answer an envelope
with a code for machines, a sentence for people, and details.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from service.domain import errors
from service.domain.errors import ServiceError, code_of, kind_of, retry_after_s

log = logging.getLogger(__name__)

STATUS: Mapping[type[ServiceError], int] = {
    errors.InvalidInput: 400,
    errors.NotSupported: 501,
    errors.UploadTooLarge: 413,
    errors.NoRoom: 507,
    errors.InvalidDataset: 422,
    errors.UnknownLabel: 400,
    errors.SignatureNotFound: 400,
    errors.ModelNotFound: 404,
    errors.JobNotFound: 404,
    errors.DatasetNotFound: 404,
    errors.UploadNotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 400,
    errors.LoadFailed: 500,
    errors.Overloaded: 503,
    errors.NotReady: 503,
    errors.DeadlineExceeded: 504,
    errors.QueueTimedOut: 429,
    errors.ModelFailed: 500,
}
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}


def status_of(error: ServiceError) -> int:
    """The HTTP status of an error."""
    return STATUS[kind_of(error)]


def headers_of(error: ServiceError) -> dict[str, str]:
    """Headers that help the caller: when to try again, where there is a when."""
    seconds = retry_after_s(error)
    return {} if seconds is None else {"retry-after": str(max(1, math.ceil(seconds)))}


def envelope(code: str, message: str, **extra: Any) -> dict[str, Any]:
    """The body of an error on Graft's own routes."""
    return {"error": {"code": code, "message": message, **extra}}


def install(app: FastAPI) -> None:
    """Make an application answer every error in the envelope."""
    app.add_exception_handler(ServiceError, _known)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _routing)
    app.add_exception_handler(Exception, _unknown)


async def _known(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    extra: dict[str, Any] = {}
    if isinstance(error, errors.InvalidDataset):
        extra = {"details": [asdict(fault) for fault in error.faults], "fault_count": error.fault_count}
    body = envelope(code_of(error), str(error), **extra)
    return JSONResponse(body, status_of(error), headers=headers_of(error))


async def _unreadable(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    details = [{"place": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
    return JSONResponse(envelope("invalid_input", "the request cannot be read as written", details=details), 400)


async def _routing(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = _HTTP_CODES.get(error.status_code, "http_error")
    return JSONResponse(envelope(code, str(error.detail)), error.status_code, headers=error.headers)


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    request_id = uuid.uuid4().hex
    log.error("unexpected error, request %s %s %s", request_id, request.method, request.url.path, exc_info=error)
    message = "something went wrong inside the server; its log says more under this request id"
    return JSONResponse(envelope("internal", message, request_id=request_id), 500)
