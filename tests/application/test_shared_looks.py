"""Looks that are wanted at the same moment are one."""

from __future__ import annotations

import asyncio

import pytest

from service.application.tuning.shared_looks import SharedLooks


class Store:
    """Counts looks, which end when they may."""

    def __init__(self) -> None:
        self.looks = 0
        self.value = "old"
        self.may = asyncio.Event()
        self.begun: asyncio.Queue[int] = asyncio.Queue()

    async def look(self) -> str:
        self.looks += 1
        self.begun.put_nowait(self.looks)
        seen = self.value
        await self.may.wait()
        if seen == "broken":
            raise OSError(seen)
        return seen


async def test_who_wants_the_same_at_the_same_moment_shares_one_look() -> None:
    store, looks = Store(), SharedLooks[str]()
    store.may.set()
    assert await asyncio.gather(*(looks.look("a", store.look) for _ in range(100))) == ["old"] * 100
    assert store.looks == 1
    await asyncio.gather(looks.look("a", store.look), looks.look("b", store.look))
    assert store.looks == 3


async def test_who_comes_when_a_look_has_begun_gets_a_newer_one() -> None:
    store, looks = Store(), SharedLooks[str]()
    first = asyncio.create_task(looks.look("a", store.look))
    await store.begun.get()
    store.value = "new"
    second = asyncio.create_task(looks.look("a", store.look))
    await store.begun.get()
    store.may.set()
    assert [await first, await second] == ["old", "new"]


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    store, looks = Store(), SharedLooks[str]()
    leaving, staying = (asyncio.create_task(looks.look("a", store.look)) for _ in range(2))
    await store.begun.get()
    leaving.cancel()
    store.may.set()
    assert await staying == "old"
    assert store.looks == 1


async def test_what_goes_wrong_everybody_hears_and_the_next_look_is_made_anew() -> None:
    store, looks = Store(), SharedLooks[str]()
    store.may.set()
    store.value = "broken"
    heard = await asyncio.gather(*(looks.look("a", store.look) for _ in range(3)), return_exceptions=True)
    assert [str(one) for one in heard] == ["broken"] * 3
    with pytest.raises(OSError, match="broken"):
        await looks.look("a", store.look)
    store.value = "well"
    assert await looks.look("a", store.look) == "well"
