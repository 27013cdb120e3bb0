"""What each phase of a run took: seconds, and the most memory the process has had by its end."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable


class PhaseCosts:
    """Phases one after the other; each ends when the next one begins."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._costs: dict[str, dict[str, float]] = {}
        self._began = clock()
        self._running: str | None = None

    def begin(self, phase: str) -> None:
        """A phase begins, and the one before it is over."""
        self._close()
        self._running, self._began = phase, self._clock()

    def seconds(self) -> dict[str, float]:
        """Of every phase so far, the one that runs included."""
        return {phase: cost["seconds"] for phase, cost in self._so_far().items()}

    def peak_memory_mb(self) -> float:
        """The most memory that the process has had so far, in MiB."""
        return _peak()

    def each(self) -> dict[str, dict[str, float]]:
        """Seconds and peak memory of every phase so far."""
        return self._so_far()

    def _so_far(self) -> dict[str, dict[str, float]]:
        if self._running is None:
            return dict(self._costs)
        return {**self._costs, self._running: self._cost()}

    def _close(self) -> None:
        if self._running is not None:
            self._costs[self._running] = self._cost()

    def _cost(self) -> dict[str, float]:
        return {"seconds": round(self._clock() - self._began, 3), "peak_memory_mb": _peak()}


def _peak() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
