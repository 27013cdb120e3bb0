"""The arithmetic from measured costs to machines that were not measured.

A request takes ``door`` seconds of one process's time and ``engine`` seconds of any core. One process does its door's
work on one core at a time, so it ends at ``1 / door`` requests a second however many cores there are; ``workers``
processes end at ``workers / door``. All cores together end at ``cores / (door + engine)``. What two workers lost or won
against one on the same cores is kept for every doubling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    """Of one kind of request: seconds of processor time at the door and in the engine, and what doubling keeps."""

    door: float
    engine: float
    doubling: float

    def workers(self, cores: int) -> int:
        """So many processes keep all cores busy."""
        return max(1, math.ceil(cores * self.door / (self.door + self.engine)))

    def per_second(self, cores: int, workers: int | None = None) -> float:
        """Requests a second of one machine."""
        chosen = workers or self.workers(cores)
        kept = min(1.0, self.doubling) ** math.log2(chosen)
        return kept * min(chosen / self.door, cores / (self.door + self.engine))
