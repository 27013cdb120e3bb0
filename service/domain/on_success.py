"""What becomes of a version that a job has published: it waits, gets a share of the requests, or answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from service.domain.direction import Canary, Change, Direction
from service.domain.direction_changes import on_trial, promoted
from service.domain.errors import InvalidInput

_TEXT = re.compile(r"(register|promote|canary)(?::(\d{1,2}(?:\.\d{1,4})?))?")
_PERCENT = 5.0


class Way(StrEnum):
    """The ways."""

    REGISTER = "register"
    """It answers who names it; the version that answers now goes on."""
    CANARY = "canary"
    """The same, but for a share of the requests."""
    PROMOTE = "promote"
    """It answers from now on."""


@dataclass(frozen=True, slots=True)
class OnSuccess:
    """One of the ways, and the canary's share in percent."""

    way: Way = Way.PROMOTE
    percent: float = _PERCENT

    @classmethod
    def read(cls, text: str) -> OnSuccess:
        """From ``register``, ``promote``, ``canary`` or ``canary:10``.

        Raises:
            InvalidInput: it is none of them.
        """
        match = _TEXT.fullmatch(text)
        if match is None or (match[2] is not None and match[1] != Way.CANARY):
            raise InvalidInput(f"on_success is register, promote, canary or canary:10, not {text[:80]!r}")
        way, percent = Way(match[1]), float(match[2] or _PERCENT)
        if way is Way.CANARY:
            Canary(0, percent)
        return cls(way, percent)

    def __str__(self) -> str:
        return f"{self.way}:{self.percent:g}" if self.way is Way.CANARY else str(self.way)


def after_publication(direction: Direction, version: int, on_success: OnSuccess, change: Change) -> Direction:
    """The direction of a head of which a job has published a version.

    Unchanged where it is so already, or was and somebody went back; and where nobody has said anything: then the newest
    answers anyway, a head's first version in any case.
    """
    known = (direction.stable, *direction.before, direction.canary and direction.canary.version)
    if direction.stable is None or version in known or on_success.way is Way.REGISTER:
        return direction
    if on_success.way is Way.PROMOTE:
        return promoted(direction, version, change)
    return on_trial(direction, Canary(version, on_success.percent), None, change)
