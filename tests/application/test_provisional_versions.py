"""Versions that nobody published, beside those that somebody did: one answers until the other does, without a gap."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest
from serving_fakes import Bench, FakeRepository, base_manifest, head_manifest, head_of

from service.application.live_bases import FLOW, ROWS, LiveModelsBases
from service.application.loading import Loader
from service.application.models import Models
from service.application.ports import Repository
from service.application.provisional_versions import WithProvisionalVersions
from service.domain.direction import Direction
from service.domain.errors import ModelFailed, ModelNotFound, NotReady
from service.domain.versions import ModelRef


@dataclass
class Shelves:
    """A bench whose models also see a shelf of provisional heads."""

    bench: Bench
    provisional: FakeRepository
    repository: Repository
    models: Models

    def shelve(self, name: str = "birds") -> None:
        manifest = head_manifest(f"{name}-0", "base-1", ("a", "b"), thin=True)
        self.provisional.put(name, 0, manifest, head=head_of(("a", "b")))

    async def look(self) -> None:
        await self.models.look()
        await self.models.settle()

    def answering(self) -> int:
        return self.models.find(ModelRef("birds")).id.version


@pytest.fixture
async def shelves() -> AsyncIterator[Shelves]:
    bench, provisional = Bench(), FakeRepository()
    repository = WithProvisionalVersions(bench.repository, provisional)
    loader = Loader(repository, bench.engine, bench.graphs, bench.observer)
    models = Models(repository, loader, bench.observer, bench.clock, directions=lambda: bench.directions)
    yield Shelves(bench, provisional, repository, models)
    await models.close()
    await bench.close()
    assert bench.engine.open_graphs == []


async def test_one_answers_until_something_published_does(shelves: Shelves) -> None:
    bench = shelves.bench
    bench.publish_base()
    shelves.shelve()
    await shelves.look()
    assert shelves.answering() == 0
    assert (shelves.models.live_listing("birds"), shelves.models.listings("birds")) == (None, ())
    (status,) = shelves.models.status("birds")
    assert status.listing is not None
    assert status.listing.provisional
    bench.publish_head("birds", ("a", "b"))
    await shelves.look()
    assert shelves.answering() == 1
    assert [one.version for one in shelves.models.status("birds")] == [1]
    listing = shelves.models.live_listing("birds")
    assert listing is not None
    assert (listing.id.version, listing.provisional) == (1, False)


async def test_what_was_published_and_does_not_load_takes_nothing_away(shelves: Shelves) -> None:
    shelves.bench.publish_base()
    shelves.shelve()
    await shelves.look()
    shelves.bench.publish("birds", 1, manifest=head_manifest("b", "another", ("a", "b"), thin=True))
    shelves.provisional.remove("birds", 0)
    await shelves.look()
    assert shelves.answering() == 0, "it goes on until something published answers"
    assert {one.version: str(one.state) for one in shelves.models.status("birds")} == {1: "failed", 0: "live"}


async def test_taken_away_it_is_gone(shelves: Shelves) -> None:
    shelves.bench.publish_base()
    shelves.shelve()
    await shelves.look()
    shelves.provisional.remove("birds", 0)
    await shelves.look()
    with pytest.raises(ModelNotFound):
        shelves.answering()
    assert "birds" not in shelves.models.names()


async def test_a_direction_of_versions_that_are_gone_does_not_keep_it_from_answering(shelves: Shelves) -> None:
    shelves.bench.publish_base()
    shelves.bench.direct("birds", Direction(stable=4))
    shelves.shelve()
    await shelves.look()
    assert shelves.answering() == 0
    assert shelves.models.live_listing("birds") is None


def test_what_did_not_change_is_the_same_object() -> None:
    published, provisional = FakeRepository(), FakeRepository()
    both = WithProvisionalVersions(published, provisional)
    published.put("base", 1, base_manifest("base-1"))
    assert both.scan() is published.scan(), "where there are none they cost nothing"
    provisional.put("birds", 0, head_manifest("b", "base-1", ("a",)))
    first = both.scan()
    assert both.scan() is first
    provisional.put("cats", 0, head_manifest("c", "base-1", ("a",)))
    second = both.scan()
    assert second is not first
    assert second["birds"] is first["birds"]
    assert second["base"] is first["base"]
    published.put("birds", 0, head_manifest("p", "base-1", ("a",)))
    assert [one.provisional for one in both.scan()["birds"]] == [False], "a published one of that number is itself"


async def test_a_base_computes_a_few_rows_at_a_time_as_a_model_of_its_own(shelves: Shelves) -> None:
    bench = shelves.bench
    bench.publish_base()
    await shelves.look()
    bases, inputs = LiveModelsBases(shelves.models), np.arange(150, dtype=np.float32).reshape(50, 3)
    (_, graph) = bench.engine.loaded[0]
    graph.runs.clear()
    found = await bases.features("base", "base-1", inputs)
    np.testing.assert_array_equal(found.by_cut["embedding"], 2 * inputs + 1)
    assert {"features", "serving_default"} <= set(found.signatures)
    assert {name for name, _ in graph.runs} == {"features"}
    assert sum(rows for _, rows in graph.runs) == 50
    assert max(rows for _, rows in graph.runs) <= ROWS
    assert FLOW not in shelves.models.names()
    with pytest.raises(NotReady):
        await bases.features("base", "base-2", inputs)
    with pytest.raises(NotReady):
        await bases.features("nobody", "base-1", inputs)
    (online,) = shelves.models.online("base").values()
    assert online.pins == 0, "it can be unloaded"


async def test_a_head_is_taken_up_at_once_or_it_is_said_why_not(shelves: Shelves) -> None:
    bases = LiveModelsBases(shelves.models)
    assert await bases.taken_up("birds") == "it is not served here"
    shelves.bench.publish_base()
    shelves.shelve()
    assert await bases.taken_up("birds") is None
    assert shelves.answering() == 0
    shelves.provisional.put("cats", 0, head_manifest("c", "another base", ("a",), thin=True), head=head_of(("a",)))
    why = await bases.taken_up("cats")
    assert why is not None
    assert "cannot be used" in why


async def test_a_head_that_is_never_ready_is_not_waited_for(shelves: Shelves) -> None:
    shelves.bench.publish_base()
    shelves.shelve()
    why = await LiveModelsBases(shelves.models, longest_s=0.0).taken_up("birds")
    assert why == "it did not answer within 0 s"
    await shelves.models.settle()


def test_each_is_read_where_it_lies() -> None:
    published, provisional = FakeRepository(), FakeRepository()
    both = WithProvisionalVersions(published, provisional)
    provisional.put("birds", 0, head_manifest("b", "base-1", ("a",)), head=head_of(("a",)))
    (listing,) = both.scan()["birds"]
    assert both.head(listing) is provisional.versions[listing.id].head
    assert (both.golden(listing), both.damage(listing)) == (None, None)
    with pytest.raises(ModelFailed):
        published.head(listing)
