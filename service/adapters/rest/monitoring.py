"""The metrics page at the path that TF Serving's monitoring configuration names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response


def monitoring_router(path: str, page: Callable[[], Awaitable[bytes]]) -> APIRouter:
    """One route; ``page`` gives what is on it."""
    router = APIRouter(tags=["operations"])

    @router.get(path, summary="Metrics under TensorFlow Serving's names, and Graft's own")
    async def metrics_page() -> Response:
        return Response(await page(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    return router
