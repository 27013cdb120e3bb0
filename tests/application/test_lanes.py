"""Runs that do not end: spare lanes stand in, who is to blame is refused and named, and all heals when they end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from serving_fakes import PATIENCE_S

from service.application.lanes import Lanes, Owner

STUCK_S, LONGEST_S = 5.0, 60.0
BAD, WORSE = ("plain:bad@1:stamp", "s"), ("plain:worse@1:stamp", "s")


class Place:
    """Lanes, a time that only the test moves, and runs that end when they are told to."""

    def __init__(self, count: int, spares: int) -> None:
        self.time = 0.0
        self.told: list[tuple[str, str, int]] = []
        self.lanes = Lanes(
            count,
            spares=spares,
            stuck_s=STUCK_S,
            longest_s=LONGEST_S,
            told=lambda *what: self.told.append(what),
            now=lambda: self.time,
        )
        self.ends: list[threading.Event] = []

    def begin(self, owner: Owner, *, abandoned: bool = True) -> asyncio.Event:
        """Ask for a lane, and hold it without end once it is there; whether it is."""
        end, begun = threading.Event(), asyncio.Event()
        self.ends.append(end)

        def start() -> None:
            self.lanes.submit(lambda: end.wait(PATIENCE_S), owner, lambda: abandoned)
            begun.set()

        self.lanes.ask(owner, start)
        return begun

    async def after(self, seconds: float) -> None:
        """Look, let time pass, look again."""
        await asyncio.sleep(0.01)
        self.lanes.look()
        self.time += seconds
        self.lanes.look()
        await asyncio.sleep(0.01)

    async def end(self, number: int) -> None:
        self.ends[number].set()
        await asyncio.sleep(0.05)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place(2, 4)
    yield made
    for end in made.ends:
        end.set()
    await asyncio.to_thread(made.lanes.close)


async def test_a_spare_lane_stands_in_for_one_that_is_never_given_back(place: Place) -> None:
    runs = [place.begin(BAD) for _ in range(2)]
    waits = place.begin(("good", "s"))
    await place.after(STUCK_S - 0.1)
    assert [run.is_set() for run in (*runs, waits)] == [True, True, False]
    await place.after(0.2)
    assert waits.is_set()
    assert place.told == [(*BAD, 1), (*BAD, 2)]


async def test_a_run_that_somebody_waits_for_is_not_stuck_until_very_late(place: Place) -> None:
    place.begin(BAD, abandoned=False)
    await place.after(LONGEST_S - 0.1)
    assert not place.told
    await place.after(0.2)
    assert place.told == [(*BAD, 1)]


async def test_who_has_several_stuck_runs_gets_no_more_lanes(place: Place) -> None:
    place.begin(BAD)
    await place.after(STUCK_S)
    assert not place.lanes.refuses(BAD)
    place.begin(BAD)
    await place.after(STUCK_S)
    assert (place.lanes.refuses(BAD), place.lanes.refuses(("good", "s"))) == (True, False)
    await place.end(0)
    assert not place.lanes.refuses(BAD)


async def test_when_the_spares_are_used_up_it_says_by_whom_and_heals(place: Place) -> None:
    for owner in (BAD, BAD, WORSE):
        place.begin(owner)
        await place.after(STUCK_S)
    assert place.lanes.blocked == ""
    place.begin(WORSE)
    await place.after(STUCK_S)
    assert place.lanes.blocked == "2 of signature 's' of graph plain:bad@1, 2 of signature 's' of graph plain:worse@1"
    await place.end(3)
    assert place.lanes.blocked == ""
    assert place.told[-1] == (*WORSE, 1)


async def test_when_stuck_runs_end_there_are_as_many_lanes_as_before(place: Place) -> None:
    for _ in range(2):
        place.begin(BAD)
    await place.after(STUCK_S)
    for number in range(2):
        await place.end(number)
    fresh = [place.begin(("good", "s"), abandoned=False) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert [run.is_set() for run in fresh] == [True, True, False]


async def test_without_spares_nothing_stands_in_and_it_says_so() -> None:
    place = Place(1, 0)
    place.begin(BAD)
    waits = place.begin(("good", "s"))
    await place.after(STUCK_S)
    assert (waits.is_set(), place.lanes.blocked) == (False, "1 of signature 's' of graph plain:bad@1")
    await place.end(0)
    assert (waits.is_set(), place.lanes.blocked) == (True, "")
    place.ends[1].set()
    await asyncio.to_thread(place.lanes.close)


async def test_lanes_are_shared_by_time_and_not_by_the_number_of_runs() -> None:
    """A graph whose runs are ten times as long gets one for ten of the other's."""
    place = Place(1, 0)
    lengths = {BAD: 10.0, WORSE: 1.0}
    order: list[Owner] = []
    ended = asyncio.Event()

    def ask(owner: Owner) -> None:
        def work() -> None:
            place.time += lengths[owner]

        def done(result: object, error: BaseException | None) -> None:
            order.append(owner)
            if len(order) == 220:
                ended.set()

        def start() -> None:
            if len(order) < 220:
                ask(owner)
                place.lanes.submit(work, owner, done=done, expected_s=lengths[owner])

        place.lanes.ask(owner, start)

    ask(BAD)
    ask(WORSE)
    await ended.wait()
    assert order.count(BAD) == pytest.approx(20, abs=2)
    await asyncio.to_thread(place.lanes.close)


async def test_many_who_ask_and_then_want_nothing_give_the_lane_on() -> None:
    place = Place(1, 0)
    held = place.begin(BAD)
    await asyncio.sleep(0.01)
    given = []

    def nothing() -> None:
        given.append(1)
        place.lanes.give_back()

    for number in range(5000):
        place.lanes.ask((str(number), "s"), nothing)
    last = place.begin(WORSE)
    await place.end(0)
    assert (held.is_set(), len(given), last.is_set()) == (True, 5000, True)
    await place.end(1)
    await asyncio.to_thread(place.lanes.close)
