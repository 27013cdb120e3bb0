"""What workers agree on through their parent: real lines, one event loop, no processes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from service.adapters.crew.hub import Hub, Member
from service.adapters.crew.membership import Membership
from service.adapters.crew.messages import Line
from service.adapters.crew.ports import reserved
from service.domain.errors import NotReady
from service.domain.versions import Readiness

READY = Readiness(True, ())


class Answers:
    """A topic that keeps what it is told."""

    def __init__(self) -> None:
        self.farewells: dict[str, Any] = {}

    def collected(self, answers: Mapping[Member, Any]) -> dict[str, Any]:
        return {member.name: answer for member, answer in answers.items()}

    def gone(self, member: Member, farewell: Any) -> None:
        self.farewells[member.name] = farewell


class Bench:
    """A hub and as many workers as are asked for."""

    def __init__(self, expected: int = 2, patience_s: float = 60.0) -> None:
        self.topic = Answers()
        self.hub = Hub(expected, {"topic": self.topic}, patience_s)
        self.members: dict[str, Member] = {}
        self.tasks: dict[str, list[asyncio.Task[None]]] = {}
        self.lines: list[Line] = []

    async def join(self, name: str, *, ready: bool = True) -> Membership:
        """Another worker; a ready one listens."""
        ours, theirs = socket.socketpair()
        member = self.members[name] = Member(name, await Line.over(ours))
        line = await Line.over(theirs)
        membership = Membership(line, late=False)
        self.lines += [member.line, line]
        self.tasks[name] = [
            asyncio.create_task(self.hub.serve(member)),
            asyncio.create_task(membership.follow()),
        ]
        membership.answers("topic", self._echo(name))
        if ready:
            membership.tell(READY)
            membership.listens()
            await self.said(membership)
        return membership

    def _echo(self, name: str) -> Any:
        async def echo(content: Any) -> Any:
            return f"{name} {content}"

        return echo

    async def said(self, membership: Membership) -> None:
        """Everything said so far has been heard, there and back."""
        await membership.ask_all("topic", "?")

    async def lose(self, name: str) -> None:
        """A worker's process is gone."""
        self.hub.gone(self.members.pop(name))
        for task in self.tasks.pop(name):
            task.cancel()

    async def close(self) -> None:
        for name in list(self.tasks):
            await self.lose(name)
        for line in self.lines:
            await line.close()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


async def waits(agreement: asyncio.Task[None], *others: Membership, bench: Bench) -> bool:
    """Whether it still waits after everything said has been heard."""
    for other in others:
        await bench.said(other)
    return not agreement.done()


async def test_a_version_goes_live_when_all_have_it_ready(bench: Bench) -> None:
    one, other = await bench.join("one"), await bench.join("other")
    early = asyncio.create_task(one.agree({"m@2"}, set()))
    assert await waits(early, one, other, bench=bench)
    await other.agree({"m@2"}, set())
    await early


async def test_who_has_failed_with_a_version_keeps_nobody_waiting(bench: Bench) -> None:
    one, other = await bench.join("one"), await bench.join("other")
    early = asyncio.create_task(one.agree({"m@2"}, set()))
    await other.agree(set(), {"m@2"})
    await early


async def test_of_several_that_load_together_each_waits_for_its_own(bench: Bench) -> None:
    one, other = await bench.join("one"), await bench.join("other")
    both = asyncio.create_task(one.agree({"a@1", "b@1"}, set()))
    await other.agree(set(), {"a@1"})
    assert await waits(both, one, other, bench=bench)
    await other.agree({"b@1"}, set())
    await both


async def test_nobody_waits_for_a_worker_that_is_only_starting(bench: Bench) -> None:
    one = await bench.join("one")
    other = await bench.join("other", ready=False)
    await one.agree({"m@2"}, set())
    await other.agree({"m@2"}, set())


