"""On which rows two heads decide differently, for every task."""

from __future__ import annotations

import numpy as np
import pytest

from service.domain.disagreement import differing, incomparable
from service.domain.heads import Head
from service.domain.learning import LearningTask


def head(labels: str, task: LearningTask = LearningTask.MULTICLASS, **deciding: tuple[float, ...]) -> Head:
    count = len(labels)
    return Head(np.zeros((count, 2), np.float32), np.zeros(count, np.float32), tuple(labels), task, **deciding)


def rows(*values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, np.float32)


def test_classes_are_compared_by_name_whatever_their_order() -> None:
    found = differing(head("abc"), rows((9, 0, 0), (0, 9, 0)), head("bca"), rows((0, 0, 9), (0, 9, 0)))
    assert found.tolist() == [False, True]


def test_a_class_that_one_does_not_know_is_another_class() -> None:
    found = differing(head("ab"), rows((9, 0)), head("abc"), rows((0, 0, 9)))
    assert found.tolist() == [True]


def test_probabilities_may_differ_where_the_decision_does_not() -> None:
    assert differing(head("ab"), rows((9, 0)), head("ab"), rows((0.1, 0))).tolist() == [False]


def test_of_two_classes_the_threshold_decides() -> None:
    early, late = (head("ny", LearningTask.BINARY, thresholds=(at,)) for at in (0.2, 0.8))
    evens = rows((0, 0), (9, 0), (0, 9))
    assert differing(early, evens, late, evens).tolist() == [True, False, False]
    usual = head("ny", LearningTask.BINARY)
    assert differing(usual, evens, head("yn"), evens[:, ::-1]).tolist() == [False, False, False]


def test_sets_of_labels_are_compared_as_sets() -> None:
    one, other = head("ab", LearningTask.MULTILABEL), head("bc", LearningTask.MULTILABEL, thresholds=(0.5, 0.9))
    found = differing(one, rows((-9, 9), (-9, 9), (9, -9), (-9, -9)), other, rows((9, 1), (9, 9), (-9, -9), (-9, -9)))
    assert found.tolist() == [False, True, True, False]


def test_values_differ_when_they_are_further_apart_than_the_interval_reaches() -> None:
    one = head("xy", LearningTask.REGRESSION, half_widths=(1.0, 10.0))
    other = head("xy", LearningTask.REGRESSION)
    assert differing(one, rows((0, 0), (0, 0), (0, 0)), other, rows((1, 10), (1.5, 0), (0, -11))).tolist() == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("stable", "other", "why"),
    [
        (head("ab"), head("cd", LearningTask.BINARY), None),
        (head("ab"), head("ab", LearningTask.MULTILABEL), "multilabel"),
        (head("x", LearningTask.REGRESSION, half_widths=(1.0,)), head("x", LearningTask.REGRESSION), None),
        (head("x", LearningTask.REGRESSION), head("x", LearningTask.REGRESSION), "no interval"),
        (
            head("x", LearningTask.REGRESSION, half_widths=(1.0,)),
            head("y", LearningTask.REGRESSION),
            "different values",
        ),
        (head("x", LearningTask.REGRESSION), head("x"), "one is for regression"),
    ],
)
def test_what_cannot_be_compared_is_said(stable: Head, other: Head, why: str | None) -> None:
    found = incomparable(stable, other)
    assert found is None if why is None else found is not None and why in found
