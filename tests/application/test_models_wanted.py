"""What ought to be served and what becomes of it: configured models, policies, labels, changed files, stand-ins."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import PurePath
from typing import Any

import numpy as np
import pytest
from serving_fakes import Bench, Gate, scaling_model

from service.domain.errors import ModelNotFound, NotReady, PreconditionFailed, UnknownLabel
from service.domain.serving_config import All, ModelConfig, ServingConfig, Specific
from service.domain.versions import ModelRef

ROW = {"x": np.ones((1, 3), np.float32)}
SLOW = 1000.0
"""Longer than any wait between two tries."""


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def bench(*models: ModelConfig, **options: Any) -> Bench:
        made.append(Bench(config=ServingConfig(models), **options))
        return made[-1]

    yield bench
    for one in made:
        await one.close()
        assert one.engine.misuses == []
        assert one.engine.open_graphs == [], "closing frees everything"


async def answer(bench: Bench, model: str, version: int | None = None, label: str | None = None) -> float:
    """What a model makes of ones."""
    with bench.predictor.lease(ModelRef(model, version, label)) as online:
        outputs = await online.endpoint("serving_default").call(ROW)
    return float(outputs["y"][0, 0])


def only(*versions: int) -> Specific:
    return Specific(frozenset(versions))


# --- Places -----------------------------------------------------------------------------------------------------------


async def test_configured_models_are_served_beside_the_repositorys(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("a", "/far/a"), ModelConfig("b", "/near/b", All()))
    bench.publish("c", 1, scaling_model(3))
    bench.place("/far/a", 7, scaling_model(1))
    bench.place("/near/b", 1)
    bench.place("/near/b", 2)
    await bench.look()
    assert {name: bench.live(name) for name in bench.models.names()} == {"a": [7], "b": [2, 1], "c": [1]}
    assert await answer(bench, "a") == 2


async def test_a_configured_model_wins_by_its_name(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("m", "/far/m"))
    bench.publish("m", 9, scaling_model(9))
    bench.place("/far/m", 1, scaling_model(1))
    await bench.look()
    assert bench.states("m") == {1: "live"}
    await bench.models.adopt(ServingConfig())
    await bench.look()
    assert bench.states("m") == {9: "live"}, "and the repository's comes back without it"
    assert await answer(bench, "m") == 10


async def test_a_folder_that_was_given_a_name_is_not_served_under_its_own_too(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("renamed", "/fake/m/"))
    bench.publish("m", 1)
    bench.place("/fake/m", 1)
    await bench.look()
    assert bench.models.names() == ["renamed"]


async def test_one_name_in_two_places_one_after_the_other_never_stops_answering(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("m", "/old"))
    bench.place("/old", 1, scaling_model(1))
    await bench.look()
    gate = Gate()
    bench.place("/new", 1, replace(scaling_model(2), load_gate=gate))
    await bench.models.adopt(ServingConfig((ModelConfig("m", "/new"),)))
    await gate.arrival()
    assert await answer(bench, "m", 1) == 2, "the old files, while the new ones load"
    gate.open()
    await bench.models.settle()
    assert await answer(bench, "m", 1) == 3


async def test_a_missing_base_path_freezes_its_own_model_alone(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("a", "/a"), ModelConfig("b", "/b"))
    bench.place("/a", 1)
    bench.place("/b", 1)
    await bench.look()
    there = bench.repository.placed.pop(PurePath("/a"))
    bench.place("/b", 2)
    await bench.look()
    assert (bench.live("a"), bench.live("b")) == ([1], [2])
    assert bench.models.warnings("a") == ["base path /a cannot be read: /a"]
    bench.repository.placed[PurePath("/a")] = there
    bench.place("/a", 2)
    await bench.look()
    assert bench.live("a") == [2]
    assert bench.models.warnings("a") == []


async def test_a_base_path_that_was_emptied_takes_everything_with_it(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("m", "/m"))
    bench.place("/m", 1)
    await bench.look()
    bench.repository.placed[PurePath("/m")].clear()
    await bench.look()
    assert bench.live("m") == []
    assert bench.models.names() == ["m"], "it is configured all the same"
    assert bench.models.warnings("m") == ["No versions of servable m found under base path /m"]
    bench.place("/m", 2)
    await bench.look()
    assert bench.live("m") == [2]


async def test_an_unreachable_root_stops_no_configured_model(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("m", "/m"))
    bench.publish("r", 1)
    bench.place("/m", 1)
    await bench.look()
    bench.repository.unreachable = True
    bench.place("/m", 2)
    await bench.look()
    assert (bench.live("m"), bench.live("r")) == ([2], [1])


async def test_a_model_without_a_place_keeps_nobody_from_being_ready(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("lost", "/lost"), ModelConfig("m", "/m"))
    bench.place("/m", 1)
    await bench.look()
    assert bench.models.readiness().ready


async def test_who_was_ready_is_not_made_unready_by_a_newcomer(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1)
    await bench.look()
    gate = Gate()
    bench.publish("n", 1, replace(scaling_model(), load_gate=gate))
    await bench.models.look()
    await gate.arrival()
    assert bench.models.readiness().ready
    gate.open()
    await bench.models.settle()


# --- Versions ---------------------------------------------------------------------------------------------------------


async def test_versions_by_number_are_served_as_far_as_they_are_there(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("m", "/m", only(1, 3)))
    for version in (1, 2):
        bench.place("/m", version)
    await bench.look()
    assert bench.live("m") == [1]
    assert bench.models.warnings("m") == ["version 3 was asked for and is not there"]
    bench.place("/m", 3)
    await bench.look()
    assert bench.live("m") == [3, 1]
    assert bench.models.warnings("m") == []


async def test_no_numbers_mean_no_versions(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("m", "/m", only()))
    bench.place("/m", 1)
    await bench.look()
    assert bench.live("m") == []
    assert bench.models.warnings("m") == ["the version policy names no version"]


async def test_when_the_newest_fails_and_nothing_answers_the_one_before_stands_in(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1, scaling_model(1))
    bench.publish("m", 2, problem="half copied")
    newest = bench.publish("m", 3, replace(scaling_model(3), broken="no variables"))
    await bench.look()
    assert bench.states("m") == {3: "failed", 1: "live"}, "and the failed one before is forgotten, and not tried again"
    assert await answer(bench, "m") == 2
    assert bench.models.readiness().ready
    bench.clock.advance(SLOW)
    await bench.look()
    assert bench.states("m") == {3: "failed", 1: "live"}
    bench.engine.models[newest.directory].broken = None
    bench.clock.advance(SLOW)
    await bench.look()
    assert bench.states("m") == {3: "live"}, "it goes once the newest answers"


async def test_versions_of_which_none_can_be_loaded_are_tried_ever_more_rarely(make: Callable[..., Bench]) -> None:
    bench = make()
    for version in (1, 2, 3):
        bench.publish("m", version, problem="half copied")
    await bench.look()
    assert bench.states("m") == {3: "failed", 2: "failed", 1: "failed"}
    for _ in range(5):
        await bench.look()
    assert bench.observer.count("version_failed") == 3, "none of them over and over"
    assert bench.models.readiness().reason == "no model is live"
    bench.publish("m", 2)
    await bench.look()
    assert bench.states("m") == {3: "failed", 2: "live"}


async def test_there_is_no_verdict_before_everything_that_may_stand_in_was_tried(make: Callable[..., Bench]) -> None:
    bench = make()
    gate = Gate()
    bench.publish("m", 1, replace(scaling_model(1), load_gate=gate))
    bench.publish("m", 2, problem="half copied")
    bench.publish("n", 1)
    await bench.models.look()
    await gate.arrival()
    await bench.until(lambda: bench.live("n") == [1])
    assert bench.models.readiness().reason == "model m is loading"
    gate.open()
    await bench.models.settle()
    assert await bench.models.settled(["m", "n"]) == {"m": None, "n": None}


# --- Files that change in place ---------------------------------------------------------------------------------------


async def test_files_that_change_in_place_are_loaded_beside_the_old_ones(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1, scaling_model(1))
    await bench.look()
    gate = Gate()
    bench.publish("m", 1, replace(scaling_model(2), load_gate=gate))
    await bench.look()
    assert bench.states("m") == {1: "live"}
    assert len(bench.engine.loaded) == 1, "somebody may still be at work on it"
    await bench.models.look()
    await gate.arrival()
    assert await answer(bench, "m", 1) == 2, "the old files, until the new ones answer"
    gate.open()
    await bench.models.settle()
    assert await answer(bench, "m", 1) == 3
    assert len(bench.engine.open_graphs) == 1, "and then the old ones are freed"
    assert bench.observer.count("version_gone") == 0, "the version never went"


async def test_files_that_go_on_changing_are_left_alone(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1)
    await bench.look()
    for _ in range(5):
        bench.publish("m", 1)
        await bench.look()
    assert len(bench.engine.loaded) == 1
    await bench.look()
    assert len(bench.engine.loaded) == 2


async def test_a_broken_change_leaves_the_old_files_live_and_says_so(make: Callable[..., Bench]) -> None:
    bench = make(keep=2)
    bench.publish("m", 1, scaling_model(1))
    bench.publish("m", 2, scaling_model(2))
    await bench.look()
    broken = bench.publish("m", 1, replace(scaling_model(5), broken="no variables"))
    await bench.look()
    await bench.look()
    assert bench.states("m") == {2: "live", 1: "live"}
    assert await answer(bench, "m", 1) == 2
    status = bench.models.status("m")[1]
    assert (status.error, status.warning) == (None, "its changed files cannot be served: no variables")
    bench.engine.models[broken.directory].broken = None
    bench.clock.advance(SLOW)
    await bench.look()
    assert await answer(bench, "m", 1) == 6
    assert bench.models.status("m")[1].warning is None


async def test_a_changed_version_that_is_removed_goes_with_all_its_editions(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1)
    await bench.look()
    bench.publish("m", 1, replace(scaling_model(), broken="bad"))
    await bench.look()
    await bench.look()
    bench.repository.remove("m", 1)
    await bench.look()
    assert bench.models.names() == []
    assert bench.observer.count("version_gone") == 1


# --- Labels -----------------------------------------------------------------------------------------------------------


async def test_a_label_names_a_version(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("m", "/m", All(), {"stable": 1, "canary": 2}))
    bench.place("/m", 1, scaling_model(1))
    bench.place("/m", 2, scaling_model(2))
    await bench.look()
    assert (await answer(bench, "m", label="stable"), await answer(bench, "m", label="canary")) == (2, 3)
    assert bench.models.labels("m") == {"stable": 1, "canary": 2}
    with pytest.raises(UnknownLabel, match="Unrecognized servable version label: other"):
        bench.models.find(ModelRef("m", label="other"))


async def test_a_label_for_a_version_that_still_loads_says_so_and_then_works(make: Callable[..., Bench]) -> None:
    """At start-up too: this is the configuration it starts with."""
    bench = make(ModelConfig("m", "/m", labels={"stable": 1}))
    gate = Gate()
    bench.place("/m", 1, replace(scaling_model(1), load_gate=gate))
    await bench.models.look()
    await gate.arrival()
    with pytest.raises(NotReady, match="label stable stands for version 1 of model m, which does not answer yet"):
        bench.models.find(ModelRef("m", label="stable"))
    assert bench.models.warnings("m") == ["label stable is for version 1, which does not answer"]
    gate.open()
    await bench.models.settle()
    assert await answer(bench, "m", label="stable") == 2


async def test_a_label_that_moves_to_a_version_that_loads_answers_all_along(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("m", "/m", only(1), {"stable": 1}))
    bench.place("/m", 1, scaling_model(1))
    await bench.look()
    gate = Gate()
    bench.place("/m", 2, replace(scaling_model(2), load_gate=gate))
    await bench.models.adopt(ServingConfig((ModelConfig("m", "/m", only(2), {"stable": 2}),)))
    await gate.arrival()
    assert await answer(bench, "m", label="stable") == 2, "the old one, until the new one answers"
    gate.open()
    await bench.models.settle()
    assert await answer(bench, "m", label="stable") == 3
    assert bench.states("m") == {2: "live"}


async def test_a_label_whose_version_is_gone_finds_nothing(make: Callable[..., Bench]) -> None:
    bench = make(ModelConfig("m", "/m", All(), {"stable": 1}))
    bench.place("/m", 1)
    bench.place("/m", 2)
    await bench.look()
    del bench.repository.placed[PurePath("/m")][1]
    await bench.look()
    with pytest.raises(ModelNotFound, match=r"Servable not found for request: Specific\(m, 1\)"):
        bench.models.find(ModelRef("m", label="stable"))


async def test_a_label_for_what_neither_answers_nor_is_wanted_is_refused_and_changes_nothing(
    make: Callable[..., Bench],
) -> None:
    bench = make(ModelConfig("m", "/m", labels={"stable": 2}))
    bench.place("/m", 1)
    bench.place("/m", 2)
    bench.place("/n", 1)
    await bench.look()
    before = bench.models.config
    with pytest.raises(PreconditionFailed, match="Request to assign label to version 1 of model m"):
        await bench.models.adopt(
            ServingConfig((ModelConfig("m", "/m", labels={"stable": 1}), ModelConfig("n", "/n"))),
        )
    assert bench.models.config is before
    assert bench.models.names() == ["m"]
    await bench.models.adopt(ServingConfig((ModelConfig("m", "/m", All(), {"stable": 1}),)))
    await bench.models.settle()
    assert bench.models.labels("m") == {"stable": 1}


# --- The past ---------------------------------------------------------------------------------------------------------


async def test_versions_that_are_gone_are_remembered_for_a_while(make: Callable[..., Bench]) -> None:
    bench = make()
    for version in range(1, 15):
        bench.publish("m", version)
        await bench.look()
    there, *gone = bench.models.history("m")
    assert (there.version, there.state) == (14, "live")
    assert [one.version for one in gone] == list(range(13, 3, -1)), "the last ten"
    assert {(one.state, one.error) for one in gone} == {("ended", None)}
    assert bench.states("m") == {14: "live"}


async def test_a_version_that_never_answered_is_remembered_with_its_error(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1, problem="half copied")
    await bench.look()
    bench.repository.remove("m", 1)
    await bench.look()
    assert [(one.version, one.state, one.error) for one in bench.models.history("m")] == [(1, "ended", "half copied")]
    bench.publish("m", 1)
    await bench.look()
    assert [(one.version, one.state, one.error) for one in bench.models.history("m")] == [(1, "live", None)]


# --- Threads ----------------------------------------------------------------------------------------------------------


async def test_loads_that_hang_hold_up_no_look_and_no_unload(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.publish("m", 1)
    await bench.look()
    gates = [Gate() for _ in range(4)]
    for number, gate in enumerate(gates):
        bench.publish(f"slow{number}", 1, replace(scaling_model(), load_gate=gate))
    await bench.models.look()
    for gate in gates:
        await gate.arrival()
    bench.repository.remove("m", 1)
    await bench.models.look()
    await bench.until(lambda: bench.observer.count("version_gone") == 1)
    for gate in gates:
        gate.open()
    await bench.models.settle()


async def test_heads_that_wait_for_their_base_take_no_thread_from_other_models(make: Callable[..., Bench]) -> None:
    bench = make()
    gate = Gate()
    bench.publish_base(replace(scaling_model(), load_gate=gate))
    for number in range(8):
        bench.publish_head(f"head{number}", ("a", "b"))
    await bench.models.look()
    await gate.arrival()
    bench.publish("quick", 1)
    await bench.models.look()
    await bench.until(lambda: bench.live("quick") == [1])
    gate.open()
    await bench.models.settle()
    assert all(bench.live(f"head{number}") == [1] for number in range(8))
    assert len(bench.engine.open_graphs) == 2


async def test_closing_begins_no_load_that_waits_for_a_thread() -> None:
    bench = Bench()
    gates = [Gate() for _ in range(4)]
    for number, gate in enumerate(gates):
        bench.publish(f"a{number}", 1, replace(scaling_model(), load_gate=gate))
    bench.publish("b", 1)
    await bench.models.look()
    for gate in gates:
        await gate.arrival()
        gate.open()
    await bench.close()
    assert bench.live("b") == []
    assert bench.engine.open_graphs == []
