"""Versions on trial: compared on the stable one's own features, judged by live traffic, taken back where bad."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
from direction_fakes import MemoryDirections, RecordingDirectionObserver
from serving_fakes import Bench, head_manifest, head_model, scaling_model

from service.application.comparing import ROWS_A_LOOK
from service.application.directing import Directing
from service.application.directions import Directions
from service.application.grafts import HeadEndpoints
from service.application.probations import Probations
from service.domain.direction import Canary, Limits
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.heads import Head
from service.domain.tensors import Array, Tensors
from service.domain.versions import ModelRef

ME = "a test"
LABELS = ("a", "b")


def head(toward: int) -> Head:
    """Always says the same class."""
    bias = np.zeros(2, np.float32)
    bias[toward] = 9.0
    return Head(np.zeros((2, 3), np.float32), bias, LABELS)


class Ward:
    """A bench whose directions are those of a store, and what watches over them."""

    def __init__(self) -> None:
        self.bench = Bench(keep=5)
        self.store, self.observer = MemoryDirections(), RecordingDirectionObserver()
        self.directing = Directing(Directions(self.store, self.bench.clock), self.bench.models, self.bench.clock)
        self.probations = Probations(self.bench.models, self.directing, self.observer, self.bench.clock)

    def publish_head(self, version: int, content: Head, base: str = "base-1") -> None:
        manifest = head_manifest(f"h-{version}", base, LABELS)
        self.bench.publish("h", version, head_model(scaling_model(), content), manifest=manifest, head=content)

    async def look(self) -> None:
        self.bench.directions = dict(self.directing.directions.now())
        await self.bench.look()
        await self.probations.look()
        self.bench.directions = dict(self.directing.directions.now())
        await self.bench.look()

    async def ask(self, times: int = 1, rows: int = 1, model: str = "h") -> set[int]:
        answered = set()
        for number in range(times):
            self.bench.point = number / times
            with self.bench.predictor.call(ModelRef(model), "", "rest") as call:
                answered.add(call.version.version)
                await call.run({"x": np.ones((rows, 3), np.float32)})
        return answered

    def seen(self, version: int, model: str = "h") -> tuple[int, int]:
        """On how many rows it was compared, and on how many it differed."""
        trial = self.probations.of(model)
        assert trial is not None
        return trial.seen[version].compared, trial.seen[version].differed


@pytest.fixture
async def ward() -> AsyncIterator[Ward]:
    ward = Ward()
    ward.bench.publish_base()
    ward.publish_head(1, head(0))
    await ward.look()
    yield ward
    await ward.bench.close()
    assert ward.bench.engine.open_graphs == []


async def test_shadows_are_compared_and_answer_nobody(ward: Ward) -> None:
    ward.publish_head(2, head(0))
    ward.publish_head(3, head(1))
    await ward.look()
    await ward.directing.promote("h", 1, ME)
    await ward.directing.shadow("h", (2, 3), ME)
    await ward.look()
    assert await ward.ask(10) == {1}
    await ward.look()
    assert ward.seen(2) == (10, 0)
    assert ward.seen(3) == (10, 10)
    assert ward.observer.rows == {("h", 2): [10, 0], ("h", 3): [10, 10]}
    assert ward.directing.directions.of("h").shadows == (2, 3), "shadows are not on trial: nothing is taken back"


async def test_only_so_many_rows_a_look_are_compared(ward: Ward) -> None:
    ward.publish_head(2, head(1))
    await ward.look()
    await ward.directing.promote("h", 1, ME)
    await ward.directing.shadow("h", (2,), ME)
    await ward.look()
    await ward.ask(20, rows=10)
    await ward.look()
    assert ward.seen(2) == (ROWS_A_LOOK, ROWS_A_LOOK)
    await ward.ask(1, rows=3)
    await ward.look()
    assert ward.seen(2) == (ROWS_A_LOOK + 3, ROWS_A_LOOK + 3)


async def test_a_canary_that_decides_differently_is_taken_back_with_its_reason(ward: Ward) -> None:
    ward.publish_head(2, head(1))
    await ward.look()
    await ward.directing.promote("h", 1, ME)
    await ward.directing.try_out("h", Canary(2, 5.0), ME)
    await ward.look()
    assert ward.directing.directions.of("h").stable == 1
    assert await ward.ask(40) == {1, 2}
    await ward.look()
    direction = ward.directing.directions.of("h")
    assert (direction.stable, direction.canary) == (1, None)
    assert direction.changes[-1].by == "the watch over canaries"
    assert "its best class was another than the stable version's" in direction.changes[-1].why
    assert ward.observer.back == [("h", 2)]
    assert await ward.ask(40) == {1}
    await ward.look()
    assert ward.probations.of("h") is None


async def test_a_canary_that_fails_is_taken_back_and_its_callers_mistakes_are_not_held_against_it(ward: Ward) -> None:
    model, bench = scaling_model(), ward.bench
    bench.publish("m", 1)
    bench.publish("m", 2, model)
    await ward.look()
    await ward.directing.promote("m", 1, ME)
    await ward.directing.try_out("m", Canary(2, 50.0), ME)
    await ward.look()
    bench.point = 0.9
    for _ in range(40):
        with pytest.raises(InvalidInput), bench.predictor.call(ModelRef("m"), "", "rest") as call:
            await call.run({"unknown": np.ones((1, 3), np.float32)})
    await ward.look()
    assert ward.directing.directions.of("m").canary is not None

    def torn(_: Tensors) -> Array:
        raise ModelFailed("torn")

    model.functions["serving_default"] = torn  # type: ignore[index]
    for _ in range(5):
        with pytest.raises(ModelFailed), bench.predictor.call(ModelRef("m"), "", "rest") as call:
            await call.run({"x": np.ones((1, 3), np.float32)})
    await ward.look()
    direction = ward.directing.directions.of("m")
    assert (direction.stable, direction.canary) == (1, None)
    assert direction.changes[-1].why.startswith("the model failed 5 of its 5 requests")


async def test_a_good_canary_is_promoted_by_itself_where_that_was_asked_for(ward: Ward) -> None:
    ward.publish_head(2, head(0))
    await ward.look()
    await ward.directing.promote("h", 1, ME)
    await ward.directing.try_out("h", Canary(2, 50.0, Limits(), promote_after=20), ME)
    await ward.look()
    await ward.ask(20)
    await ward.look()
    assert ward.directing.directions.of("h").stable == 1
    await ward.ask(40)
    await ward.look()
    direction = ward.directing.directions.of("h")
    assert (direction.stable, direction.canary, direction.before) == (2, None, (1,))
    assert await ward.ask(10) == {2}
    assert ward.observer.back == []


async def test_what_is_no_head_of_the_same_base_is_not_compared_and_it_is_said_why(ward: Ward) -> None:
    ward.bench.publish("m", 1)
    ward.bench.publish("m", 2)
    await ward.look()
    await ward.directing.promote("m", 1, ME)
    await ward.directing.try_out("m", Canary(2, 5.0), ME)
    await ward.look()
    await ward.ask(10, model="m")
    await ward.look()
    trial = ward.probations.of("m")
    assert trial is not None
    assert trial.incomparable == {2: "it is not a head on a base that both share"}
    assert ward.seen(2, "m") == (0, 0)
    assert trial.seen[1].requests + trial.seen[2].requests == 10


async def test_a_comparison_begins_anew_when_something_else_is_compared(ward: Ward) -> None:
    ward.publish_head(2, head(0))
    ward.publish_head(3, head(0))
    await ward.look()
    await ward.directing.promote("h", 1, ME)
    await ward.directing.shadow("h", (2,), ME)
    await ward.look()
    await ward.ask(5)
    await ward.look()
    assert ward.seen(2) == (5, 0)
    await ward.directing.shadow("h", (2, 3), ME)
    await ward.look()
    assert ward.seen(2) == (0, 0)


async def test_what_nobody_compares_any_more_costs_requests_nothing(ward: Ward) -> None:
    ward.publish_head(2, head(0))
    await ward.look()
    await ward.directing.promote("h", 1, ME)
    await ward.directing.shadow("h", (2,), ME)
    await ward.look()
    online = ward.bench.models.find(ModelRef("h"))
    assert online.watched is not None
    await ward.directing.shadow("h", (), ME)
    await ward.look()
    assert online.watched is None
    assert ward.probations.of("h") is None
    assert isinstance(online.endpoints, HeadEndpoints)
    assert online.endpoints.shown is None


async def test_a_version_that_is_loaded_again_is_watched_again(ward: Ward) -> None:
    ward.publish_head(2, head(1))
    await ward.look()
    await ward.directing.promote("h", 1, ME)
    await ward.directing.shadow("h", (2,), ME)
    await ward.look()
    await ward.ask(5)
    await ward.look()
    ward.publish_head(2, replace(head(0), bias=np.array([5.0, 0.0], np.float32)))
    await ward.look()
    await ward.look()
    await ward.look()
    await ward.ask(5)
    await ward.look()
    assert ward.seen(2) == (10, 5)
