"""Running a signature before its first request: so that none pays for a first time, and to learn what runs take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np

from service.application.batch_runs import Run
from service.domain.tensors import Array, Tensors

_LONGEST_S = 2.0
"""After so long no larger run is measured."""
_TIMES = 5
_ENOUGH_S = 0.1
"""A size is measured up to so many times, and no more after so long: the least counts, whatever else was going on."""
_CLEARLY = 1.05
"""Times what a row takes at best, and larger runs are not tried."""


def measured_runs(
    run: Run, example: Tensors, most: int, now: Callable[[], float] = time.perf_counter
) -> dict[int, float]:
    """Seconds that a run of 1, 2, 4, ... ``most`` rows takes. Each size is run once before it is measured, and growing
    ends where a row has begun to take clearly longer than in smaller runs. Blocks, and raises what ``run`` does.
    """
    begun, seconds = now(), dict[int, float]()
    for rows in (1 << power for power in range(most.bit_length())):
        inputs = repeated(example, rows)
        run(inputs)
        seconds[rows] = _least(run, inputs, now)
        best = min(took / size for size, took in seconds.items())
        if seconds[rows] / rows > _CLEARLY * best:
            # Something else may have been in the way.
            seconds[rows] = min(seconds[rows], _least(run, inputs, now))
        if seconds[rows] / rows > _CLEARLY * best or now() - begun > _LONGEST_S:
            break
    return seconds


def warm(run: Run, example: Tensors, sizes: Iterable[int]) -> None:
    """Run each size once. Blocks, and raises what ``run`` does."""
    for rows in sizes:
        run(repeated(example, rows))


def _least(run: Run, inputs: Tensors, now: Callable[[], float]) -> float:
    least, begun = float("inf"), now()
    for _ in range(_TIMES):
        before = now()
        run(inputs)
        after = now()
        least = min(least, after - before)
        if after - begun > _ENOUGH_S:
            break
    return least


def repeated(example: Tensors, rows: int) -> dict[str, Array]:
    """So many rows of an example, over and over."""
    return {alias: np.concatenate([array] * (-(-rows // array.shape[0])))[:rows] for alias, array in example.items()}
