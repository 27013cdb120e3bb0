"""Which version of each model answers whom, as every replica last read it from the store.

The truth is in the store, one value a model, changed by compare-and-set; what is acted on is what was last read there.
So replicas agree within the time between two readings, and a store that does not answer changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from service.application.ports import Clock, DirectionStore
from service.domain.direction import Direction
from service.domain.errors import Conflict, NotReady

log = logging.getLogger(__name__)
_TRIES = 5


class Directions:
    """All directions."""

    def __init__(self, store: DirectionStore, clock: Clock, *, poll_s: float = 0.5) -> None:
        """Reads them, and blocks meanwhile: whoever began without would let the newest versions answer. ``poll_s`` is
        how often to look for what others have stored.

        Raises:
            NotReady: the store does not answer.
        """
        self._store, self._clock, self._poll_s = store, clock, poll_s
        self._known = store.directions()

    def now(self) -> Mapping[str, Direction]:
        """By model, as last read; the same object until something changes."""
        return self._known

    def of(self, model: str) -> Direction:
        """One model's, as last read; the empty one where nothing was said."""
        return self._known.get(model, Direction())

    async def follow(self) -> None:
        """Read what is stored again and again, until cancelled."""
        while True:
            try:
                await self.read()
            except NotReady as error:
                log.warning("directions stay as they are: %s", error, extra={"action": "read_directions"})
            await self._clock.sleep(self._poll_s)

    async def read(self) -> Mapping[str, Direction]:
        """Read what is stored now. Raises: NotReady."""
        stored = await asyncio.to_thread(self._store.directions)
        if stored != self._known:
            self._known = {
                model: known if (known := self._known.get(model)) == direction else direction
                for model, direction in stored.items()
            }
        return self._known

    async def change(self, model: str, make: Callable[[Direction], Direction], revision: int | None) -> Direction:
        """Store what ``make`` makes of the direction that is stored; of this ``revision`` only, where one is given.

        Raises:
            Conflict: it is of another revision; what ``make`` raises.
            NotReady: the store does not answer.
        """
        for _ in range(_TRIES):
            before = (await self.read()).get(model, Direction())
            if revision is not None and before.revision != revision:
                raise Conflict(
                    f"the direction of {model[:80]} is at revision {before.revision}, not {revision}: it was changed"
                )
            after = make(before)
            if after is before:
                return before
            try:
                await asyncio.to_thread(self._store.direct, model, after)
            except Conflict:
                continue
            change = after.changes[-1]
            extra = {"action": "direct", "model": model, "revision": after.revision, "by": change.by}
            log.info("model %s: %s: %s %s", model, change.by, change.what, change.why, extra=extra)
            await self.read()
            return after
        raise Conflict(f"the direction of {model[:80]} is being changed by others all the time; try again")
