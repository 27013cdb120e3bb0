"""The REST application whole: the predict path first, Graft's own API behind it.

While the service drains, every answer asks the client to close its connection, so that none is cut off later. Browsers
of other origins are let in where the operator says so.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI

from service.adapters.rest import errors
from service.adapters.rest.asgi import Headers, Receive, Scope, Send, header
from service.adapters.rest.direct import Work
from service.adapters.rest.tfserving import TfServingDoor

_CORS: Headers = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
)
_CLOSE: Headers = ((b"connection", b"close"),)


def api(routers: Sequence[APIRouter]) -> FastAPI:
    """Graft's own API, described at ``/openapi.json``; a page of documentation would load scripts from elsewhere."""
    app = FastAPI(
        title="Graft",
        version=version("graft"),
        description="A transfer-learning model server. Predict, status and metadata are TensorFlow Serving's routes.",
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    errors.install(app)
    for router in routers:
        app.include_router(router)
    return app


class RestApplication:
    """What the HTTP server calls."""

    def __init__(self, door: TfServingDoor, api: FastAPI, draining: Callable[[], bool], *, cors: bool = False) -> None:
        """``cors`` puts TF Serving's CORS headers on every answer below ``/v1/``, errors too."""
        self._door, self._api, self.draining, self._cors = door, api, draining, cors

    def direct(self, target: bytes) -> Work | None:
        """What answers a POST to this target without ASGI; nothing while an answer says more than what was asked."""
        return None if self._cors or self.draining() else self._door.direct(target)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a request where it belongs."""
        send = self._asking_to_close(send)
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        if self._cors and _below_v1(path):
            send = _with_headers(send, _CORS)
        if method == "OPTIONS" and _below_v1(path) and "://" in header(scope, b"origin"):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        elif self._door.takes(method, path):
            await self._door(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    def _asking_to_close(self, send: Send) -> Send:
        """Draining may begin while a request is answered: what counts is when its answer is sent."""

        async def asking(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start" and self.draining():
                message["headers"] = [*message.get("headers", ()), *_CLOSE]
            await send(message)

        return asking


def _below_v1(path: str) -> bool:
    return path[:4].lower() == "/v1/"


def _with_headers(send: Send, headers: Headers) -> Send:
    async def adding(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]  # type: ignore[misc]
        await send(message)

    return adding  # type: ignore[return-value]
