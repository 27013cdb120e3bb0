"""Who asked to be told of the ends of jobs is told, at least once each, whatever is killed when.

What is to be told lies in the outbox, put there in the transaction in which the job ended, and goes from there when it
was heard. So a restart loses nothing and repeats nothing but what was under way. How it is told is the listener's.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from service.application.ports import AnnouncementObserver, Listener, Outbox
from service.application.tuning.ledger import Ledger
from service.application.tuning.notices import ENDED
from service.domain.announcements import Announcement, Undelivered, next_attempt
from service.domain.errors import NotReady

log = logging.getLogger(__name__)
AT_ONCE = 4
HOLD_S = 60.0
"""How long one that was taken out is nobody else's; longer than any attempt takes."""


@dataclass(frozen=True, slots=True)
class Announcements:
    """What telling of the ends of jobs takes: where they wait, who is told, and who counts."""

    outbox: Outbox
    listener: Listener
    observer: AnnouncementObserver


class Announcing:
    """Empties the outbox, again and again."""

    def __init__(self, ledger: Ledger, takes: Announcements, every_s: float) -> None:
        """``every_s`` is how often to look; what ends in this process is seen at once."""
        self._ledger = ledger
        self._outbox, self._listener, self._observer = takes.outbox, takes.listener, takes.observer
        self._every_s = every_s

    async def work(self) -> None:
        """Tell what there is to tell, until cancelled: what was under way then is told again."""
        with self._ledger.notices.listening(ENDED) as bell:
            while True:
                taken = 0
                try:
                    taken = await self._look()
                except NotReady as error:
                    log.warning("cannot tell of jobs now: %s", error, extra={"action": "announce"})
                if not taken:
                    await bell.wait(self._every_s)

    async def _look(self) -> int:
        now = self._ledger.clock.now()
        taken = await self._ledger.call(self._outbox.take, now, now + HOLD_S, AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for announcement in taken:
                group.create_task(self._tell(announcement))
        return len(taken)

    async def _tell(self, announcement: Announcement) -> None:
        extra = {"action": "announce", "job": announcement.job.id, "attempt": announcement.attempts}
        outcome, again = "delivered", None
        try:
            await self._listener.tell(announcement)
        except Undelivered as error:
            again = next_attempt(announcement, self._ledger.clock.now())
            if again is None:
                log.error("nobody heard of %s in time, and it is given up: %s", announcement.id, error, extra=extra)  # noqa: TRY400
            else:
                log.warning("nobody heard of %s yet: %s", announcement.id, error, extra=extra)
            outcome = "given_up" if again is None else "failed"
        else:
            log.info("%s was heard of", announcement.id, extra=extra)
        try:
            if again is None:
                await self._ledger.call(self._outbox.drop, announcement)
            else:
                await self._ledger.call(self._outbox.put_off, announcement, again)
        except NotReady as error:
            log.warning("what became of %s is not stored, and it will be told again: %s", announcement.id, error)
        self._observer.announced(outcome)
