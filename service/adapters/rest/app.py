"""The REST application whole: the predict path first, Graft's own API behind it.

While the service drains, every answer asks the client to close its connection, so that none is cut off later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from service.adapters.rest import errors
from service.adapters.rest.tfserving import Receive, Scope, Send, TfServingDoor


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

    def __init__(self, door: TfServingDoor, api: FastAPI, draining: Callable[[], bool]) -> None:
        self._door, self._api, self._draining = door, api, draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a request where it belongs."""
        if self._draining():
            send = _closing(send)
        if scope["type"] == "http" and self._door.takes(scope["method"], scope["path"]):
            await self._door(scope, receive, send)
        else:
            await self._api(scope, receive, send)


def _closing(send: Send) -> Send:
    async def closing(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]  # type: ignore[misc]
        await send(message)

    return closing  # type: ignore[return-value]
