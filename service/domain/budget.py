"""What one job may cost at most, and whether it has."""

from __future__ import annotations

import math
from dataclasses import dataclass

from service.domain.errors import InvalidInput

EXCEEDED = "budget_exceeded"
"""The code of the error of a job that did."""
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds on one job; None is no bound.

    Raises:
        InvalidInput: a bound is no number above zero.
    """

    max_seconds: float | None = None
    """From when the job first left the queue to its end; tries after a loss, and the pauses before them, count."""
    max_memory_mb: float | None = None
    """MiB resident in all processes of its trainer together."""

    def __post_init__(self) -> None:
        for name, bound in (("max_seconds", self.max_seconds), ("max_memory_mb", self.max_memory_mb)):
            if bound is not None and not (math.isfinite(bound) and bound > 0):
                raise InvalidInput(f"the budget's {name} has to be a number above zero")

    def excess(self, seconds: float, memory_bytes: int) -> Excess | None:
        """The bound that was passed by so much time or memory, if one was."""
        if self.max_seconds is not None and seconds > self.max_seconds:
            return Excess("max_seconds", self.max_seconds, seconds)
        if self.max_memory_mb is not None and memory_bytes > self.max_memory_mb * _MIB:
            return Excess("max_memory_mb", self.max_memory_mb, memory_bytes / _MIB)
        return None


@dataclass(frozen=True, slots=True)
class Excess:
    """A bound, and what was seen beyond it, in the bound's unit."""

    bound: str
    allowed: float
    used: float

    def __str__(self) -> str:
        unit = "s" if self.bound == "max_seconds" else "MiB"
        return f"the job's budget allows {self.allowed:g} {unit} ({self.bound}), and it has used {self.used:.1f} {unit}"
