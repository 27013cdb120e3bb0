"""The lifecycle: what the repository holds becomes what answers, without a gap, and no model hurts another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from serving_fakes import Bench, FakeModel, Gate, base_manifest, scaling_model, signature, spec

from service.application.ports import Listing
from service.domain.errors import ModelNotFound, SignatureNotFound, UnknownLabel
from service.domain.versions import ModelRef

ROW = {"x": np.ones((1, 3), np.float32)}
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def bench(**options: Any) -> Bench:
        made.append(Bench(**options))
        return made[-1]

    yield bench
    for one in made:
        await one.close()
        assert one.engine.misuses == []
        assert one.engine.open_graphs == [], "closing frees everything"


async def answer(bench: Bench, model: str, version: int | None = None) -> float:
    """What a model makes of ones."""
    with bench.predictor.lease(ModelRef(model, version)) as online:
        outputs = await online.endpoint("serving_default").call(ROW)
    return float(outputs["y"][0, 0])


async def test_what_the_repository_holds_answers(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1, scaling_model(4))
    with pytest.raises(ModelNotFound, match=r"Servable not found for request: Latest\(m\)"):
        bench.models.find(ModelRef("m"))
    await bench.look()
    assert await answer(bench, "m") == 5
    assert await answer(bench, "m", 1) == 5
    assert bench.observer.named("version_live") == [("version_live", "m@1", "plain")]


async def test_a_version_or_label_that_is_not_there_is_not_found_by_its_own_name(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1)
    await bench.look()
    with pytest.raises(ModelNotFound, match=r"Specific\(m, 9\)"):
        bench.models.find(ModelRef("m", 9))
    with pytest.raises(UnknownLabel, match="Unrecognized servable version label: canary"):
        bench.models.find(ModelRef("m", label="canary"))
    with pytest.raises(SignatureNotFound):
        bench.models.find(ModelRef("m")).endpoint("other")


async def test_the_old_version_answers_until_the_new_one_does(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1, scaling_model(1))
    await bench.look()
    gate = Gate()
    bench.publish("m", 2, replace(scaling_model(2), load_gate=gate))
    await bench.models.look()
    await gate.arrival()
    assert bench.states("m") == {2: "loading", 1: "live"}
    assert await answer(bench, "m") == 2, "the old one, while the new one loads"
    gate.open()
    await bench.models.settle()
    assert bench.states("m") == {2: "live"}
    assert await answer(bench, "m") == 3
    events = [event[:2] for event in bench.observer.named("version_live", "version_gone")]
    assert events == [("version_live", "m@1"), ("version_live", "m@2"), ("version_gone", "m@1")]


async def test_a_request_that_holds_the_old_version_keeps_it_in_memory(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1, scaling_model(1))
    await bench.look()
    with bench.predictor.lease(ModelRef("m")) as held:
        bench.publish("m", 2, scaling_model(2))
        await bench.models.look()
        await bench.until(lambda: bench.states("m") == {2: "live", 1: "draining"})
        assert len(bench.engine.open_graphs) == 2
        assert await answer(bench, "m") == 3, "who comes now gets the new one"
        with pytest.raises(ModelNotFound):
            bench.models.find(ModelRef("m", 1))
        assert (await held.endpoint("serving_default").call(ROW))["y"][0, 0] == 2, "who was there keeps the old one"
    await bench.models.settle()
    assert bench.states("m") == {2: "live"}
    assert len(bench.engine.open_graphs) == 1


async def test_every_holder_has_to_leave_before_a_version_is_freed(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1)
    await bench.look()
    first, second = bench.predictor.lease(ModelRef("m")), bench.predictor.lease(ModelRef("m"))
    with first:
        with second:
            bench.repository.remove("m", 1)
            await bench.models.look()
        for _ in range(10):
            await asyncio.sleep(0)
        assert bench.states("m") == {1: "draining"}
    await bench.models.settle()
    assert bench.models.names() == []


async def test_a_request_that_gave_up_does_not_let_its_graph_be_freed_under_its_run(make: Callable[..., Bench]) -> None:
    bench = make()
    model = scaling_model()
    bench.publish("m", 1, model)
    await bench.look()
    gate = model.run_gate = Gate()
    request = asyncio.create_task(answer(bench, "m"))
    await gate.arrival()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    bench.repository.remove("m", 1)
    await bench.models.look()
    assert bench.states("m") == {1: "draining"}
    gate.open()
    await bench.models.settle()
    assert bench.models.names() == []


async def test_two_looks_at_once_unload_a_version_once(make: Callable[..., Bench]) -> None:
    """Else the graph that a head shares with its base would be given back twice, and freed under the others."""
    bench = make()
    bench.publish_base()
    bench.publish_head("staying", ("a", "b"))
    for version in range(1, 30):
        bench.publish_head("going", ("c", "d"), version)
        await bench.look()
        bench.repository.remove("going", version)
        await asyncio.gather(*(bench.models.look() for _ in range(4)))
        await bench.models.settle()
        shared = bench.models.find(ModelRef("staying")).shared
        assert shared.users == 2
        assert bench.observer.count("version_gone") == version


async def test_a_version_that_fails_keeps_its_error_and_the_old_one_answers(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1, scaling_model(1))
    await bench.look()
    bench.publish("m", 2, replace(scaling_model(), broken="no variables"))
    await bench.look()
    assert bench.states("m") == {2: "failed", 1: "live"}
    assert bench.models.status("m")[0].error == "no variables"
    assert await answer(bench, "m") == 2
    assert bench.observer.named("version_failed") == [("version_failed", "m@2", "no variables")]


async def test_a_failed_version_is_tried_again_ever_more_rarely(make: Callable[..., Bench]) -> None:
    """Also after days of failing: the wait stops growing, and never falls back to none."""
    bench = make()
    listing = bench.publish("m", 1, replace(scaling_model(), broken="no variables"))
    await bench.look()
    waited = FIRST_RETRY_S
    for failures in range(1, 1100):
        assert bench.observer.count("version_failed") == failures
        if failures < 10 or failures > 1090:
            bench.clock.advance(waited * 0.99)
            await bench.look()
            assert bench.observer.count("version_failed") == failures, "not yet"
            bench.clock.advance(waited * 0.02)
        else:
            bench.clock.advance(waited * 1.01)
        await bench.look()
        waited = min(waited * 2, LAST_RETRY_S)
    bench.engine.models[listing.directory].broken = None
    bench.clock.advance(LAST_RETRY_S)
    await bench.look()
    assert bench.states("m") == {1: "live"}
    assert bench.models.status("m")[0].error is None


async def test_a_failed_version_whose_files_changed_is_tried_at_once(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1, problem="half copied")
    await bench.look()
    await bench.look()
    assert bench.observer.count("version_failed") == 1, "nothing changed"
    bench.publish("m", 1)
    await bench.look()
    assert bench.live("m") == [1]


async def test_a_version_that_was_completed_while_it_waited_its_turn_is_loaded_as_it_is_now(
    make: Callable[..., Bench],
) -> None:
    bench = make()
    gate = Gate()
    bench.publish("m", 1, replace(scaling_model(), load_gate=gate))
    await bench.models.look()
    await gate.arrival()
    bench.publish("m", 2, problem="half copied")
    await bench.models.look()
    bench.publish("m", 2)
    await bench.models.look()
    gate.open()
    await bench.models.settle()
    assert bench.states("m") == {2: "live"}
    assert bench.observer.count("version_failed") == 0


@pytest.mark.parametrize("error", [RuntimeError("a bug"), MemoryError("too large")])
async def test_one_bad_model_disturbs_no_other(make: Callable[..., Bench], error: Exception) -> None:
    bench = make()

    def breaks(inputs: Any) -> Any:
        raise error

    x = spec("x", (None, 3))
    bench.publish("bad", 1, FakeModel({"s": signature([x], [x])}, {"s": breaks}))
    bench.publish("worse", 1, problem="unreadable")
    bench.publish("good", 1)
    await bench.look()
    assert bench.states("bad") == {1: "failed"}
    assert bench.models.status("bad")[0].error == f"unexpected: {error!r}"
    assert bench.live("good") == [1]
    assert bench.models.readiness().ready


async def test_a_model_that_loads_for_long_holds_no_other_up(make: Callable[..., Bench]) -> None:
    bench = make()
    gate = Gate()
    bench.publish("slow", 1, replace(scaling_model(), load_gate=gate))
    await bench.models.look()
    await gate.arrival()
    bench.publish("quick", 1)
    await bench.models.look()
    await bench.until(lambda: bench.live("quick") == [1])
    assert bench.states("slow") == {1: "loading"}
    gate.open()
    await bench.models.settle()


async def test_an_unreachable_repository_takes_nothing_away(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1)
    await bench.look()
    bench.repository.unreachable = True
    await bench.look()
    assert bench.live("m") == [1]
    assert bench.models.readiness().ready
    bench.repository.unreachable = False
    bench.publish("m", 2)
    await bench.look()
    assert bench.live("m") == [2]


async def test_a_model_that_was_removed_is_gone_and_comes_back(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1)
    await bench.look()
    bench.repository.remove("m", 1)
    await bench.look()
    assert bench.models.names() == []
    assert bench.models.status("m") == []
    assert bench.observer.events[-1] == ("version_gone", "m@1")
    bench.publish("m", 1)
    await bench.look()
    assert bench.live("m") == [1]


async def test_a_failed_version_that_was_removed_is_forgotten(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1, problem="bad")
    await bench.look()
    bench.repository.remove("m", 1)
    await bench.look()
    assert bench.models.names() == []
    assert bench.observer.events[-1] == ("version_gone", "m@1")


async def test_a_version_removed_while_it_loads_does_not_stay(make: Callable[..., Bench]) -> None:
    bench = make()
    gate = Gate()
    bench.publish("m", 1, replace(scaling_model(), load_gate=gate))
    await bench.models.look()
    await gate.arrival()
    bench.repository.remove("m", 1)
    await bench.models.look()
    gate.open()
    await bench.models.settle()
    assert bench.models.names() == []


async def test_a_version_that_returns_while_it_drains_is_loaded_again(make: Callable[..., Bench]) -> None:
    bench = make()
    listing = bench.publish("m", 1)
    await bench.look()
    with bench.predictor.lease(ModelRef("m")):
        bench.repository.remove("m", 1)
        await bench.models.look()
        bench.repository.put("m", 1)
        await bench.models.look()
        assert bench.states("m") == {1: "draining"}
    await bench.models.settle()
    await bench.look()
    assert bench.live("m") == [1]
    assert [directory for directory, _ in bench.engine.loaded] == [listing.directory] * 2


async def test_as_many_of_the_newest_versions_answer_as_are_kept(make: Callable[..., Bench]) -> None:
    bench = make(keep=2)
    for version in (1, 2, 10):
        bench.publish("m", version, scaling_model(version))
    await bench.look()
    assert bench.live("m") == [10, 2]
    assert await answer(bench, "m") == 11, "without a number it is the newest"
    assert await answer(bench, "m", 2) == 3
    bench.repository.remove("m", 10)
    await bench.look()
    assert bench.live("m") == [2, 1], "a rollback is the removal of a version"


async def test_removing_the_newest_version_brings_the_one_before_back_before_it_goes(
    make: Callable[..., Bench],
) -> None:
    bench = make()
    bench.publish("m", 1, scaling_model(1))
    bench.publish("m", 2, scaling_model(2))
    await bench.look()
    gate = bench.engine.models[bench.repository.scan()["m"][0].directory].load_gate = Gate()
    bench.repository.remove("m", 2)
    await bench.models.look()
    await gate.arrival()
    assert await answer(bench, "m") == 3
    gate.open()
    await bench.models.settle()
    assert bench.live("m") == [1]


async def test_heads_and_base_are_one_graph_that_outlives_the_base(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish_base()
    await bench.look()
    bench.publish_head("five-six", ("five", "six"))
    bench.publish_head("cats-dogs", ("cats", "dogs"))
    await bench.look()
    assert len(bench.engine.open_graphs) == 1
    assert {one.graph for name in bench.models.names() for one in bench.models.status(name)} == {"base-1"}
    bench.repository.remove("base", 1)
    await bench.look()
    assert len(bench.engine.open_graphs) == 1
    bench.repository.remove("five-six", 1)
    bench.repository.remove("cats-dogs", 1)
    await bench.look()
    assert bench.engine.open_graphs == []


async def test_what_tuning_asks_of_the_models(make: Callable[..., Bench]) -> None:
    bench = make()
    listing: Listing = bench.publish_base()
    assert bench.models.live_listing("base") is None
    await bench.look()
    assert bench.models.live_listing("base") == listing
    assert bench.models.listings("base") == (listing,)
    assert bench.models.listings("nobody") == ()


async def test_ready_means_that_everything_has_had_its_first_verdict(make: Callable[..., Bench]) -> None:
    bench = make()
    assert bench.models.readiness().reason == "the repository has not been read yet"
    await bench.look()
    assert bench.models.readiness().reason == "no model is live"
    gate = Gate()
    bench.publish("a", 1)
    bench.publish("b", 1, replace(scaling_model(), load_gate=gate, broken="bad"))
    await bench.models.look()
    await gate.arrival()
    await bench.until(lambda: bench.live("a") == [1])
    assert bench.models.readiness().reason == "model b is loading"
    gate.open()
    await bench.models.settle()
    assert bench.models.readiness().ready, "a failed model is a verdict too"
    bench.clock.advance(FIRST_RETRY_S)
    await bench.models.look()
    assert bench.models.readiness().ready, "and trying it again takes nothing back"
    await bench.models.settle()


async def test_required_models_must_be_live(make: Callable[..., Bench]) -> None:
    bench = make(required=["a", "b"])
    bench.publish("a", 1)
    bench.publish("b", 1, problem="bad")
    await bench.look()
    assert bench.models.readiness().reason == "model b is not live"
    bench.publish("b", 2)
    await bench.look()
    assert bench.models.readiness().ready


async def test_the_loop_looks_again_and_again(make: Callable[..., Bench]) -> None:
    bench = make()
    loop = asyncio.create_task(bench.models.run())
    bench.publish("m", 1)
    while bench.live("m") != [1]:
        bench.clock.advance(1)
        await asyncio.sleep(0)
    bench.publish("m", 2)
    while bench.live("m") != [2]:
        bench.clock.advance(1)
        await asyncio.sleep(0)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_twenty_swaps_under_requests_lose_no_answer_and_mix_none(make: Callable[..., Bench]) -> None:
    """Each answer is the one of the version that it names."""
    bench = make()
    bench.publish("m", 1, scaling_model(1))
    await bench.look()
    stop = asyncio.Event()
    seen: set[int] = set()

    async def client() -> None:
        while not stop.is_set():
            with bench.predictor.call(ModelRef("m"), "", "test") as call:
                outputs = await call.run(ROW)
                assert outputs["y"][0, 0] == call.version.version + 1
                seen.add(call.version.version)

    clients = [asyncio.create_task(client()) for _ in range(8)]
    for version in range(2, 22):
        bench.publish("m", version, scaling_model(version))
        await bench.look()
        await bench.until(lambda version=version: version in seen)  # type: ignore[misc]
    stop.set()
    await asyncio.gather(*clients)
    assert seen >= set(range(2, 22))


async def test_closing_waits_for_who_still_holds_a_version(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1)
    await bench.look()
    with bench.predictor.lease(ModelRef("m")):
        closing = asyncio.create_task(bench.models.close())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not closing.done()
        assert bench.engine.open_graphs
    await closing
    assert bench.engine.open_graphs == []


async def test_a_base_manifest_makes_its_kind_known(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("base", 1, manifest=base_manifest("d"))
    await bench.look()
    assert bench.observer.named("version_live") == [("version_live", "base@1", "base")]
