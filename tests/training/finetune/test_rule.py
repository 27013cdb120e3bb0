"""When fine-tuning is tried and when it is kept: the table of decisions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.finetune.rule import Circumstances, expected_seconds, is_kept, is_tried

FAIR = Circumstances(
    enabled="auto",
    has_layers=True,
    fewest=20,
    seconds=10.0,
    budget=30.0,
    probe_scores=np.repeat([1.0, 0.0], [40, 10]),
    perfect_scores=np.ones(50),
)


@pytest.mark.parametrize(
    ("changes", "tried", "reason"),
    [
        ({}, True, "enough data"),
        ({"enabled": "never"}, False, "never"),
        ({"enabled": "always", "fewest": 2, "seconds": 1e6}, True, "always"),
        ({"enabled": "always", "has_layers": False}, False, "no Keras model"),
        ({"has_layers": False}, False, "no Keras model"),
        ({"fewest": 19}, False, "19 items"),
        ({"seconds": 31.0}, False, "31 s"),
        ({"probe_scores": np.ones(50)}, False, "on 0 of 50"),
        ({"probe_scores": np.repeat([1.0, 0.0], [49, 1])}, False, "on 1 of 50"),
        ({"probe_scores": np.repeat([1.0, 0.0], [48, 2])}, True, "room"),
        ({"probe_scores": np.zeros(1), "perfect_scores": np.ones(1)}, False, "on 1 of 1"),
    ],
)
def test_it_is_tried_only_where_it_can_pay(changes: dict[str, object], tried: bool, reason: str) -> None:
    decision = is_tried(replace(FAIR, **changes))  # type: ignore[arg-type]
    assert decision.yes is tried
    assert reason in decision.reason


WORSE, SAME, BETTER = (np.repeat([1.0, 0.0], [right, 100 - right]) for right in (70, 80, 90))
A_LITTLE = np.repeat([1.0, 0.0], [81, 19])


@pytest.mark.parametrize(
    ("enabled", "changed", "tuned", "kept"),
    [
        ("auto", True, BETTER, True),
        ("auto", True, A_LITTLE, False),
        ("auto", True, SAME, False),
        ("auto", True, WORSE, False),
        ("auto", False, BETTER, False),
        ("always", True, A_LITTLE, True),
        ("always", True, SAME, True),
        ("always", True, WORSE, False),
        ("always", False, SAME, False),
    ],
)
def test_it_is_kept_only_where_it_is_better(enabled: str, changed: bool, tuned: np.ndarray, kept: bool) -> None:
    decision = is_kept(enabled, changed, tuned, SAME)
    assert decision.yes is kept
    assert decision.reason


def test_the_estimate_knows_that_gradients_cost_twice_as_much_again() -> None:
    assert expected_seconds(100, 32, 3, 1e-3, 0.0) == pytest.approx(9.6)
    assert expected_seconds(100, 32, 3, 1e-3, 1.0) == pytest.approx(28.8)
