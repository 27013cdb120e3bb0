"""What is nearly the same is found, and what is not is not."""

from __future__ import annotations

import numpy as np
import pytest

from training.data.near import near_rows, near_texts


@pytest.mark.parametrize(("items", "width"), [(300, 2), (1000, 8), (200, 500)])
def test_rows_rounded_otherwise(items: int, width: int) -> None:
    rows = np.random.default_rng(0).normal(size=(items, width)).astype(np.float32)
    assert near_rows(rows) == []
    rounded = rows[[7, 100]] + np.float32(1e-5)
    assert near_rows(np.concatenate([rows, rounded])) == [(7, items), (100, items + 1)]
    assert near_rows(np.concatenate([rows, rows[:5]])) == [], "equal rows are exact copies"


def test_rows_of_which_nothing_can_be_said() -> None:
    assert near_rows(np.zeros((50, 3), dtype=np.float32)) == []
    assert near_rows(np.ones((1, 3), dtype=np.float32)) == []


def test_texts_written_otherwise() -> None:
    texts = ("The river, at last.", "a stone", "the  RIVER at last", "a stone", "\uff41 stone", "!!!", "???")
    assert near_texts(texts) == [(0, 2), (1, 4)]
