"""Intervals take the source model for the unit of chance, and few units prove nothing."""

from __future__ import annotations

import numpy as np
import pytest

from training.experiment.statistics import FEW, correlation, error_ratio, gap, in_order, summary


def test_figures_of_an_arm() -> None:
    found = summary([0.8, 0.9, 0.7, 0.8], ["a", "b", "c", "d"], seed=0)
    assert (found.repeats, found.mean, found.median) == (4, pytest.approx(0.8), pytest.approx(0.8))
    assert found.std == pytest.approx(np.std([0.8, 0.9, 0.7, 0.8], ddof=1))
    assert found.low is not None
    assert found.high is not None
    assert 0.7 <= found.low < 0.8 < found.high <= 0.9


def test_repeats_with_one_source_do_not_make_up_for_sources() -> None:
    draw = np.random.default_rng(0)
    luck = draw.normal(0.8, 0.05, 6)
    scores = [source + 0.001 * draw.normal() for source in luck for _ in range(20)]
    by_source = summary(scores, [place for place in range(6) for _ in range(20)], seed=0)
    as_if_apart = summary(scores, list(range(120)), seed=0)
    assert by_source.low is not None
    assert by_source.high is not None
    assert as_if_apart.low is not None
    assert as_if_apart.high is not None
    assert by_source.high - by_source.low > 2.5 * (as_if_apart.high - as_if_apart.low)


def test_a_gap_is_paired() -> None:
    draw = np.random.default_rng(1)
    common = draw.normal(0.7, 0.1, 12)
    found = gap(list(common + 0.02), list(common), list(range(12)), seed=0)
    assert found.value == pytest.approx(0.02)
    assert (found.sign, found.better_sources, found.units) == (1, 1.0, 12)
    assert gap(list(common), list(common + 0.02), list(range(12)), seed=0).sign == -1
    assert gap(list(common), list(draw.permutation(common)), list(range(12)), seed=0).sign == 0


def test_few_sources_prove_nothing_however_clear_they_look() -> None:
    few = FEW - 1
    assert gap([0.9] * few, [0.5] * few, list(range(few)), seed=0).sign == 0
    assert gap([0.9] * FEW, [0.5] * FEW, list(range(FEW)), seed=0).sign == 1
    # Many repeats with two sources are two units, not many.
    assert gap([0.9] * 40, [0.5] * 40, [0, 1] * 20, seed=0).sign == 0
    assert summary([0.5], ["a"], seed=0).low is None


def test_the_interval_holds_what_it_says() -> None:
    held = 0
    for trial in range(200):
        draw = np.random.default_rng(trial)
        found = summary(list(draw.normal(0.0, 1.0, 30)), list(range(30)), seed=trial)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.0 <= found.high
    assert 0.89 <= held / 200 <= 0.98


def test_sources_that_give_an_order_are_named() -> None:
    means = {
        "a": {"x": 0.9, "y": 0.8, "z": 0.7},
        "b": {"x": 0.9, "y": 0.9, "z": 0.7},
        "c": {"x": 0.1, "y": 0.2, "z": 0},
    }
    assert in_order(means, ["x", "y", "z"]) == ["a"]


def test_correlation_needs_pairs_that_vary() -> None:
    assert correlation([1, 2, 3], [2, 4, 6.1]) == pytest.approx(1.0, abs=0.01)
    assert correlation([1, 1, 1], [2, 4, 6]) is None
    assert correlation([1, 2], [2, 4]) is None


def test_a_ratio_of_errors_comes_with_its_interval_or_not_at_all() -> None:
    draw = np.random.default_rng(2)
    common = draw.normal(0.0, 0.02, 12)
    found = error_ratio(list(0.9 + common), list(0.8 + common), list(range(12)), seed=0)
    assert found is not None
    assert found.value == pytest.approx(0.5, abs=0.06)
    assert found.low < found.value < found.high < 1
    assert error_ratio([0.9] * 3, [0.8] * 3, [0, 1, 2], seed=0) is None
    assert error_ratio([0.9] * 8, [1.0] * 8, list(range(8)), seed=0) is None
