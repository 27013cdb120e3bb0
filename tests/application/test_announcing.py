"""Ends of jobs are told at least once, in their own time, and by one service at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.adapters.job_database import JobDatabase
from service.application.tuning import Tuning
from service.application.tuning.announcing import AT_ONCE, HOLD_S, Announcements
from service.domain.announcements import GIVE_UP_S, Announcement, Undelivered
from service.domain.jobs import Job
from tests.application.tuning_fakes import FAILED, STUCK, WHOLE, Bench, end_of

FAR = 10 * GIVE_UP_S


class Listener:
    """Keeps what it is told; while ``deaf`` it has not heard, while not ``free`` it does not answer."""

    def __init__(self) -> None:
        self.told: list[Announcement] = []
        self.deaf = False
        self.free = asyncio.Event()
        self.free.set()
        self.under_way = self.most = 0
        self._news = asyncio.Event()

    async def tell(self, announcement: Announcement) -> None:
        self.told.append(announcement)
        self._news.set()
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.free.wait()
        finally:
            self.under_way -= 1
        if self.deaf:
            raise Undelivered("it is deaf")

    async def heard(self, times: int) -> list[Announcement]:
        while len(self.told) < times:
            self._news.clear()
            await self._news.wait()
        return self.told


class Counter:
    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self._news = asyncio.Event()

    def announced(self, outcome: str) -> None:
        self.outcomes.append(outcome)
        self._news.set()

    async def counted(self, times: int) -> list[str]:
        while len(self.outcomes) < times:
            self._news.clear()
            await self._news.wait()
        return self.outcomes


class Place:
    """Services that announce, on one database."""

    def __init__(self, directory: Path) -> None:
        self.bench = Bench(directory)
        self.outbox = JobDatabase(f"sqlite:///{directory}/jobs.db", announces=True)
        self.listener, self.counter = Listener(), Counter()

    def service(self, owner: str = "first") -> Tuning:
        takes = Announcements(self.outbox, self.listener, self.counter)
        return self.bench.service(owner, self.outbox, takes)

    def waiting(self) -> int:
        """How many there would be to tell some time later; those are then held for longer still."""
        return len(self.outbox.take(self.bench.clock.now() + FAR, self.bench.clock.now() + FAR, 1000))


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    yield made
    made.listener.free.set()
    await made.bench.close()
    made.outbox.close()


async def ended(tuning: Tuning, job: Job) -> Job:
    return await end_of(tuning, job)


async def test_each_way_of_ending_is_told_once(place: Place) -> None:
    tuning = place.service()
    place.bench.at_work(tuning)
    good = await place.bench.job(tuning)
    bad = await place.bench.job(tuning, [{"say": FAILED}])
    for job in (good, bad):
        await ended(tuning, job)
    stuck = await place.bench.job(tuning, STUCK)
    await tuning.jobs.cancel(stuck.id)
    await ended(tuning, stuck)
    told = {one.job.id: one for one in await place.listener.heard(3)}
    assert {id: one.event.type for id, one in told.items()} == {
        good.id: "job.succeeded",
        bad.id: "job.failed",
        stuck.id: "job.cancelled",
    }
    assert told[good.id].job == await tuning.jobs.get(good.id)
    assert await place.counter.counted(3) == ["delivered"] * 3
    await tuning.close()
    assert (place.waiting(), len(place.listener.told)) == (0, 3)


async def test_who_did_not_hear_is_told_again_under_the_same_name_and_only_when_it_is_time(place: Place) -> None:
    tuning = place.service()
    place.bench.at_work(tuning)
    place.listener.deaf = True
    job = await place.bench.job(tuning)
    await ended(tuning, job)
    assert await place.counter.counted(1) == ["failed"]
    assert place.outbox.take(place.bench.clock.now() + 4.0, 0.0, 9) == [], "it has its pause"
    place.listener.deaf = False
    place.bench.clock.ahead += 6.0
    first, second = await place.listener.heard(2)
    assert (first.id, first.attempts, second.attempts) == (second.id, 1, 2)
    assert await place.counter.counted(2) == ["failed", "delivered"]


async def test_what_nobody_heard_for_a_day_is_given_up(place: Place) -> None:
    tuning = place.service()
    place.bench.at_work(tuning)
    place.listener.deaf = True
    job = await place.bench.job(tuning)
    await ended(tuning, job)
    await place.counter.counted(1)
    place.bench.clock.ahead += GIVE_UP_S
    assert await place.counter.counted(2) == ["failed", "given_up"]
    await tuning.close()
    assert place.waiting() == 0


async def test_a_restart_neither_loses_nor_repeats(place: Place) -> None:
    """What was under way when a service went is told again after a while, and nothing else is."""
    tuning = place.service()
    place.bench.at_work(tuning)
    done = await place.bench.job(tuning)
    await ended(tuning, done)
    await place.counter.counted(1)
    place.listener.free.clear()
    cut_off = await place.bench.job(tuning)
    await ended(tuning, cut_off)
    await place.listener.heard(2)
    await tuning.close()
    place.listener.free.set()
    again = place.service("second")
    place.bench.at_work(again)
    place.bench.clock.ahead += HOLD_S
    told = await place.listener.heard(3)
    assert [one.job.id for one in told] == [done.id, cut_off.id, cut_off.id]
    assert await place.counter.counted(2) == ["delivered"] * 2


async def test_two_services_do_not_tell_the_same(place: Place) -> None:
    services = [place.service("first"), place.service("second")]
    jobs = [await place.bench.job(services[0], WHOLE, head=f"h{number}") for number in range(8)]
    for tuning in services:
        place.bench.at_work(tuning)
    for job in jobs:
        await ended(services[0], job)
    await place.counter.counted(len(jobs))
    for tuning in services:
        await tuning.close()
    assert sorted(one.job.id for one in place.listener.told) == sorted(job.id for job in jobs)


async def test_a_listener_that_hangs_holds_up_no_job_and_is_told_a_few_at_once(place: Place) -> None:
    tuning = place.service()
    place.bench.at_work(tuning)
    place.listener.free.clear()
    for _ in range(AT_ONCE + 3):
        assert (await ended(tuning, await place.bench.job(tuning))).state.terminal
    place.listener.free.set()
    await place.counter.counted(AT_ONCE + 3)
    assert place.listener.most <= AT_ONCE


async def test_without_a_listener_nothing_piles_up(place: Place) -> None:
    tuning = place.bench.service()
    place.bench.at_work(tuning)
    await ended(tuning, await place.bench.job(tuning))
    assert place.waiting() == 0
