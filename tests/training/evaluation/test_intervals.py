"""Intervals of known cases, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.contributions import macro_f1
from training.evaluation.intervals import mean_intervals, paired_differences, paired_share, resampled_means, wilson


@pytest.mark.parametrize(
    ("right", "items", "low", "high"),
    [
        (18, 20, 0.699, 0.972),
        (90, 100, 0.826, 0.945),
        (360, 400, 0.867, 0.926),
        (0, 10, 0.0, 0.278),
        (10, 10, 0.722, 1),
        (0, 0, 0, 1),
    ],
)
def test_wilson(right: int, items: int, low: float, high: float) -> None:
    interval = wilson(right, items)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-3)


def test_less_confidence_is_a_narrower_interval() -> None:
    assert wilson(90, 100, 0.8).low > wilson(90, 100).low


def test_paired_difference_of_a_known_case() -> None:
    right = np.array([True] * 90 + [False] * 10)
    other = np.array([True] * 80 + [False] * 20)
    means = paired_differences(right.astype(float), {"other": other.astype(float)}, 0)["other"]
    for gap in (means, paired_share(right, other, 0)):
        assert gap.value == pytest.approx(0.10)
        assert gap.interval.low == pytest.approx(0.05, abs=0.02)
        assert gap.interval.high == pytest.approx(0.16, abs=0.02)
        assert gap.interval.low <= gap.lower_bound <= gap.value <= gap.upper_bound <= gap.interval.high
    assert means == paired_differences(right.astype(float), {"other": other.astype(float)}, 0)["other"]
    same = paired_share(right, right, 0)
    assert (same.value, same.interval.low, same.interval.high) == (0, 0, 0)


def test_the_bounds_the_gate_goes_by_do_not_move_with_the_confidence_of_intervals() -> None:
    draw = np.random.default_rng(0)
    ours, theirs = draw.random(300), draw.random(300)
    sure, unsure = (paired_differences(ours, {"other": theirs}, 0, confidence=c)["other"] for c in (0.95, 0.5))
    assert (unsure.lower_bound, unsure.upper_bound) == (sure.lower_bound, sure.upper_bound)
    assert sure.interval.low < unsure.interval.low < unsure.interval.high < sure.interval.high


def test_resampling_groups_of_many_items_spreads_the_mean_as_far() -> None:
    values = np.random.default_rng(0).exponential(size=(20_000, 1))
    means = resampled_means(values, 0)
    assert means.mean() == pytest.approx(values.mean(), abs=1e-3)
    assert means.std() == pytest.approx(values.std() / np.sqrt(20_000), rel=0.06)


def test_more_draws_than_fit_in_memory_at_once_are_made_in_blocks() -> None:
    means = resampled_means(np.arange(10.0)[:, None], 0, draws=4_100)
    assert means.shape == (4_100, 1)
    assert len(np.unique(means[:2_000] - means[2_000:4_000])) > 10


def test_the_interval_of_macro_f1_holds_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)

    def draw(n: int) -> np.ndarray:
        targets = random.choice(3, size=n, p=[0.5, 0.3, 0.2])
        decided = np.where(random.random(n) < 0.8, targets, random.integers(0, 3, n))
        return macro_f1(targets, decided, 3)

    truth, held = float(draw(400_000).mean()), 0
    for trial in range(200):
        interval = mean_intervals({"f1": draw(200)}, trial, draws=400)["f1"]
        held += interval.low <= truth <= interval.high
    assert 0.90 <= held / 200 <= 0.99
