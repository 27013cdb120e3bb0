"""``graft.v1.GoingLive`` over a real server and a real channel: every word has its effect, and nonsense has none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from direction_fakes import MemoryDirections, RecordingDirectionObserver
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from serving_fakes import Bench as Serving

from service.adapters.rpc.going_live import GoingLiveService
from service.adapters.rpc.model_status import ModelStatusService
from service.adapters.rpc.prediction import PredictionService
from service.adapters.rpc.server import RpcServer
from service.adapters.rpc.tuning_messages import ERROR_TRAILER
from service.application.directing import Directing
from service.application.directions import Directions
from service.application.probations import Probations
from service.pb.graft.v1 import going_live_pb2 as pb
from service.pb.graft.v1 import going_live_pb2_grpc, tuning_pb2

Code = grpc.StatusCode
LIMITS = pb.Limits(more_errors=0.01, slower=3.0, disagreement=0.25)


class Door:
    """Three versions of a model, and a client of what can be said of them."""

    def __init__(self) -> None:
        self.serving, self.store = Serving(keep=3), MemoryDirections()
        for version in (1, 2, 3):
            self.serving.publish("m", version)
        directing = Directing(Directions(self.store, self.serving.clock), self.serving.models, self.serving.clock)
        self.probations = Probations(self.serving.models, directing, RecordingDirectionObserver(), self.serving.clock)
        self.server = RpcServer(
            PredictionService(self.serving.predictor),
            ModelStatusService(self.serving.models, self.serving.reloads),
            "127.0.0.1:0",
            going_live=GoingLiveService(directing, self.probations),
        )
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.stub: Any = going_live_pb2_grpc.GoingLiveStub(self.channel)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    made = Door()
    await made.serving.look()
    await made.server.start()
    yield made
    await made.channel.close()
    await made.server.stop(0)
    await made.serving.close()


async def test_every_word_has_its_effect(door: Door) -> None:
    nothing = await door.stub.GetDirection(pb.GetDirectionRequest(model="m"))
    assert nothing == pb.Direction(model="m")
    promoted = await door.stub.Promote(pb.PromoteRequest(model="m", version=1, by="me", why="it is good"))
    assert (promoted.stable, promoted.revision) == (1, 1)
    (change,) = promoted.changes
    assert (change.what, change.by, change.why) == ("promoted version 1", "me", "it is good")
    assert change.at.ToMilliseconds() == round(door.serving.clock.now() * 1000)
    tried = await door.stub.StartCanary(pb.StartCanaryRequest(model="m", version=2, limits=LIMITS, promote_after=9))
    assert tried.canary == pb.Canary(version=2, percent=5.0, limits=LIMITS, promote_after=9)
    assert tried.changes[-1].by == "an operator"
    assert list((await door.stub.SetShadows(pb.SetShadowsRequest(model="m", versions=[3]))).shadows) == [3]
    split = [pb.Share(version=1, weight=3.0), pb.Share(version=2)]
    labelled = await door.stub.SetLabel(pb.SetLabelRequest(model="m", label="blue", split=split))
    split[1].weight = 1.0
    assert list(labelled.labels) == [pb.Direction.Label(label="blue", split=split)]
    assert await door.stub.GetDirection(pb.GetDirectionRequest(model="m")) == labelled
    assert not (await door.stub.SetLabel(pb.SetLabelRequest(model="m", label="blue"))).labels
    assert not (await door.stub.Rollback(pb.RollbackRequest(model="m"))).HasField("canary")
    again = await door.stub.Promote(pb.PromoteRequest(model="m", version=2, revision=6))
    assert (again.stable, list(again.before)) == (2, [1])
    assert (await door.stub.Rollback(pb.RollbackRequest(model="m", revision=7))).stable == 1


async def test_what_is_seen_of_those_compared_is_told(door: Door) -> None:
    await door.stub.SetShadows(pb.SetShadowsRequest(model="m", versions=[1]))
    await door.probations.look()
    told = await door.stub.GetDirection(pb.GetDirectionRequest(model="m"))
    problem = "it is not a head on a base that both share"
    seen = [pb.Direction.Seen(version=1, problem=problem), pb.Direction.Seen(version=3)]
    assert list(told.seen) == seen


@pytest.mark.parametrize(
    ("method", "request_", "code", "kind"),
    [
        ("Promote", pb.PromoteRequest(model="m", version=9), Code.NOT_FOUND, "model_not_found"),
        ("Promote", pb.PromoteRequest(model="m"), Code.NOT_FOUND, "model_not_found"),
        ("Promote", pb.PromoteRequest(version=1), Code.NOT_FOUND, "model_not_found"),
        ("Promote", pb.PromoteRequest(model="m", version=1, revision=7), Code.ABORTED, "conflict"),
        ("StartCanary", pb.StartCanaryRequest(model="m", version=3), Code.ABORTED, "conflict"),
        ("StartCanary", pb.StartCanaryRequest(model="m", version=1, percent=0), Code.INVALID_ARGUMENT, "invalid_input"),
        (
            "StartCanary",
            pb.StartCanaryRequest(model="m", version=1, percent=float("nan")),
            Code.INVALID_ARGUMENT,
            "invalid_input",
        ),
        (
            "StartCanary",
            pb.StartCanaryRequest(model="m", version=1, limits=pb.Limits(slower=0.5)),
            Code.INVALID_ARGUMENT,
            "invalid_input",
        ),
        (
            "StartCanary",
            pb.StartCanaryRequest(model="m", version=1, limits=pb.Limits(disagreement=float("nan"))),
            Code.INVALID_ARGUMENT,
            "invalid_input",
        ),
        ("StartCanary", pb.StartCanaryRequest(model="m", version=1, promote_after=0), Code.INVALID_ARGUMENT, None),
        ("SetShadows", pb.SetShadowsRequest(model="m", versions=[-1]), Code.NOT_FOUND, "model_not_found"),
        ("SetShadows", pb.SetShadowsRequest(model="nobody"), Code.NOT_FOUND, "model_not_found"),
        ("SetShadows", pb.SetShadowsRequest(model="m", versions=[1] * 10**5 + [9]), Code.NOT_FOUND, None),
        ("SetLabel", pb.SetLabelRequest(model="nobody", label="x"), Code.NOT_FOUND, "model_not_found"),
        ("SetLabel", pb.SetLabelRequest(model="m"), Code.INVALID_ARGUMENT, "invalid_input"),
        ("SetLabel", pb.SetLabelRequest(model="m", label="x\0"), Code.INVALID_ARGUMENT, "invalid_input"),
        (
            "SetLabel",
            pb.SetLabelRequest(model="m", label="x", split=[pb.Share(version=1, weight=float("inf"))]),
            Code.INVALID_ARGUMENT,
            "invalid_input",
        ),
        ("Rollback", pb.RollbackRequest(model="m"), Code.ABORTED, "conflict"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    door: Door, method: str, request_: Message, code: Code, kind: str | None
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(door.stub, method)(request_)
    trailers = dict(caught.value.trailing_metadata() or ())
    told = tuning_pb2.Error.FromString(trailers[ERROR_TRAILER])
    assert (caught.value.code(), told.code) == (code, kind or told.code)
    assert door.store.directions() == {}


async def test_a_store_that_is_away_is_told_of(door: Door) -> None:
    door.store.away = True
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.stub.Promote(pb.PromoteRequest(model="m", version=1))
    assert caught.value.code() is Code.UNAVAILABLE


async def test_reflection_lists_it(door: Door) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(door.channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    listed = [service.name async for answer in call for service in answer.list_services_response.service]
    assert "graft.v1.GoingLive" in listed
    assert "graft.v1.Tuning" not in listed
