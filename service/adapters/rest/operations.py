"""What operators and monitoring ask: is it alive, may it be sent requests, what is served, what do the metrics say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field

from service.application.lifecycle import VersionStatus
from service.application.registry import Registry
from service.domain.artifact import ModelKind
from service.domain.versions import Readiness

_AT_ONCE = 8
"""So many models are written down before others have their turn: there may be thousands."""


class EngineAnswer(BaseModel):
    """What runs one signature."""

    engine: str
    precision: str
    reason: str = Field(description="Why it is this one.")
    difference: float | None = Field(
        description="The largest difference from TensorFlow's answers that was seen, as a share of their spread; null "
        "where TensorFlow itself answers."
    )
    agreement: float | None = Field(
        description="The share of rows whose largest output is the same as TensorFlow's, where that can be said."
    )


class VersionAnswer(BaseModel):
    """One version of a model."""

    version: int
    state: str
    provisional: bool = Field(description="Nobody published it: it answers until something published does.")
    engine: str | None = Field(description="What runs it; null while it is not live.")
    engines: dict[str, EngineAnswer] = Field(
        description="What runs each signature, and why. Empty for a head, which its base's graph answers for."
    )
    graph: str | None = Field(description="The loaded graph behind it. Heads of one base name the same one.")
    error: str | None = Field(description="Why it does not answer, or what is wrong with its files as they are now.")


class ModelAnswer(BaseModel):
    """One model."""

    name: str
    kind: Annotated[str, Field(description="base, head, full, or plain for a SavedModel that Graft did not write.")]
    labels: dict[str, int] = Field(description="Names that point at versions, as far as those answer.")
    warnings: list[str] = Field(description="What keeps it from being served quite as it was asked for.")
    base: str | None = Field(description="For a head: the base version it was grown on.")
    classes: list[str] = Field(description="What its answers mean, in the order of its probabilities.")
    versions: list[VersionAnswer]


class ModelsAnswer(BaseModel):
    """Everything served."""

    models: list[ModelAnswer]
    config_problem: str | None = Field(description="Why the model configuration file as it is now is not in force.")


def operations_router(
    models: Registry, readiness: Callable[[], Readiness], metrics: Callable[[], Awaitable[tuple[bytes, str]]]
) -> APIRouter:
    """Routes for operators; ``metrics`` gives the page and its content type."""
    router = APIRouter(tags=["operations"])

    @router.get("/v1/models", summary="Every model served, with its versions", response_model=ModelsAnswer)
    async def list_models() -> Response:
        listed: list[str] = []
        for number, name in enumerate(models.names()):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            listed.append(_model(models, name).model_dump_json())
        problem = json.dumps(models.config_problem)
        body = f'{{"models":[{",".join(listed)}],"config_problem":{problem}}}'
        return Response(body, media_type="application/json")

    @router.get("/healthz", summary="The process is alive", response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok\n"

    @router.get("/readyz", summary="Requests may be sent here", responses={503: {"description": "not now"}})
    async def readyz() -> JSONResponse:
        state = readiness()
        return JSONResponse({"ready": state.ready, "reason": state.reason}, 200 if state.ready else 503)

    @router.get("/metrics", summary="Prometheus metrics")
    async def metrics_page() -> Response:
        page, content_type = await metrics()
        return Response(page, headers={"content-type": content_type})

    return router


def _model(models: Registry, name: str) -> ModelAnswer:
    statuses = models.status(name)
    manifest = next((one.listing.manifest for one in statuses if one.listing and one.listing.manifest), None)
    base = manifest.base if manifest is not None and manifest.kind is ModelKind.HEAD else None
    return ModelAnswer(
        name=name,
        kind=str(manifest.kind) if manifest is not None else "plain",
        labels=dict(models.labels(name)),
        base=f"{base.model}@{base.version}" if base is not None else None,
        classes=list(manifest.labels) if manifest is not None else [],
        warnings=list(models.warnings(name)),
        versions=[_version(one, base is not None) for one in statuses],
    )


def _version(status: VersionStatus, head: bool) -> VersionAnswer:
    return VersionAnswer(
        version=status.version,
        state=str(status.state),
        provisional=status.listing is not None and status.listing.provisional,
        engine=status.engine,
        engines={} if head else {name: EngineAnswer(**asdict(one)) for name, one in status.engines.items()},
        graph=status.graph,
        error=status.error or status.warning,
    )
