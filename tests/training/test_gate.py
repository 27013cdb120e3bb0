"""The gate as a table, and how often it lets through what is worse."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.stats import multinomial

from training.evaluation.intervals import paired_share
from training.gate import (
    Check,
    Verdict,
    against_current,
    better_than_majority,
    decide,
    enough_test_items,
    fresh_test,
    loss_not_worse,
    no_class_forgotten,
    not_worse_than_linear,
    same_in_fresh_process,
)
from training.grading import quality_checks


def gain(value: float, lower: float, upper: float | None = None) -> dict[str, Any]:
    return {"value": value, "lower_bound": lower, "upper_bound": 2 * value - lower if upper is None else upper}


@pytest.mark.parametrize(
    ("value", "bound", "require", "verdict"),
    [
        (0.05, 0.01, "not_worse", Verdict.PASSED),
        (0.0, -0.019, "not_worse", Verdict.PASSED),
        (-0.005, -0.019, "not_worse", Verdict.PASSED),
        (0.0, -0.05, "not_worse", Verdict.INSUFFICIENT),
        (-0.02, -0.06, "not_worse", Verdict.INSUFFICIENT),
        (-0.03, -0.06, "not_worse", Verdict.REJECTED),
        (0.0, -0.05, "proven", Verdict.REJECTED),
        (0.0, -0.019, "proven", Verdict.PASSED),
        (0.03, -0.001, "better", Verdict.REJECTED),
        (0.03, 0.001, "better", Verdict.PASSED),
    ],
)
def test_beside_the_current_version(value: float, bound: float, require: str, verdict: Verdict) -> None:
    check = against_current(gain(value, bound), "macro_f1", 0.02, require, 200)
    assert decide([check], "enforce").verdict is verdict
    assert f"{value:+.3f} macro_f1" in check.reason


@pytest.mark.parametrize(
    ("value", "bound", "said"),
    [
        (0.0, -0.04, "about 800 test items instead of 200 would prove"),
        (0.01, -0.05, "about 800 test items instead of 200 would prove"),
        (-0.019999, -0.05, "gate.require 'not_worse'"),
        (0.0, -0.01, ""),
        (-0.02, -0.05, ""),
    ],
)
def test_for_want_of_a_proof_it_says_how_many_items_would_do(value: float, bound: float, said: str) -> None:
    reason = against_current(gain(value, bound), "macro_f1", 0.02, "proven", 200).reason
    assert said in reason
    assert ("would prove" in reason) is ("about" in said)
    assert ("asks for no proof" in reason) is bool(said)


@pytest.mark.parametrize(
    ("value", "bound", "verdict"),
    [
        (0.3, 0.2, Verdict.PASSED),
        (0.02, -0.01, Verdict.INSUFFICIENT),
        (0.0, 0.0, Verdict.REJECTED),
        (-0.1, -0.2, Verdict.REJECTED),
    ],
)
def test_beside_always_the_same_answer(value: float, bound: float, verdict: Verdict) -> None:
    check = better_than_majority(gain(value, bound), "balanced_accuracy")
    assert decide([check], "enforce").verdict is verdict


@pytest.mark.parametrize(
    ("value", "upper", "verdict"),
    [
        (0.1, 0.2, Verdict.PASSED),
        (-0.01, -0.001, Verdict.PASSED),
        (-0.05, 0.01, Verdict.INSUFFICIENT),
        (-0.05, -0.01, Verdict.REJECTED),
    ],
)
def test_beside_a_linear_model_on_raw_input(value: float, upper: float, verdict: Verdict) -> None:
    check = not_worse_than_linear(gain(value, -1.0, upper), "macro_f1", 0.02)
    assert decide([check], "enforce").verdict is verdict


@pytest.mark.parametrize(
    ("items", "upper", "passed"), [(20, -0.06, False), (20, -0.04, True), (19, -0.5, True), (100, 0.1, True)]
)
def test_a_class_that_is_recalled_less(items: int, upper: float, passed: bool) -> None:
    drops = [{"label": "a", "items": items, "value": upper - 0.1, "upper_bound": upper}]
    assert no_class_forgotten(drops).passed is passed
    assert no_class_forgotten([]).passed


@pytest.mark.parametrize(
    ("candidate", "upper", "passed"), [(0.104, -0.01, True), (0.11, -0.01, False), (0.2, 0.01, True), (0.05, 0.1, True)]
)
def test_probabilities_that_became_worse(candidate: float, upper: float, passed: bool) -> None:
    assert loss_not_worse(candidate, 0.1, gain(0.1 - candidate, -1, upper)).passed is passed


def test_a_test_wears_out() -> None:
    assert fresh_test(10).passed
    assert decide([fresh_test(11)], "enforce").verdict is Verdict.INSUFFICIENT


@pytest.mark.parametrize(
    ("checks", "mode", "verdict", "publish"),
    [
        ([], "enforce", Verdict.PASSED, True),
        ([Check("a", True, 0, 0, "")], "enforce", Verdict.PASSED, True),
        ([Check("a", False, 0, 0, "")], "enforce", Verdict.REJECTED, False),
        ([Check("a", False, 0, 0, "")], "record", Verdict.REJECTED, True),
        ([same_in_fresh_process(1e-3)], "record", Verdict.REJECTED, False),
        ([same_in_fresh_process(1e-6)], "enforce", Verdict.PASSED, True),
        (enough_test_items(99, 20), "enforce", Verdict.INSUFFICIENT, True),
        (enough_test_items(100, 4), "enforce", Verdict.INSUFFICIENT, True),
        (enough_test_items(100, 5), "enforce", Verdict.PASSED, True),
        ([Check("a", False, 0, 0, ""), *enough_test_items(9, 1)], "enforce", Verdict.REJECTED, False),
    ],
)
def test_the_verdict(checks: list[Check], mode: str, verdict: Verdict, publish: bool) -> None:
    decision = decide(checks, mode)
    assert (decision.verdict, decision.publish) == (verdict, publish)


def evaluated(**changes: Any) -> dict[str, Any]:
    return {
        "metric": "macro_f1",
        "greater_is_better": True,
        "arms": {"candidate": {"loss": 0.2}, "majority": {"value": 0.1}, "current": {"loss": 0.2}},
        "differences": {"majority": gain(0.5, 0.4), "linear_raw": gain(0.1, 0.05)},
        "beyond_chance": {"metric": "balanced_accuracy", **gain(0.5, 0.4)},
        "test": {"uses": 1, "items": 200},
        **changes,
    }


def test_a_first_version_is_held_against_what_is_simpler_and_a_later_one_against_the_current() -> None:
    names = [check.name for check in quality_checks(evaluated(), 0.02)]
    assert names == ["better_than_majority", "not_worse_than_linear_raw", "fresh_test"]
    later = evaluated(
        differences={"majority": gain(0.5, 0.4), "current": gain(0.0, -0.01)},
        recall_drops=[{"label": "a", "items": 30, "value": 0.0, "upper_bound": 0.0}],
        loss_gain=gain(0.0, -0.1, 0.1),
    )
    names = [check.name for check in quality_checks(later, 0.02)]
    expected = ["better_than_majority", "not_worse_than_current", "no_class_forgotten", "log_loss_not_worse"]
    assert names == [*expected, "fresh_test"]


def test_of_an_absolute_error_the_margin_is_a_share_of_the_simplest_answers_error() -> None:
    found = evaluated(greater_is_better=False, metric="mae")
    found["arms"]["majority"]["value"] = 50.0
    found["differences"]["linear_raw"] = gain(-0.9, -1.5)
    by_name = {check.name: check for check in quality_checks(found, 0.02)}
    assert by_name["not_worse_than_linear_raw"].passed
    assert by_name["not_worse_than_linear_raw"].limit == pytest.approx(-1.0)


def test_a_candidate_two_points_worse_is_seldom_promoted_where_a_proof_is_asked_for() -> None:
    """200 items, the current version right nine times of ten, one answer in ten different between the two.

    Every outcome that is not rare is counted by its exact probability.
    """
    law, promoted, naive, total = multinomial(200, [0.04, 0.06, 0.90]), 0.0, 0.0, 0.0
    for gained, lost in itertools.product(range(22), range(28)):
        probability = float(law.pmf([gained, lost, 200 - gained - lost]))
        if probability < 1e-4:
            continue
        right, other = np.zeros(200, bool), np.zeros(200, bool)
        right[:gained], other[gained : gained + lost] = True, True
        gap = paired_share(right, other, 0)
        check = against_current({"value": gap.value, "lower_bound": gap.lower_bound}, "accuracy", 0.02, "proven", 200)
        promoted += probability * decide([check], "enforce").publish
        naive += probability * (gap.value > 0)
        total += probability
    assert total > 0.98
    assert promoted / total <= 0.06
    assert naive / total > 0.10, "what a gate without a bound lets through"
