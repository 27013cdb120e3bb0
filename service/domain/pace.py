"""Whether a run is so short that it is made on the event loop: to hand it to a thread and back would take longer.

Only what cannot take long is: a graph without loops that its data could prolong, whose runs were measured before the
first request; and larger ones once they were seen to be as short in the lanes, because what is measured while other
models load comes out too long. When one holds the loop up for long after all, or too many are later than any should be
(on a busy machine a few are), it goes back to the lanes for a thousand runs, the next time for two thousand, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping

SHORT_S = 100e-6
"""What a run may take here: about as much as a thread hop costs a loaded server."""
_LATE_S, _STALLED_S = 2e-3, 20e-3
_LOOK_AFTER, _MOST_LATE = 64, 6
"""Of so many runs so many may be late."""
_REST, _MOST_RESTS = 1000, 6
_CONVINCING = 32
"""So many short runs in the lanes show what no measurement did."""


class Pace:
    """What is known of how long the runs of one signature take."""

    def __init__(self, steady: bool) -> None:
        """``steady`` says that a run's length follows from its shapes alone."""
        self._steady = steady
        self._rows = 0
        self._runs = self._late = self._rests = self._resting = 0
        self._short, self._least_short = 0, 0

    def measured(self, seconds: Mapping[int, float]) -> None:
        """Learn what runs of so many rows take."""
        self._rows = max((rows for rows, took in seconds.items() if took <= SHORT_S), default=0) if self._steady else 0

    @property
    def rows_here(self) -> int:
        """How many rows may be run on the event loop now; mostly none."""
        return 0 if self._resting else self._rows

    def ran_here(self, seconds: float) -> None:
        """A run was made on the event loop."""
        self._runs += 1
        self._late += seconds > _LATE_S
        if seconds > _STALLED_S or self._late > _MOST_LATE:
            self._resting = _REST << min(self._rests, _MOST_RESTS)
            self._rests += 1
        elif self._runs < _LOOK_AFTER:
            return
        self._runs = self._late = 0

    def ran_in_lane(self, rows: int, seconds: float) -> None:
        """A run was made in a lane."""
        self._resting = max(0, self._resting - 1)
        if not self._steady or rows <= self._rows or seconds > SHORT_S:
            return
        self._least_short = min(rows, self._least_short) if self._short else rows
        self._short += 1
        if self._short == _CONVINCING:
            self._rows, self._short = self._least_short, 0
