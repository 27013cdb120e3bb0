"""Turns: versions of one graph load one behind the other, and wait for other processes beside that."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from serving_fakes import head_manifest

from service.application.ports import Listing
from service.application.turns import Outcome, Turn, Turns
from service.domain.errors import ModelFailed
from service.domain.versions import VersionId

FAILURE = ModelFailed("no")


def head(name: str, base: str = "base") -> Listing:
    return Listing(VersionId(name, 1), Path(name), "stamp", head_manifest(f"digest of {name}", base, ("a", "b")))


class Process:
    """One of two that load the same; what it did, in order."""

    def __init__(self, both: defaultdict[str, asyncio.Barrier] | None = None) -> None:
        self.both, self.done = both, list[str]()
        self.turns = Turns(self.load, lambda: self.done.append("told"), self.agree if both is not None else None)

    def take(self, *listings: Listing) -> None:
        for listing in listings:
            self.turns.take(Turn(listing, lambda outcome, name=listing.id.model: self.done.append(f"{name} ended")))

    async def load(self, listings: Sequence[Listing]) -> Sequence[Outcome]:
        self.done.append(f"{listings[0].id.model} loads")
        await asyncio.sleep(0)
        return [FAILURE]

    async def agree(self, listings: Sequence[Listing], outcomes: Sequence[Outcome]) -> None:
        assert (len(listings), outcomes) == (1, [FAILURE])
        assert self.both is not None
        await self.both[listings[0].id.model].wait()

    async def settle(self) -> None:
        while self.turns.under_way:
            await asyncio.wait(self.turns.under_way)


async def test_of_one_graph_one_loads_when_the_one_before_has_ended() -> None:
    alone = Process()
    alone.take(head("a"), head("b"))
    await alone.settle()
    assert alone.done == ["a loads", "a ended", "told", "b loads", "b ended", "told"]


async def test_of_two_graphs_both_load_at_once() -> None:
    alone = Process()
    alone.take(head("a"), head("b", "other"))
    await alone.settle()
    assert alone.done[:2] == ["a loads", "b loads"]


async def test_two_processes_that_load_in_different_orders_do_not_wait_for_each_other_in_vain() -> None:
    both = defaultdict[str, asyncio.Barrier](lambda: asyncio.Barrier(2))
    one, other = Process(both), Process(both)
    one.take(head("a"), head("b"), head("c"))
    other.take(head("c"), head("a"), head("b"))
    async with asyncio.timeout(60):
        await asyncio.gather(one.settle(), other.settle())
    for process in (one, other):
        assert sorted(did for did in process.done if did != "told") == [
            f"{name} {what}" for name in "abc" for what in ("ended", "loads")
        ]


async def test_when_there_is_no_agreeing_any_more_versions_end_all_the_same() -> None:
    both = defaultdict[str, asyncio.Barrier](lambda: asyncio.Barrier(2))
    await both["a"].abort()
    one = Process(both)
    one.take(head("a"))
    await one.settle()
    assert one.done == ["a loads", "a ended", "told"]
