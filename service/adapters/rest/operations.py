"""What operators and monitoring ask: is it alive, may it be sent requests, what is served, what do the metrics say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field

from service.application.lifecycle import VersionStatus
from service.application.models import Models
from service.domain.artifact import ModelKind
from service.domain.versions import Readiness


class VersionAnswer(BaseModel):
    """One version of a model."""

    version: int
    state: str
    engine: str | None = Field(description="What runs it; null while it is not live.")
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
    models: Models, readiness: Callable[[], Readiness], metrics: Callable[[], tuple[bytes, str]]
) -> APIRouter:
    """Routes for operators; ``metrics`` gives the page and its content type."""
    router = APIRouter(tags=["operations"])

    @router.get("/v1/models", summary="Every model served, with its versions")
    async def list_models() -> ModelsAnswer:
        return ModelsAnswer(
            models=[_model(models, name) for name in models.names()], config_problem=models.config_problem
        )

    @router.get("/healthz", summary="The process is alive", response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok\n"

    @router.get("/readyz", summary="Requests may be sent here", responses={503: {"description": "not now"}})
    async def readyz() -> JSONResponse:
        state = readiness()
        return JSONResponse({"ready": state.ready, "reason": state.reason}, 200 if state.ready else 503)

    @router.get("/metrics", summary="Prometheus metrics")
    async def metrics_page() -> Response:
        page, content_type = metrics()
        return Response(page, headers={"content-type": content_type})

    return router


def _model(models: Models, name: str) -> ModelAnswer:
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
        versions=[_version(one) for one in statuses],
    )


def _version(status: VersionStatus) -> VersionAnswer:
    return VersionAnswer(
        version=status.version,
        state=str(status.state),
        engine=status.engine,
        graph=status.graph,
        error=status.error or status.warning,
    )
