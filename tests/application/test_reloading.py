"""Another configuration while serving: taken whole or not at all, and answered for in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from serving_fakes import Bench, Gate, scaling_model

from service.domain.errors import Conflict, DeadlineExceeded, InvalidInput, LoadFailed, PreconditionFailed
from service.domain.serving_config import All, ModelConfig, ServingConfig
from service.domain.versions import ModelRef

LONG = 30.0


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    for name in ("a", "b", "c"):
        made.place(f"/{name}", 1)
    yield made
    await made.close()
    assert made.engine.misuses == []
    assert made.engine.open_graphs == []


def config(*names: str, **labels: int) -> ServingConfig:
    return ServingConfig(tuple(ModelConfig(name, f"/{name}", labels=labels) for name in names))


def slow(bench: Bench, base_path: str, version: int = 1) -> Gate:
    gate = Gate()
    bench.place(base_path, version, replace(scaling_model(), load_gate=gate))
    return gate


async def test_it_answers_once_every_new_model_does(bench: Bench) -> None:
    gate = slow(bench, "/b")
    reload = asyncio.create_task(bench.reloads.reload(config("a", "b"), LONG))
    await gate.arrival()
    await bench.until(lambda: bench.live("a") == [1])
    assert not reload.done()
    gate.open()
    await reload
    assert bench.live("b") == [1]


async def test_it_answers_once_every_version_of_a_new_model_does(bench: Bench) -> None:
    """Else a label that came with it might name a version that does not answer yet."""
    gate = slow(bench, "/a")
    bench.place("/a", 2)
    both = ServingConfig((ModelConfig("a", "/a", All(), {"stable": 1}),))
    reload = asyncio.create_task(bench.reloads.reload(both, LONG))
    await bench.until(lambda: bench.live("a") == [2])
    await gate.arrival()
    assert not reload.done()
    gate.open()
    await reload
    assert bench.models.find(ModelRef("a", label="stable")).id.version == 1


async def test_it_replaces_the_configured_models_and_no_other(bench: Bench) -> None:
    bench.publish("root", 1)
    await bench.reloads.reload(config("a", "b"), LONG)
    held = bench.models.find(ModelRef("a"))
    await bench.reloads.reload(config("a", "c"), LONG)
    await bench.models.settle()
    assert bench.models.names() == ["a", "c", "root"]
    assert bench.models.find(ModelRef("a")) is held, "who stays is not touched"


async def test_it_does_not_wait_for_models_that_were_there_before(bench: Bench) -> None:
    await bench.reloads.reload(config("a"), LONG)
    gate = slow(bench, "/a", 2)
    await bench.reloads.reload(config("a"), LONG)
    await gate.arrival()
    assert bench.states("a") == {2: "loading", 1: "live"}
    gate.open()
    await bench.models.settle()


async def test_a_new_model_that_fails_is_told_and_stays_in_force(bench: Bench) -> None:
    listing = bench.place("/b", 1, replace(scaling_model(), broken="no variables"))
    with pytest.raises(LoadFailed) as caught:
        await bench.reloads.reload(config("a", "b"), LONG)
    assert str(caught.value) == (
        "1 model(s) did not become available: {{name: b} due to error: version: 1: no variables}"
    )
    assert bench.live("a") == [1]
    bench.engine.models[listing.directory].broken = None
    bench.clock.advance(LONG)
    await bench.look()
    assert bench.live("b") == [1], "it is tried again"


@pytest.mark.parametrize("there", [True, False])
async def test_a_base_path_with_nothing_in_it_is_told_at_once(bench: Bench, there: bool) -> None:
    if there:
        bench.repository.place(config("empty").models[0].directory)
    with pytest.raises(LoadFailed, match="/empty"):
        await bench.reloads.reload(config("a", "empty"), LONG)
    assert bench.live("a") == [1]


async def test_it_answers_honestly_when_its_time_is_up(bench: Bench) -> None:
    gate = slow(bench, "/b")
    with pytest.raises(DeadlineExceeded, match=r"the configuration is in force; after .* s still loading: b"):
        await bench.reloads.reload(config("a", "b"), 0.05)
    assert bench.models.config == config("a", "b")
    gate.open()
    await bench.models.settle()
    assert bench.live("b") == [1]


async def test_without_any_time_nothing_is_applied(bench: Bench) -> None:
    with pytest.raises(DeadlineExceeded, match="the configuration was not applied within 0 s"):
        await bench.reloads.reload(config("a"), -1.0)
    assert bench.models.config == ServingConfig()


async def test_a_model_that_returns_while_it_drains_is_waited_for(bench: Bench) -> None:
    await bench.reloads.reload(config("a", "b"), LONG)
    with bench.predictor.lease(ModelRef("b")):
        await bench.reloads.reload(config("a"), LONG)
        assert bench.states("b") == {1: "draining"}
        again = asyncio.create_task(bench.reloads.reload(config("a", "b"), LONG))
        await bench.until(lambda: bench.models.config == config("a", "b"))
        assert not again.done()
    await again
    assert bench.live("b") == [1]


async def test_a_label_that_cannot_be_refuses_the_whole(bench: Bench) -> None:
    with pytest.raises(PreconditionFailed, match="version 5 of model a"):
        await bench.reloads.reload(config("a", "b", stable=5), LONG)
    assert bench.models.config == ServingConfig()
    assert bench.models.names() == []


async def test_one_that_is_replaced_while_it_waits_says_so(bench: Bench) -> None:
    gate = slow(bench, "/b")
    first = asyncio.create_task(bench.reloads.reload(config("a", "b"), LONG))
    await gate.arrival()
    await bench.reloads.reload(config("a"), LONG)
    gate.open()
    with pytest.raises(Conflict, match="replaced by another one"):
        await first
    await bench.models.settle()
    assert bench.models.names() == ["a"]


async def test_a_look_by_the_old_configuration_takes_nothing_back(bench: Bench) -> None:
    for _ in range(20):
        await asyncio.gather(
            bench.models.look(), bench.reloads.reload(config("a", "b"), LONG), bench.models.look(), bench.models.look()
        )
        assert bench.models.names() == ["a", "b"]
        await bench.reloads.reload(config(), LONG)
        await bench.models.settle()
        assert bench.models.names() == []


# --- Following a source -----------------------------------------------------------------------------------------------


class Source:
    """A file of models, as a test writes it."""

    def __init__(self, config: ServingConfig) -> None:
        self.says: ServingConfig | Exception = config
        self.reads = 0

    def read(self) -> ServingConfig:
        self.reads += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


async def read_again(bench: Bench, source: Source) -> None:
    """Let the source be read once more, and what follows from it happen."""
    reads = source.reads
    while source.reads == reads:
        bench.clock.advance(10)
        await asyncio.sleep(0)
    # The next wait begins when this reading has been dealt with.
    await bench.until(lambda: bench.clock.asleep > 0)
    await bench.models.settle()


async def test_what_a_source_says_is_taken_over_when_it_changes(bench: Bench) -> None:
    source = Source(config("a"))
    following = asyncio.create_task(bench.reloads.follow(source, 10))
    await read_again(bench, source)
    assert bench.live("a") == [1]
    before = bench.models.config
    await read_again(bench, source)
    assert bench.models.config is before, "nothing changed, nothing was done"
    source.says = config("b")
    await read_again(bench, source)
    assert bench.models.names() == ["b"]
    following.cancel()


@pytest.mark.parametrize(
    "fault", [InvalidInput("models.config:3: no such field"), OSError("it is gone"), config("a", stable=9)]
)
async def test_what_cannot_be_taken_over_changes_nothing_and_is_shown(
    bench: Bench, fault: ServingConfig | Exception
) -> None:
    source = Source(config("a"))
    following = asyncio.create_task(bench.reloads.follow(source, 10))
    await read_again(bench, source)
    source.says = fault
    await read_again(bench, source)
    assert bench.models.config == config("a")
    assert bench.models.config_problem is not None
    source.says = config("b")
    await read_again(bench, source)
    assert bench.models.config_problem is None
    assert bench.models.names() == ["b"]
    following.cancel()
