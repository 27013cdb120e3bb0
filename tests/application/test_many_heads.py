"""Hundreds of heads on one base: what one of them does costs the others nothing, and one request reaches many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from serving_fakes import Bench, base_manifest, head_manifest, head_of, scaling_model

from service.application.many_heads import MOST_HEADS, head_reference
from service.application.ports import GoldenPair, Listing
from service.application.retries import MOST_A_LOOK
from service.domain.errors import InvalidInput, ModelFailed, ModelNotFound
from service.domain.heads import AnswerForm, Head
from service.domain.versions import ModelRef

HEADS = 200
LABELS = ("cat", "dog")
ROWS = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}
FEATURES = ROWS["x"] * np.float32(2) + np.float32(1)


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


def publish_base(bench: Bench) -> Listing:
    """A base whose golden pair the thin heads are proven on."""
    pair = GoldenPair("serving_default", ROWS, {"y": FEATURES})
    manifest = replace(base_manifest("base-1"), files={"assets.extra/graft/golden.npz": "the pair"})
    return bench.publish("base", 1, scaling_model(), manifest=manifest, golden=pair)


def put_thin(bench: Bench, name: str, version: int = 1, **changes: Any) -> Head:
    """A thin head: it has no graph that could be loaded."""
    head = head_of(LABELS, seed=version + sum(name.encode()))
    answers = head.answer(FEATURES, AnswerForm.PREDICT)
    golden = GoldenPair("serving_default", {}, {"probabilities": answers["probabilities"]}, of_base="the pair")
    manifest = head_manifest(f"{name}-{version}", "base-1", LABELS, thin=True)
    bench.repository.put(name, version, manifest, **{"head": head, "golden": golden, **changes})
    return head


async def fleet(bench: Bench, count: int = HEADS) -> list[Head]:
    publish_base(bench)
    heads = [put_thin(bench, f"h{number:03}") for number in range(count)]
    await bench.look()
    return heads


async def answer(bench: Bench, model: str, version: int | None = None) -> Any:
    with bench.predictor.call(ModelRef(model, version), "", "test") as call:
        return await call.run(ROWS)


# --- Thin heads -------------------------------------------------------------------------------------------------------


async def test_all_answer_from_one_graph_and_were_proven_by_one_run(make: Callable[..., Bench]) -> None:
    bench = make()
    heads = await fleet(bench)
    assert bench.observer.count("graph_loaded") == 1
    (_, graph), *_ = bench.engine.loaded
    proofs = [run for run in graph.runs if run == ("features", 2)]
    assert 1 <= len(proofs) <= 3, "the golden input's features, and sizes that are warmed; not one for every head"
    found = await asyncio.gather(*(answer(bench, f"h{number:03}") for number in range(HEADS)))
    for head, outputs in zip(heads, found, strict=True):
        wanted = head.answer(FEATURES, AnswerForm.PREDICT)
        assert np.array_equal(outputs["probabilities"], wanted["probabilities"]), "to the last bit, in any company"


async def test_signatures_of_a_thin_head_follow_from_its_routes(make: Callable[..., Bench]) -> None:
    bench = make()
    await fleet(bench, 2)
    with bench.predictor.lease(ModelRef("h000")) as one, bench.predictor.lease(ModelRef("h001")) as other:
        assert set(one.endpoints) == {"serving_default", "features"}
        answering = one.endpoint("serving_default").signature
        assert {name: (s.dtype, s.shape) for name, s in answering.outputs.items()} == {
            "classes": ("DT_STRING", (None, 2)),
            "probabilities": ("DT_FLOAT", (None, 2)),
            "scores": ("DT_FLOAT", (None, 2)),
        }
        assert other.endpoint("serving_default").signature is answering, "alike for all heads of one shape"
        features = await one.endpoint("features").call(ROWS)
    assert np.array_equal(features["embedding"], FEATURES)


async def test_the_base_goes_with_its_last_head(make: Callable[..., Bench]) -> None:
    bench = make()
    await fleet(bench, 3)
    for name in ("base", "h000", "h001"):
        bench.repository.remove(name, 1)
    await bench.look()
    assert len(bench.engine.open_graphs) == 1
    assert (await answer(bench, "h002"))["probabilities"].shape == (2, 2)
    bench.repository.remove("h002", 1)
    await bench.look()
    assert bench.engine.open_graphs == []


async def test_heads_without_their_base_say_so_and_are_live_as_soon_as_it_is_there(make: Callable[..., Bench]) -> None:
    bench = make()
    for number in range(HEADS):
        put_thin(bench, f"h{number:03}")
    await bench.look()
    (status,) = bench.models.status("h000")
    assert "answers by its base base@1, digest base-1" in str(status.error)
    assert bench.engine.loaded == []
    publish_base(bench)
    await bench.look()
    assert all(bench.live(f"h{number:03}") == [1] for number in range(HEADS)), "no back-off keeps them waiting"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"golden": GoldenPair("serving_default", {}, {"probabilities": FEATURES[:, :2]}, of_base="the pair")},
            "off by",
        ),
        ({"golden": GoldenPair("serving_default", {}, {"probabilities": FEATURES}, of_base="another")}, "no longer"),
        ({"golden": GoldenPair("serving_default", {}, {}, of_base="the pair")}, "empty"),
        ({"head": head_of(LABELS, width=4)}, "takes 4 features"),
        ({"head": None}, "without weights"),
    ],
    ids=["other-answers", "other-inputs", "nothing", "too-wide", "no-numbers"],
)
async def test_a_faulty_head_among_many_harms_none(make: Callable[..., Bench], change: Any, says: str) -> None:
    bench = make()
    put_thin(bench, "faulty", **change)
    await fleet(bench)
    assert says in str(bench.models.status("faulty")[0].error)
    assert all(bench.live(f"h{number:03}") == [1] for number in range(HEADS))


# --- What a look costs ------------------------------------------------------------------------------------------------


async def test_adding_and_dropping_one_turns_to_no_other(make: Callable[..., Bench]) -> None:
    bench = make()
    await fleet(bench)
    before = bench.observer.count("version_live"), len(bench.engine.loaded)
    with bench.predictor.lease(ModelRef("h007")) as held:
        put_thin(bench, "new")
        bench.repository.remove("h000", 1)
        await bench.look()
        with bench.predictor.lease(ModelRef("h007")) as again:
            assert again is held
    assert bench.live("new") == [1]
    assert bench.live("h000") == []
    assert (bench.observer.count("version_live"), len(bench.engine.loaded)) == (before[0] + 1, before[1])


async def test_hundreds_that_fail_are_tried_again_a_few_at_a_look(make: Callable[..., Bench]) -> None:
    bench = make()
    publish_base(bench)
    for number in range(HEADS):
        put_thin(bench, f"h{number:03}", head=None)
    await bench.look()
    assert bench.observer.count("version_failed") == HEADS
    bench.clock.advance(1.0)
    await bench.look()
    assert bench.observer.count("version_failed") == HEADS + MOST_A_LOOK
    put_thin(bench, "good")
    await bench.look()
    assert bench.live("good") == [1]


# --- One request to many ----------------------------------------------------------------------------------------------


async def test_one_request_to_many_heads_runs_the_base_once(make: Callable[..., Bench]) -> None:
    bench = make()
    heads = await fleet(bench)
    (_, graph), *_ = bench.engine.loaded
    runs = len(graph.runs)
    wanted = {f"h{number:03}@1" if number % 2 else f"h{number:03}": head for number, head in enumerate(heads)}
    references = {name: head_reference(name) for name in wanted}
    with bench.predictor.call_many(ModelRef("base"), references, "", "test") as call:
        assert list(call.signature.inputs) == ["x"]
        assert {str(version) for version in call.versions.values()} == {f"h{n:03}@1" for n in range(HEADS)}
        found = await call.run(ROWS)
    assert len(graph.runs) == runs + 1
    assert found.keys() == wanted.keys()
    for name, head in wanted.items():
        answered = head.answer(FEATURES, AnswerForm.PREDICT)
        assert found[name].keys() == answered.keys()
        assert np.array_equal(found[name]["probabilities"], answered["probabilities"])
    assert bench.observer.events[-1] == ("answered", "base", 1, "serving_default", "test", "ok")


async def test_a_large_request_to_many_heads_is_split_and_joined_again(make: Callable[..., Bench]) -> None:
    bench = make()
    heads = await fleet(bench, 2)
    rows = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    references = {"h000": ModelRef("h000"), "h001": ModelRef("h001")}
    with bench.predictor.call_many(ModelRef("base"), references, "", "test") as call:
        found = await call.run({"x": rows})
        none = await call.run({"x": rows[:0]})
    for head, outputs in zip(heads, found.values(), strict=True):
        wanted = head.answer(rows * np.float32(2) + np.float32(1), AnswerForm.PREDICT)
        assert np.array_equal(outputs["probabilities"], wanted["probabilities"])
    assert none["h001"]["probabilities"].shape == (0, 2)


async def test_what_cannot_be_asked_of_many_heads_is_refused_by_name(make: Callable[..., Bench]) -> None:
    bench = make()
    await fleet(bench, 2)
    bench.publish("other", 1)
    await bench.look()

    def ask(base: str, *names: str) -> None:
        with bench.predictor.call_many(ModelRef(base), {n: head_reference(n) for n in names}, "", "test"):
            pass

    with pytest.raises(ModelNotFound, match=r"Specific\(h001, 9\)"):
        ask("base", "h000", "h001@9")
    with pytest.raises(ModelNotFound, match=r"Latest\(nobody\)"):
        ask("nobody", "h000")
    with pytest.raises(InvalidInput, match="other is not a head of base@1"):
        ask("base", "h000", "other")
    with pytest.raises(InvalidInput, match="h001 is not a head of other@1"):
        ask("other", "h001")
    with pytest.raises(InvalidInput, match="at least one head"):
        ask("base")
    with pytest.raises(InvalidInput, match=f"at most {MOST_HEADS}"):
        ask("base", *(f"h{number}" for number in range(MOST_HEADS + 1)))


def test_heads_are_named_with_or_without_a_version() -> None:
    assert head_reference("birds") == ModelRef("birds")
    assert head_reference("birds@3") == ModelRef("birds", 3)
    assert head_reference("birds@home") == ModelRef("birds@home")
    with pytest.raises(InvalidInput):
        head_reference("")


async def test_a_head_that_breaks_is_named(make: Callable[..., Bench]) -> None:
    bench = make()
    publish_base(bench)
    put_thin(bench, "good")
    bad = put_thin(bench, "bad")
    await bench.look()
    bad.weights.resize((2, 2), refcheck=False)
    references = {"good": ModelRef("good"), "bad": ModelRef("bad")}
    with (
        pytest.raises(ModelFailed, match="head bad failed"),
        bench.predictor.call_many(ModelRef("base"), references, "", "test") as call,
    ):
        await call.run(ROWS)
