"""Going live over REST: promote a version, give one a share of the requests, compare, label, and go back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from service.adapters.rest.connection import small_body
from service.adapters.rest.orders import Shape, read_order
from service.adapters.rest.tuning_answers import Time, time_answer
from service.application.directing import AN_OPERATOR, Directing
from service.application.probations import Probations, Trial
from service.domain.direction import Canary, Direction, Limits, Share
from service.domain.errors import InvalidInput
from service.domain.probation import Seen

_LARGEST = 64 * 1024


class _Order(BaseModel):
    """What every change takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    by: str = Field(AN_OPERATOR, max_length=100, description="Who says so; for the history")
    why: str = Field("", max_length=500, description="For the history")
    revision: int | None = Field(
        None, description="Change this revision of the direction only; 409 when it has been changed since"
    )


class VersionOrder(_Order):
    """One version."""

    version: int


class LimitsOrder(BaseModel):
    """How much worse than the stable version a canary may be."""

    model_config = ConfigDict(extra="forbid", strict=True)

    more_errors: float = Field(
        Limits().more_errors, description="By so much its share of failed requests may be higher"
    )
    slower: float = Field(Limits().slower, description="So many times the stable version's p95 its own may be")
    disagreement: float = Field(Limits().disagreement, description="On such a share of rows it may decide differently")


class CanaryOrder(VersionOrder):
    """A version on trial."""

    percent: float = Field(5.0, description="Its share of the requests that name no version")
    limits: LimitsOrder = LimitsOrder()
    promote_after: int | None = Field(None, description="Promoted by itself after so many requests within its limits")


class ShareOrder(BaseModel):
    """A version in a split."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: int
    weight: float = 1.0


class LabelOrder(_Order):
    """Where a label points: at a version, or at several."""

    version: int | None = None
    split: list[ShareOrder] | None = None

    def shares(self) -> tuple[Share, ...]:
        """Raises: InvalidInput."""
        if (self.version is None) == (self.split is None):
            raise InvalidInput("a label points at a version, {version: 3}, or at several, {split: [{version, weight}]}")
        if self.version is not None:
            return (Share(self.version),)
        shares = tuple(Share(share.version, share.weight) for share in self.split or ())
        if not shares:
            raise InvalidInput("a split has at least one version; DELETE forgets a label")
        return shares


class ShadowsOrder(_Order):
    """The versions to be compared with the stable one."""

    versions: list[int]


class SeenAnswer(BaseModel):
    """What this process has seen of a version since it is compared."""

    version: int
    requests: int
    failed: int = Field(description="Those that the model failed")
    p95_ms: float | None
    compared: int = Field(description="Rows that were also given to this version; of the stable one none are")
    differed: int = Field(description="Those of them on which it decided differently")
    problem: str | None = Field(description="Why it is not compared row by row")


class ChangeAnswer(BaseModel):
    """What was done."""

    at: Time
    what: str
    by: str
    why: str


class DirectionAnswer(BaseModel):
    """Which version of a model answers whom."""

    model: str
    revision: int = Field(description="Grows by one with every change; 0 where nobody has said anything")
    stable: int | None = Field(description="Answers who names neither version nor label; null: the newest does")
    canary: dict[str, Any] | None
    shadows: list[int]
    labels: dict[str, list[ShareOrder]]
    before: list[int] = Field(description="What was stable earlier, the last one last")
    seen: list[SeenAnswer]
    changes: list[ChangeAnswer] = Field(description="Oldest first; the last fifty are remembered")


def directions_router(directing: Directing, probations: Probations) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1/models/{model}", tags=["going live"])

    def answer(model: str, direction: Direction) -> DirectionAnswer:
        return _answer(model, direction, probations.of(model))

    @router.get("/direction", summary="Which version answers whom, and what was seen of those compared")
    async def direction(model: str) -> DirectionAnswer:
        """For every model, whether something was said of it or not."""
        return answer(model, directing.directions.of(model))

    @router.post(":promote", openapi_extra=_takes(VersionOrder), summary="Let a version answer from now on")
    async def promote(model: str, request: Request) -> DirectionAnswer:
        """It answers who names neither version nor label, as soon as it can. From then on a version that is published
        waits to be promoted too. 404 when the repository holds no such version.
        """
        asked = await _read(request, VersionOrder)
        return answer(model, await directing.promote(model, asked.version, asked.by, asked.why, asked.revision))

    @router.post(":canary", openapi_extra=_takes(CanaryOrder), summary="Give a version a share of the requests")
    async def canary(model: str, request: Request) -> DirectionAnswer:
        """It is taken back by itself when it fails, is slower, or decides differently beyond its limits."""
        asked = await _read(request, CanaryOrder)
        limits = Limits(asked.limits.more_errors, asked.limits.slower, asked.limits.disagreement)
        tried = Canary(asked.version, asked.percent, limits, asked.promote_after)
        return answer(model, await directing.try_out(model, tried, asked.by, asked.why, asked.revision))

    @router.post(":rollback", openapi_extra=_takes(_Order), summary="Take the canary back, or go back a version")
    async def rollback(model: str, request: Request) -> DirectionAnswer:
        """409 when there is nothing to go back to."""
        asked = await _read(request, _Order)
        return answer(model, await directing.roll_back(model, asked.by, asked.why, asked.revision))

    @router.put("/shadows", openapi_extra=_takes(ShadowsOrder), summary="Compare versions with the stable one")
    async def shadows(model: str, request: Request) -> DirectionAnswer:
        """On the stable one's own requests; they answer nobody. An empty list ends it."""
        asked = await _read(request, ShadowsOrder)
        versions = tuple(asked.versions)
        return answer(model, await directing.shadow(model, versions, asked.by, asked.why, asked.revision))

    @router.put(
        "/labels/{label}", openapi_extra=_takes(LabelOrder), summary="Point a label at a version, or at several"
    )
    async def label(model: str, label: str, request: Request) -> DirectionAnswer:
        """Requests to `/v1/models/{model}/labels/{label}:predict` go there."""
        asked = await _read(request, LabelOrder)
        shares = asked.shares()
        return answer(model, await directing.label(model, label, shares, asked.by, asked.why, asked.revision))

    @router.delete("/labels/{label}", openapi_extra=_takes(_Order), summary="Forget a label")
    async def forget(model: str, label: str, request: Request) -> DirectionAnswer:
        """Nothing happens when there is none."""
        asked = await _read(request, _Order)
        return answer(model, await directing.label(model, label, (), asked.by, asked.why, asked.revision))

    return router


