"""What a job may cost."""

from __future__ import annotations

import pytest

from service.domain.budget import Budget, Excess
from service.domain.errors import InvalidInput

MIB = 1 << 20


def test_without_bounds_nothing_is_too_much() -> None:
    assert Budget().excess(1e9, 1 << 50) is None


def test_what_is_allowed_is_allowed_to_the_last() -> None:
    budget = Budget(max_seconds=10.0, max_memory_mb=100)
    assert budget.excess(10.0, 100 * MIB) is None
    assert budget.excess(10.5, 0) == Excess("max_seconds", 10.0, 10.5)
    assert budget.excess(0.0, 150 * MIB) == Excess("max_memory_mb", 100, 150.0)
    assert str(budget.excess(0.0, 150 * MIB)) == (
        "the job's budget allows 100 MiB (max_memory_mb), and it has used 150.0 MiB"
    )


@pytest.mark.parametrize("bound", [0, -1, float("nan"), float("inf")])
def test_a_bound_is_a_number_above_zero(bound: float) -> None:
    for name in ("max_seconds", "max_memory_mb"):
        with pytest.raises(InvalidInput, match=name):
            Budget(**{name: bound})
