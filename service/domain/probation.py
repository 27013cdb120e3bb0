"""Whether a canary goes on: what was seen of it, against what was seen of the stable version meanwhile.

Traffic decides within seconds, so few requests must be enough to take a bad one back, and must not be enough to take a
good one back by chance, however often it is looked at meanwhile. A share is beyond its limit when, were it at the
limit, as many would be seen less than once in a thousand times (the exact binomial test); p95s are compared once both
rest on enough answers.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from service.domain.direction import Canary

_CHANCE = 1e-3
"""Every second is another chance to be wrong."""
_LEAST_TIMES = 100
"""A p95 of fewer answers is one answer's."""
_KEPT_TIMES = 512


@dataclass(slots=True)
class Seen:
    """What came of one version's requests since the probation began."""

    requests: int = 0
    failed: int = 0
    """Those that the model failed; a caller's mistakes and a full queue are not its fault."""
    compared: int = 0
    """Rows that both versions were given."""
    differed: int = 0
    """Those of them whose best class was another."""
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_TIMES))
    """What the latest answers took."""

    def saw(self, failed: bool, seconds: float) -> None:
        """A request was answered, or failed."""
        self.requests += 1
        if failed:
            self.failed += 1
        else:
            self.seconds.append(seconds)

    @property
    def p95_s(self) -> float | None:
        """What the slowest twentieth of the latest answers took at least; None before the first."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))] if ordered else None

    def saw_compared(self, rows: int, differed: int) -> None:
        """Rows were given to both."""
        self.compared += rows
        self.differed += differed


class Verdict(StrEnum):
    """What becomes of a canary now."""

    GOES_ON = "goes on"
    TAKEN_BACK = "taken back"
    PROMOTED = "promoted"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict and its reasons, in words."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


def judged(canary: Canary, stable: Seen, seen: Seen) -> Judgement:
    """What becomes of a canary of which this was seen, beside a stable version of which that was."""
    reasons = tuple(
        reason
        for reason in (_errors(canary, stable, seen), _slower(canary, stable, seen), _other(canary, seen))
        if reason
    )
    if reasons:
        return Judgement(Verdict.TAKEN_BACK, reasons)
    if canary.promote_after is not None and seen.requests >= canary.promote_after:
        return Judgement(Verdict.PROMOTED, (f"{seen.requests} requests within its limits",))
    return Judgement(Verdict.GOES_ON)


def _errors(canary: Canary, stable: Seen, seen: Seen) -> str | None:
    usual = stable.failed / stable.requests if stable.requests else 0.0
    if chance(seen.failed, seen.requests, usual + canary.limits.more_errors) >= _CHANCE:
        return None
    return (
        f"the model failed {seen.failed} of its {seen.requests} requests, where {usual:.1%} of the stable version's "
        f"fail and {canary.limits.more_errors:.1%} more are allowed"
    )


def _slower(canary: Canary, stable: Seen, seen: Seen) -> str | None:
    if min(len(stable.seconds), len(seen.seconds)) < _LEAST_TIMES:
        return None
    usual, own = stable.p95_s, seen.p95_s
    if usual is None or own is None or own <= canary.limits.slower * usual:
        return None
    return (
        f"its p95 is {own * 1e3:.1f} ms, the stable version's {usual * 1e3:.1f} ms; {canary.limits.slower:g} times "
        "that is allowed"
    )


def _other(canary: Canary, seen: Seen) -> str | None:
    if chance(seen.differed, seen.compared, canary.limits.disagreement) >= _CHANCE:
        return None
    return (
        f"its best class was another than the stable version's on {seen.differed} of {seen.compared} rows; "
        f"{canary.limits.disagreement:.0%} is allowed"
    )


def chance(least: int, of: int, share: float) -> float:
    """How likely it is to see at least so many of so many, each of which comes with this share."""
    if not least or share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    odds = share / (1 - share)
    ways = math.lgamma(of + 1) - math.lgamma(least + 1) - math.lgamma(of - least + 1)
    term = math.exp(ways + least * math.log(share) + (of - least) * math.log1p(-share))
    total, mean = 0.0, of * share
    for seen in range(least, of + 1):
        total += term
        term *= (of - seen) / (seen + 1) * odds
        if seen > mean and term <= total * 1e-12:
            break
    return min(1.0, total)
