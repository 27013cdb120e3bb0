"""Which version answers whom: promoted, on trial, labelled, and what happens while one of them does not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from serving_fakes import Bench, Gate, scaling_model

from service.domain.direction import Canary, Direction, Share
from service.domain.errors import NotReady, UnknownLabel
from service.domain.serving_config import ModelConfig, ServingConfig
from service.domain.versions import ModelRef

ROW = {"x": np.ones((1, 3), np.float32)}


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def bench(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield bench
    for one in made:
        await one.close()
        assert one.engine.open_graphs == [], "closing frees everything"


async def published(bench: Bench, *versions: int, directed: Direction | None = None) -> Bench:
    for version in versions:
        bench.publish("m", version, scaling_model(version))
    if directed is not None:
        bench.direct("m", directed)
    await bench.look()
    return bench


def answering(bench: Bench, label: str | None = None) -> int:
    return bench.models.find(ModelRef("m", label=label)).id.version


async def test_a_version_that_is_published_changes_nothing_where_one_was_promoted(make: Callable[..., Bench]) -> None:
    bench = await published(make(), 1, 2, directed=Direction(stable=1))
    assert answering(bench) == 1
    assert bench.models.find(ModelRef("m", 2)).id.version == 2, "it answers who names it"
    listing = bench.models.live_listing("m")
    assert listing is not None
    assert listing.id.version == 1, "it is what a new head is compared with"
    await published(bench, 3)
    assert answering(bench) == 1
    assert bench.live("m") == [3, 1], "version 2 is neither the newest nor named"


async def test_a_promotion_of_what_is_live_takes_effect_at_once(make: Callable[..., Bench]) -> None:
    bench = await published(make(), 1, 2, directed=Direction(stable=1))
    bench.direct("m", Direction(stable=2, before=(1,)))
    assert answering(bench) == 2
    await bench.look()
    assert bench.live("m") == [2, 1], "the one to go back to stays ready"


async def test_until_what_was_promoted_is_loaded_the_one_before_answers(make: Callable[..., Bench]) -> None:
    bench = await published(make(), 1, 2, 3, directed=Direction(stable=2))
    assert bench.live("m") == [3, 2]
    bench.direct("m", Direction(stable=1, before=(2,)))
    assert answering(bench) == 2
    await bench.look()
    assert answering(bench) == 1


async def test_a_canary_has_its_share_of_who_names_nothing(make: Callable[..., Bench]) -> None:
    bench = await published(make(), 1, 2, directed=Direction(stable=1, canary=Canary(2, 25.0)))
    answered = []
    for bench.point in (0.0, 0.5, 0.749, 0.751, 0.999):
        answered.append(answering(bench))
    assert answered == [1, 1, 1, 2, 2]
    assert answering(bench, "stable") == 1
    assert answering(bench, "canary") == 2


async def test_a_canary_that_does_not_load_gets_no_request(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1)
    bench.publish("m", 2, replace(scaling_model(), broken="torn"))
    bench.direct("m", Direction(stable=1, canary=Canary(2, 90.0)))
    await bench.look()
    bench.point = 0.99
    assert answering(bench) == 1
    with pytest.raises(NotReady, match="label canary"):
        answering(bench, "canary")


async def test_when_nothing_that_was_promoted_answers_the_newest_that_does_is_better_than_nothing(
    make: Callable[..., Bench],
) -> None:
    bench = make()
    bench.publish("m", 1, replace(scaling_model(), broken="torn"))
    bench.publish("m", 2)
    bench.direct("m", Direction(stable=1))
    await bench.look()
    assert answering(bench) == 2
    with pytest.raises(NotReady, match="label stable"):
        answering(bench, "stable")


async def test_labels_divide_requests(make: Callable[..., Bench]) -> None:
    bench = await published(make(), 1, 2, 3, directed=Direction(labels={"blue": (Share(1), Share(2, 3.0))}))
    assert answering(bench) == 3, "without a word about it the newest answers"
    bench.point = 0.2
    assert answering(bench, "blue") == 1
    bench.point = 0.3
    assert answering(bench, "blue") == 2
    with pytest.raises(UnknownLabel):
        answering(bench, "green")


async def test_a_version_that_is_named_and_not_there_is_told(make: Callable[..., Bench]) -> None:
    bench = await published(make(), 2, directed=Direction(stable=1))
    assert bench.models.warnings("m") == ["version 1 is named by the model's direction and is not there"]


async def test_models_that_are_configured_by_name_are_directed_too(make: Callable[..., Bench]) -> None:
    bench = make(config=ServingConfig((ModelConfig("m", "/far/m", labels={"old": 2}),)))
    bench.place("/far/m", 1)
    bench.place("/far/m", 2)
    bench.direct("m", Direction(stable=1))
    await bench.look()
    assert answering(bench) == 1
    assert answering(bench, "old") == 2, "the configuration's labels stay"


async def test_what_is_said_of_a_model_disturbs_no_other(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1)
    bench.publish("n", 1)
    await bench.look()
    before = bench.models.find(ModelRef("n"))
    wishes = bench.models._sight.wishes
    bench.direct("m", Direction(stable=1))
    await bench.look()
    assert bench.models.find(ModelRef("n")) is before
    assert bench.models._sight.wishes["n"] is wishes["n"]
    bench.direct("m", replace(Direction(stable=1), revision=1))
    await bench.look()
    assert bench.models._sight.wishes["n"] is wishes["n"]


async def test_what_is_listed_of_labels_is_what_points_at_one_version_that_answers(make: Callable[..., Bench]) -> None:
    labels = {"blue": (Share(1), Share(2)), "green": (Share(2),), "grey": (Share(9),)}
    bench = await published(make(), 1, 2, directed=Direction(stable=1, canary=Canary(2, 25.0), labels=labels))
    assert bench.models.labels("m") == {"stable": 1, "canary": 2, "green": 2}
    assert bench.models.labels("other") == {}


async def test_who_starts_is_not_ready_before_what_was_promoted_was_tried(make: Callable[..., Bench]) -> None:
    bench, gate = make(), Gate()
    bench.publish("m", 1, replace(scaling_model(), load_gate=gate))
    bench.publish("m", 2)
    bench.direct("m", Direction(stable=1))
    await bench.models.look()
    await bench.until(lambda: bench.live("m") == [2])
    assert not bench.models.readiness().ready
    gate.open()
    await bench.models.settle()
    assert bench.models.readiness().ready
    assert answering(bench) == 1
