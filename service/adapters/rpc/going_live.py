"""``graft.v1.GoingLive``: which version of a model answers whom, over gRPC.

Each method decodes, calls the application and encodes; what may be said is decided there.
"""

from __future__ import annotations

import functools
from typing import Any, Protocol

import grpc.aio

from service.adapters.rpc.direction_messages import direction_message
from service.adapters.rpc.errors import answering
from service.adapters.rpc.tuning_messages import error_trailer
from service.application.directing import AN_OPERATOR, Directing
from service.application.probations import Probations
from service.domain.direction import Canary, Direction, Limits, Share
from service.pb.graft.v1 import going_live_pb2 as pb
from service.pb.graft.v1 import going_live_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]
_PERCENT = 5.0
_answering = functools.partial(answering, trailer=error_trailer)


class _Change(Protocol):
    """What every request for a change holds."""

    model: str
    by: str
    why: str
    revision: int

    def HasField(self, field_name: Any) -> bool: ...


class GoingLiveService(going_live_pb2_grpc.GoingLiveServicer):
    """Directions, read and changed."""

    def __init__(self, directing: Directing, probations: Probations) -> None:
        self._directing = directing
        self._probations = probations

    @_answering
    async def GetDirection(self, request: pb.GetDirectionRequest, context: Context) -> pb.Direction:
        """As it was last read."""
        return self._told(request.model, self._directing.directions.of(request.model))

    @_answering
    async def Promote(self, request: pb.PromoteRequest, context: Context) -> pb.Direction:
        """Let a version answer from now on."""
        direction = await self._directing.promote(request.model, request.version, *_said(request))
        return self._told(request.model, direction)

    @_answering
    async def StartCanary(self, request: pb.StartCanaryRequest, context: Context) -> pb.Direction:
        """Give a version a share of the requests."""
        percent = request.percent if request.HasField("percent") else _PERCENT
        after = request.promote_after if request.HasField("promote_after") else None
        canary = Canary(request.version, percent, _limits(request.limits), after)
        direction = await self._directing.try_out(request.model, canary, *_said(request))
        return self._told(request.model, direction)

    @_answering
    async def Rollback(self, request: pb.RollbackRequest, context: Context) -> pb.Direction:
        """Take the canary back, or go back a version."""
        return self._told(request.model, await self._directing.roll_back(request.model, *_said(request)))

    @_answering
    async def SetShadows(self, request: pb.SetShadowsRequest, context: Context) -> pb.Direction:
        """Compare versions with the stable one."""
        direction = await self._directing.shadow(request.model, tuple(request.versions), *_said(request))
        return self._told(request.model, direction)

    @_answering
    async def SetLabel(self, request: pb.SetLabelRequest, context: Context) -> pb.Direction:
        """Point a label at versions, or forget it."""
        split = tuple(Share(one.version, one.weight if one.HasField("weight") else 1.0) for one in request.split)
        direction = await self._directing.label(request.model, request.label, split, *_said(request))
        return self._told(request.model, direction)

    def _told(self, model: str, direction: Direction) -> pb.Direction:
        return direction_message(model, direction, self._probations.of(model))


def _said(request: _Change) -> tuple[str, str, int | None]:
    """By whom, why, and of which revision."""
    return request.by or AN_OPERATOR, request.why, request.revision if request.HasField("revision") else None


def _limits(limits: pb.Limits) -> Limits:
    """Raises: InvalidInput, they are none."""
    return Limits(**{field.name: value for field, value in limits.ListFields()})
