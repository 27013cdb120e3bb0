"""A direction store in memory; ``tests/adapters`` holds it against the real ones."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from service.domain.direction import Direction
from service.domain.errors import Conflict, NotReady


class MemoryDirections:
    """The ``DirectionStore`` port."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored: dict[str, Direction] = {}
        self.away = False
        self.interfere: list[tuple[str, Direction]] = []
        """What others store just before the next change."""

    def directions(self) -> Mapping[str, Direction]:
        self._answer()
        with self._lock:
            return dict(self._stored)

    def direct(self, model: str, direction: Direction) -> None:
        self._answer()
        with self._lock:
            if self.interfere:
                other, theirs = self.interfere.pop()
                self._stored[other] = theirs
            before = self._stored.get(model, Direction()).revision
            if direction.revision != before + 1:
                raise Conflict(f"the direction of {model} is at revision {before}")
            self._stored[model] = direction

    def _answer(self) -> None:
        if self.away:
            raise NotReady("the store does not answer")


@dataclass
class RecordingDirectionObserver:
    """The ``DirectionObserver`` port."""

    rows: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    back: list[tuple[str, int]] = field(default_factory=list)

    def compared(self, model: str, version: int, rows: int, differed: int) -> None:
        known = self.rows.setdefault((model, version), [0, 0])
        known[0] += rows
        known[1] += differed

    def taken_back(self, model: str, version: int) -> None:
        self.back.append((model, version))
