"""The parent's side: what each worker said, and what follows from it for all of them.

Knows no processes: who joins and who is gone is told by whoever looks after them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from service.adapters.crew.messages import Line, Message
from service.domain.versions import Readiness

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Member:
    """One worker as the hub knows it."""

    name: str
    line: Line
    readiness: Readiness = Readiness(False, ("is starting",))
    settled: bool = False
    """Whether it was ready once: before, nobody waits for its versions."""
    listens: bool = False
    has: set[str] = field(default_factory=set)
    """Editions that it can answer for, or cannot be made to."""
    farewell: Mapping[str, Any] = field(default_factory=dict)
    """What it said at the end, by topic."""

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class _Question:
    asker: Member
    number: int
    topic: str
    awaited: set[Member]
    answers: dict[Member, Any] = field(default_factory=dict)


class Topic(Protocol):
    """Something that workers ask each other about."""

    def collected(self, answers: Mapping[Member, Any]) -> Any:
        """What whoever asked is told, of everybody's answers."""

    def gone(self, member: Member, farewell: Any) -> None:
        """A member is no more; ``farewell`` is what it said of this at the end, or None."""


class Hub:
    """Where the lines of all workers meet. For the event loop's thread only."""

    def __init__(self, expected: int, topics: Mapping[str, Topic], patience_s: float = 10.0) -> None:
        """``expected`` workers make the crew whole; ``patience_s`` is how long a version that some have ready waits
        for the others.
        """
        self._expected, self._topics, self._patience_s = expected, topics, patience_s
        self._members: list[Member] = []
        self._waiting: dict[str, set[Member]] = {}
        self._tuning: Member | None = None
        self._questions: dict[int, _Question] = {}
        self._numbers = count(1)
        self._told: Readiness | None = None
        self.whole = asyncio.Event()
        """Set once every worker that is expected takes connections."""

    async def serve(self, member: Member) -> None:
        """Listen to a worker until it is gone."""
        self._members.append(member)
        self._review()
        while (message := await member.line.hear()) is not None:
            self._take(member, message)

    def gone(self, member: Member) -> None:
        """Its process has ended: nobody waits for it any more, and what was its task is another's."""
        if member in self._members:
            self._members.remove(member)
        if self._tuning is member:
            self._tuning = None
        for waiting in self._waiting.values():
            waiting.discard(member)
        for question in self._questions.values():
            question.awaited.discard(member)
        for name, topic in self._topics.items():
            topic.gone(member, member.farewell.get(name))
        self._settle_complete()
        self._review()

    def _take(self, member: Member, message: Message) -> None:
        match message.kind:
            case "readiness":
                member.readiness = message.content
                member.settled = member.settled or member.readiness.ready
                self._review()
            case "listens":
                member.listens = True
                self._review()
            case "prepared":
                self._prepared(member, *message.content)
            case "forget":
                member.has.discard(message.content)
            case "ask":
                self._ask(member, message)
            case "answer":
                self._answered(member, message)
            case "leaving":
                member.farewell = message.content

    # --- What follows -------------------------------------------------------------------------------------------------

    def _review(self) -> None:
        """Appoint who runs jobs, let go of versions, and tell everybody how the crew is, where that has changed."""
        if self._tuning is None:
            self._tuning = next((member for member in self._members if member.listens), None)
            if self._tuning is not None:
                self._tuning.line.say("appointed")
        self._let_go()
        if sum(member.listens for member in self._members) >= self._expected:
            self.whole.set()
        crew = self._readiness()
        if crew != self._told:
            self._told = crew
            for member in self._members:
                member.line.say("crew", crew)

    def _readiness(self) -> Readiness:
        reasons = [f"{one.name}: {one.readiness.reason}" for one in self._members if not one.readiness.ready]
        reasons += [f"{one.name}: is joining" for one in self._members if one.readiness.ready and not one.listens]
        missing = self._expected - len(self._members)
        if missing > 0:
            reasons.append(f"{missing} of {self._expected} workers are being started")
        return Readiness(not reasons, tuple(reasons))

    def _prepared(self, member: Member, editions: frozenset[str], failed: frozenset[str]) -> None:
        member.has |= editions | failed
        for edition in editions:
            if edition not in self._waiting:
                self._waiting[edition] = set()
                asyncio.get_running_loop().call_later(self._patience_s, self._enough, edition)
            self._waiting[edition].add(member)
        self._let_go()

    def _let_go(self) -> None:
        """Of what all have ready, let everybody answer with it, at one moment."""
        needed = [member for member in self._members if member.settled]
        self._go([edition for edition in self._waiting if all(edition in member.has for member in needed)])

    def _enough(self, edition: str) -> None:
        if edition in self._waiting:
            late = [one.name for one in self._members if one.settled and edition not in one.has]
            log.warning("%s goes live without %s, not ready with it in time", edition, ", ".join(late))
            self._go([edition])

    def _go(self, editions: list[str]) -> None:
        going: dict[Member, list[str]] = {}
        for edition in editions:
            for member in self._waiting.pop(edition):
                going.setdefault(member, []).append(edition)
        for member, theirs in going.items():
            member.line.say("go", theirs)

    # --- Questions to everybody ---------------------------------------------------------------------------------------

    def _ask(self, asker: Member, message: Message) -> None:
        number = next(self._numbers)
        topic, content, patience_s = message.content
        asked = {member for member in self._members if member.listens or member is asker}
        self._questions[number] = _Question(asker, message.number, topic, asked)
        for member in asked:
            member.line.say("asked", (topic, content), number)
        asyncio.get_running_loop().call_later(patience_s, self._settle, number)

    def _answered(self, member: Member, message: Message) -> None:
        question = self._questions.get(message.number)
        if question is not None:
            question.awaited.discard(member)
            question.answers[member] = message.content
            self._settle_complete()

    def _settle_complete(self) -> None:
        for number in [number for number, question in self._questions.items() if not question.awaited]:
            self._settle(number)

    def _settle(self, number: int) -> None:
        question = self._questions.pop(number, None)
        if question is not None:
            told = self._topics[question.topic].collected(question.answers)
            question.asker.line.say("answered", told, question.number)
