"""ECE of known cases, and its value by chance."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.reliability import calibration_error, null_calibration_error, reliability


def test_sure_and_wrong_once_in_four() -> None:
    confidence, right = np.ones(4), np.array([True, True, True, False])
    assert calibration_error(confidence, right) == pytest.approx(0.25)
    assert reliability(confidence, right) == [{"confidence": 1.0, "share": 0.75, "items": 4}]


@pytest.mark.parametrize(("items", "expected"), [(100, 0.075), (500, 0.034), (2_000, 0.018)])
def test_a_calibrated_model_shows_an_error_that_shrinks_with_items(items: int, expected: float) -> None:
    confidence = np.random.default_rng(0).uniform(0.4, 1.0, items)
    null = null_calibration_error(confidence, 0)
    assert null["mean"] == pytest.approx(expected, rel=0.45)
    assert null["high"] > null["mean"]
    right = np.random.default_rng(1).random(items) < confidence
    assert calibration_error(confidence, right) < 1.3 * null["high"]
