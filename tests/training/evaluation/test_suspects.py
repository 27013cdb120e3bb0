"""Planted wrong labels are found, and clean data raises no suspicion."""

from __future__ import annotations

import numpy as np

from service.domain.learning import LearningTask
from training.data.targets import Classes, LabelSets, Values
from training.evaluation.suspects import MOST_LISTED, suspects
from training.objectives import objective_for
from training.recipe import HeadChoice

RANDOM = np.random.default_rng(5)


def test_a_turned_label_is_the_most_suspected() -> None:
    truth = np.arange(60) % 3
    labels = truth.copy()
    labels[7], labels[20] = 2, 1
    named = objective_for(LearningTask.MULTICLASS, Classes(("x", "y", "z")), labels=None, choice=HeadChoice())
    logits = (RANDOM.normal(0, 0.5, size=(3, 60, 3)) + 4 * np.eye(3)[truth]).astype(np.float64)
    found = suspects(named, logits, labels, np.arange(60) + 100)
    assert {entry["item"] for entry in found} == {107, 120}
    by_item = {entry["item"]: entry for entry in found}
    assert (by_item[107]["label"], by_item[107]["answer"]) == ("z", "y")
    assert by_item[107]["probability"] < 0.1
    assert suspects(named, logits, truth, np.arange(60)) == []
    assert suspects(named, logits[:0], truth, np.arange(60)) == []


def test_a_missing_and_a_surplus_label_are_found() -> None:
    truth = RANDOM.random((80, 2)) < 0.5
    given = truth.copy()
    given[3, 0], given[9, 1] = ~truth[3, 0], ~truth[9, 1]
    choice = HeadChoice(task="multilabel")
    named = objective_for(LearningTask.MULTILABEL, LabelSets((), ("a", "b")), labels=None, choice=choice)
    logits = 8.0 * truth[None] - 4 + RANDOM.normal(0, 0.3, size=(1, 80, 2))
    found = suspects(named, logits, given.astype(np.float32), np.arange(80))
    assert {entry["item"] for entry in found} == {3, 9}
    entry = next(entry for entry in found if entry["item"] == 3)
    assert {entry["label"], entry["answer"]} == {"a", "not a"}
    assert entry["label"] == ("a" if given[3, 0] else "not a")


def test_a_value_far_off_is_found_and_the_list_is_short() -> None:
    values = RANDOM.normal(100, 10, size=(500, 1))
    given = values.copy()
    given[11] += 90
    choice = HeadChoice(task="regression")
    named = objective_for(LearningTask.REGRESSION, Values(given, ("v",)), labels=None, choice=choice)
    logits = named.targets(Values(values + RANDOM.normal(0, 2, size=values.shape), ("v",)))[None]
    found = suspects(named, logits, named.targets(Values(given, ("v",))), np.arange(500))
    assert found[0]["item"] == 11
    assert found[0]["probability"] == 1 / 500
    assert len(found) <= MOST_LISTED