async def _read(request: Request, shape: type[Shape]) -> Shape:
    return read_order(shape, await small_body(request, _LARGEST) or b"{}")


def _takes(shape: type[BaseModel]) -> dict[str, Any]:
    schema = {"schema": shape.model_json_schema()}
    return {
        "requestBody": {"required": bool(schema["schema"].get("required")), "content": {"application/json": schema}}
    }


def _answer(model: str, direction: Direction, trial: Trial | None) -> DirectionAnswer:
    canary = direction.canary
    return DirectionAnswer(
        model=model,
        revision=direction.revision,
        stable=direction.stable,
        canary=None if canary is None else _canary(canary),
        shadows=list(direction.shadows),
        labels={
            label: [ShareOrder(version=share.version, weight=share.weight) for share in split]
            for label, split in direction.labels.items()
        },
        before=list(direction.before),
        seen=[] if trial is None else _seen(trial),
        changes=[
            ChangeAnswer(at=time_answer(change.at), what=change.what, by=change.by, why=change.why)
            for change in direction.changes
        ],
    )


def _canary(canary: Canary) -> dict[str, Any]:
    limits = canary.limits
    return {
        "version": canary.version,
        "percent": canary.percent,
        "limits": {
            "more_errors": limits.more_errors,
            "slower": limits.slower,
            "disagreement": limits.disagreement,
        },
        "promote_after": canary.promote_after,
    }


def _seen(trial: Trial) -> Sequence[SeenAnswer]:
    return [_seen_of(version, seen, trial.incomparable.get(version)) for version, seen in sorted(trial.seen.items())]


def _seen_of(version: int, seen: Seen, problem: str | None) -> SeenAnswer:
    p95 = seen.p95_s
    return SeenAnswer(
        version=version,
        requests=seen.requests,
        failed=seen.failed,
        p95_ms=None if p95 is None else round(p95 * 1e3, 3),
        compared=seen.compared,
        differed=seen.differed,
        problem=problem,
    )
