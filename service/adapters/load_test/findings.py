"""What a load found: latencies of good answers, errors by code, and how hard the senders had to work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEVER_SENT = "never sent"
"""Due in time, and all clients were still waiting for answers when the load's time was up."""


@dataclass(frozen=True)
class Findings:
    """``latencies_s`` of good answers, unordered; ``answered`` of them came within the ``seconds`` that count."""

    seconds: float
    latencies_s: NDArray[np.float64]
    answered: int
    errors: Mapping[str, int]
    busiest_sender: float
    """The share of the time that the busiest sending process computed; near 1 it is the sender that was measured."""

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return self.answered / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The latency that so many percent of the good answers stayed within; NaN when there are none."""
        return float(np.percentile(self.latencies_s, percent) * 1e3) if self.latencies_s.size else float("nan")


def together(parts: Iterable[Findings]) -> Findings:
    """One finding from those of all sending processes."""
    parts = list(parts)
    errors: Counter[str] = Counter()
    for part in parts:
        errors.update(part.errors)
    return Findings(
        parts[0].seconds,
        np.concatenate([part.latencies_s for part in parts]),
        sum(part.answered for part in parts),
        dict(errors),
        max(part.busiest_sender for part in parts),
    )
