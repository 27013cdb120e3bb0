"""Old classes and new ones in one head."""

from __future__ import annotations

import numpy as np
import pytest

from training.bases.surgery.classes import aligned, extended, extended_labels


def test_old_labels_stay_in_front() -> None:
    assert extended_labels(("b", "a"), ("a", "c", "b", "d")) == ("b", "a", "c", "d")


def test_old_columns_are_copied_and_new_ones_hardly_answer() -> None:
    draw = np.random.default_rng(0)
    weights, bias = draw.normal(size=(3, 5)), np.array([0.5, -4.0, 1.0])
    grown, offset = extended(weights, bias, 2)
    assert (grown[:3] == weights).all()
    assert grown.shape == (5, 5)
    assert offset.tolist() == [0.5, -4.0, 1.0, -4.0, -4.0]


def test_new_norms_are_brought_into_line() -> None:
    weights = np.vstack([np.eye(2) * 2.0, np.eye(2) * 10.0])
    scaled, factor = aligned(weights, 2)
    assert factor == pytest.approx(0.2)
    assert np.linalg.norm(scaled, axis=1) == pytest.approx([2.0] * 4)
    assert aligned(np.zeros((3, 2)), 2)[1] == 1.0
    assert aligned(weights, 4)[1] == 1.0
