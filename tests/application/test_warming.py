"""Measuring runs before the first request: which sizes are tried, when growing ends, and that time is bounded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from service.application.warming import measured_runs, repeated, warm
from service.domain.errors import InvalidInput
from service.domain.tensors import Array, Tensors

EXAMPLE = {"x": np.arange(6, dtype=np.float32).reshape(3, 2)}


class Bench:
    """A signature whose runs take as long as a test says, by a clock that only they move."""

    def __init__(self, seconds: Callable[[int], float], disturbed: dict[int, float] | None = None) -> None:
        self.time = 0.0
        self.sizes: list[int] = []
        self._seconds, self._disturbed = seconds, disturbed or {}

    def run(self, inputs: Tensors) -> dict[str, Array]:
        self.sizes.append(len(inputs["x"]))
        self.time += self._seconds(self.sizes[-1]) + self._disturbed.pop(len(self.sizes), 0.0)
        return {}

    def measured(self, most: int = 32) -> dict[int, float]:
        return measured_runs(self.run, EXAMPLE, most, lambda: self.time)


def test_a_model_that_gains_by_more_rows_is_tried_with_all_there_may_be() -> None:
    bench = Bench(lambda rows: 1e-5 + rows * 1e-6)
    assert bench.measured() == pytest.approx({rows: 1e-5 + rows * 1e-6 for rows in (1, 2, 4, 8, 16, 32)})
    assert list(Bench(lambda rows: 1e-5).measured(most=20)) == [1, 2, 4, 8, 16]


def test_growing_ends_where_a_row_takes_clearly_longer() -> None:
    bench = Bench(lambda rows: rows * (1e-3 if rows <= 4 else 2e-3))
    assert list(bench.measured()) == [1, 2, 4, 8]


def test_one_disturbance_does_not_end_it() -> None:
    bench = Bench(lambda rows: rows * 1e-3, disturbed=dict.fromkeys(range(8, 13), 0.005))
    assert list(bench.measured()) == [1, 2, 4, 8, 16, 32]


def test_a_slow_model_is_run_a_few_times_and_no_more() -> None:
    bench = Bench(lambda rows: rows * 1.5)
    assert list(bench.measured()) == [1]
    assert bench.sizes == [1, 1]


def test_the_time_it_takes_is_bounded() -> None:
    bench = Bench(lambda rows: 0.04 * rows)
    bench.measured()
    assert bench.time < 4.0


def test_what_a_run_raises_is_the_callers() -> None:
    def refuses(inputs: Tensors) -> dict[str, Array]:
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        measured_runs(refuses, EXAMPLE, 4)
    with pytest.raises(InvalidInput):
        warm(refuses, EXAMPLE, (1,))


def test_an_example_is_repeated_and_cut() -> None:
    assert repeated(EXAMPLE, 5)["x"][:, 0].tolist() == [0, 2, 4, 0, 2]
    assert repeated(EXAMPLE, 2)["x"][:, 0].tolist() == [0, 2]
