"""How requests may be joined into runs: the sizes of a run, and how much may be asked for and may wait. One value; who
batches asks it and knows no other rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

_MOST_WARM_ROWS = 128
"""A first run of more rows is late by little compared with what it takes anyway; warming it would delay every load."""
_EACH_SIZE_WARM = 8
"""Where runs have at most so many rows, every size is warmed, not only the powers of two."""
_AS_GOOD = 1.02
_BESIDE_RUN_S = 0.2e-3
"""What a run costs beside the graph: the way to a lane and back, joining, cutting up, counting."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How many rows go into one run, and how many may wait."""

    max_rows: int = 32
    max_waiting_rows: int = 4096
    max_request_rows: int | None = None
    """The largest request taken; None takes any, and splits what is larger than a run."""
    allowed_rows: tuple[int, ...] = ()
    """The sizes that a run may have, if not every one may: it is filled up to the next. Ascending, to ``max_rows``."""
    tells_late: bool = False
    """Whether a deadline that passes in the queue is told from one that passes in a run."""
    measured: bool = False
    """Whether ``max_rows`` is only the most there may be, and what is best is to be measured."""

    def __post_init__(self) -> None:
        """Raises: ValueError, in TF Serving's words where it has some."""
        if min(self.max_rows, self.max_waiting_rows, self.max_request_rows or 1) < 1:
            raise ValueError("batch sizes and queue lengths must be at least 1")
        if not self.allowed_rows:
            return
        if self.allowed_rows[0] < 1 or any(size >= after for size, after in pairwise(self.allowed_rows)):
            raise ValueError(f"allowed_batch_sizes must be positive and ascending, and are {list(self.allowed_rows)}")
        if self.allowed_rows[-1] != self.max_rows:
            raise ValueError(
                "Last entry in allowed_batch_sizes must match max_batch_size; "
                f"last entry was {self.allowed_rows[-1]}; expected {self.max_rows}"
            )

    def run_rows(self, rows: int) -> int:
        """How many rows a run of so many requested rows has, filled up."""
        return next((size for size in self.allowed_rows if size >= rows), rows)

    def warm_sizes(self) -> tuple[int, ...]:
        """The sizes to run once before a version answers: every allowed one, else the powers of two."""
        most = min(self.max_rows, _MOST_WARM_ROWS)
        if self.measured and most <= _EACH_SIZE_WARM:
            return tuple(range(1, most + 1))
        return self.allowed_rows or tuple(1 << power for power in range(most.bit_length()))

    def best(self, seconds: Mapping[int, float]) -> BatchLimits:
        """These limits with the size of run that answers most rows a second, from what runs of so many rows take. Of
        sizes about as good as each other the smaller one: a run is as late as its last row.
        """
        if not self.measured or not seconds:
            return self
        row_s = {rows: (took + _BESIDE_RUN_S) / rows for rows, took in sorted(seconds.items())}
        best = min(row_s.values())
        return replace(self, max_rows=next(rows for rows, took in row_s.items() if took <= _AS_GOOD * best))

    @property
    def max_waiting_batches(self) -> int:
        """``max_waiting_rows`` in full runs."""
        return max(1, self.max_waiting_rows // self.max_rows)
