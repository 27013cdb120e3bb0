"""Strange items are far from the bank; about as many training items as promised are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training import ood

RANDOM = np.random.default_rng(0)
DIRECTION = RANDOM.normal(size=16)


def items(n: int) -> np.ndarray:
    return (RANDOM.normal(size=(n, 16)) + 3 * DIRECTION).astype(np.float32)


def test_items_of_another_kind_are_strange_and_more_of_the_same_are_not() -> None:
    found = ood.reference(items(400), 0.95, 0)
    assert (found.scores(items(1_000)) > found.threshold).mean() == pytest.approx(0.05, abs=0.03)
    assert (found.scores(-items(100)) > found.threshold).all()
    assert found.scores(items(0)).shape == (0,)


def test_a_large_bank_is_a_sample_and_the_threshold_comes_from_the_others() -> None:
    features = np.tile(items(1_000), (1, 1_000))
    found = ood.reference(features, 0.9, 0)
    assert len(found.bank) == ood.MOST_NUMBERS // 16_000
    # What repeats itself has the same angles as what does not.
    assert (found.scores(np.tile(items(300), (1, 1_000))) > found.threshold).mean() == pytest.approx(0.1, abs=0.06)


def test_distances_are_those_of_a_plain_search() -> None:
    features = items(50)
    found = ood.reference(features, 0.95, 0)
    bank = found.bank.astype(np.float64)
    rows = features[:5] / np.linalg.norm(features[:5], axis=1, keepdims=True)
    plain = np.sort(np.linalg.norm(rows[:, None] - bank, axis=2), axis=1)[:, found.nearest - 1]
    assert found.scores(features[:5]) == pytest.approx(plain, abs=2e-3)


def test_two_items_are_enough_and_what_is_written_is_read(tmp_path: Path) -> None:
    features = items(2)
    found = ood.reference(features, 0.95, 0)
    path = tmp_path / "reference.npz"
    ood.write_reference(path, found, features, np.array([[0.2, 0.8], [0.6, 0.4]]))
    again = ood.read_reference(path)
    assert (again.bank == found.bank).all()
    assert (again.threshold, again.nearest) == (found.threshold, found.nearest)
    with np.load(path) as file:
        assert file["confidence_counts"].sum() == 2
        assert file["answer_mean"] == pytest.approx([0.4, 0.6])
    ood.write_reference(path, found, features, np.zeros((0, 2)))
    assert ood.summary(found, np.array([0.0, 9.0]))["share"] == 0.5