async def test_nobody_waits_for_a_worker_that_is_lost(bench: Bench) -> None:
    one, other = await bench.join("one"), await bench.join("other")
    early = asyncio.create_task(one.agree({"m@2"}, set()))
    assert await waits(early, one, other, bench=bench)
    await bench.lose("other")
    await early


async def test_what_comes_back_is_waited_for_again(bench: Bench) -> None:
    one, other = await bench.join("one"), await bench.join("other")
    await asyncio.gather(one.agree({"m@2"}, set()), other.agree({"m@2"}, set()))
    for membership in (one, other):
        membership.forget("m@2")
        await bench.said(membership)
    again = asyncio.create_task(one.agree({"m@2"}, set()))
    assert await waits(again, one, other, bench=bench)
    await other.agree({"m@2"}, set())
    await again


async def test_nobody_waits_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(patience_s=0.05)
    one, _ = await bench.join("one"), await bench.join("other")
    await one.agree({"m@2"}, set())
    assert "m@2 goes live without other" in caplog.text
    await bench.close()


async def test_who_is_left_without_a_parent_waits_for_nothing(bench: Bench) -> None:
    one, _ = await bench.join("one"), await bench.join("other")
    early = asyncio.create_task(one.agree({"m@2"}, set()))
    await bench.said(one)
    await bench.members["one"].line.close()
    await early
    await one.agree({"m@3"}, set())
    with pytest.raises(NotReady):
        await one.ask_all("topic")


async def test_one_worker_runs_the_jobs_and_its_successor_takes_over(bench: Bench) -> None:
    one, other = await bench.join("one"), await bench.join("other")
    await one.appointed.wait()
    await bench.said(other)
    assert not other.appointed.is_set()
    await bench.lose("one")
    await other.appointed.wait()


async def test_the_crew_is_ready_when_all_of_it_is(bench: Bench) -> None:
    one = await bench.join("one")
    assert one.readiness(READY).reason == "1 of 2 workers are being started"
    other = await bench.join("other")
    await bench.said(one)
    assert one.readiness(READY).ready
    other.tell(Readiness(False, ("model m is not live",)))
    await bench.said(other)
    await bench.said(one)
    assert one.readiness(READY).reason == "other: model m is not live"
    mine = Readiness(False, ("mine",))
    assert one.readiness(mine) == mine


async def test_a_question_is_answered_by_all_that_are_there(bench: Bench) -> None:
    one, _ = await bench.join("one"), await bench.join("other")
    assert await one.ask_all("topic", "hears") == {"one": "one hears", "other": "other hears"}
    await bench.lose("other")
    assert await one.ask_all("topic", "hears") == {"one": "one hears"}


async def test_a_worker_that_does_not_answer_is_left_out_and_one_that_is_lost_too(bench: Bench) -> None:
    one, other = await bench.join("one"), await bench.join("other")
    never = asyncio.Event()

    async def hangs(_: Any) -> None:
        await never.wait()

    other.answers("topic", hangs)
    assert await one.ask_all("topic", "hears", 0.05) == {"one": "one hears"}
    heard = asyncio.Event()

    async def hears(_: Any) -> None:
        heard.set()
        await never.wait()

    other.answers("topic", hears)
    asking = asyncio.create_task(one.ask_all("topic", "hears", 60))
    await heard.wait()
    await bench.lose("other")
    assert await asking == {"one": "one hears"}


async def test_what_a_worker_said_at_the_end_is_kept(bench: Bench) -> None:
    one = await bench.join("one")
    serving = bench.tasks["one"][0]
    await one.leave({"topic": "the last page"})
    await serving
    await bench.lose("one")
    assert bench.topic.farewells == {"one": "the last page"}


def test_a_reserved_port_can_be_shared_but_not_with_strangers() -> None:
    with reserved("127.0.0.1", 0) as held, socket.socket() as worker:
        port = held.getsockname()[1]
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(("127.0.0.1", port))
        worker.listen()
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            reserved("127.0.0.1", port)
