"""Encoding, losses, weights and answers of the four tasks; the same loss in numpy as in Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from service.domain.learning import LearningTask
from training.data.targets import Classes, LabelSets, Targets, Values
from training.errors import BadRecipe
from training.objectives import Objective, objective_for
from training.recipe import HeadChoice

CLASSES = Classes(("b", "a", "b", "c", "b", "b", "b"))
SETS = LabelSets((("a",), (), ("a", "b"), ("b",), ("b",)))
VALUES = Values(np.array([[1.0, 10.0], [2.0, 30.0], [3.0, 20.0], [6.0, 20.0]]), ("u", "v"))
RANDOM = np.random.default_rng(0)


def made(task: str, targets: Targets, labels: tuple[str, ...] | None = None, **choice: Any) -> Objective:
    return objective_for(LearningTask(task), targets, labels=labels, choice=HeadChoice(task=task, **choice))


def test_classes_are_places_in_label_order() -> None:
    named = made("multiclass", CLASSES)
    assert (named.labels, named.outputs, named.loss, named.metric) == (("a", "b", "c"), 3, "softmax", "macro_f1")
    assert named.targets(CLASSES).tolist() == [1, 0, 1, 2, 1, 1, 1]
    assert made("multiclass", CLASSES, ("c", "b", "a")).targets(CLASSES).tolist() == [1, 2, 1, 0, 1, 1, 1]


def test_sets_are_marks_and_the_rarest_label_is_the_stratum() -> None:
    named = made("multilabel", SETS)
    encoded = named.targets(SETS)
    assert encoded.tolist() == [[1, 0], [0, 0], [1, 1], [0, 1], [0, 1]]
    assert named.strata(encoded).tolist() == [0, 2, 0, 1, 1]
    assert made("multilabel", LabelSets((), ("z", "a"))).labels == ("z", "a")


def test_values_are_scaled_and_come_back() -> None:
    named = made("regression", VALUES)
    encoded = named.targets(VALUES)
    assert encoded.mean(axis=0) == pytest.approx([0, 0])
    assert encoded.std(axis=0) == pytest.approx([1, 1])
    assert named.decide(encoded) == pytest.approx(VALUES.values)
    assert not named.greater_is_better
    constant = made("regression", Values(np.full((4, 1), 5.0), ("c",)))
    assert constant.targets(Values(np.full((4, 1), 5.0), ("c",))).tolist() == [[0.0]] * 4


@pytest.mark.parametrize(
    ("task", "targets", "labels", "choice", "said"),
    [
        ("binary", CLASSES, None, {}, "two classes"),
        ("multiclass", Classes(("a", "a")), None, {}, "two classes at least"),
        ("multiclass", VALUES, None, {}, "it holds numbers"),
        ("regression", CLASSES, None, {}, "one class an item"),
        ("multilabel", CLASSES, None, {}, "multilabel"),
        ("multilabel", LabelSets(((), ())), None, {}, "no item has any label"),
        ("regression", VALUES, ("x", "y"), {}, "names of values"),
        ("regression", VALUES, None, {"label_smoothing": 0.1}, "label_smoothing"),
    ],
)
def test_what_does_not_go_together(
    task: str, targets: Targets, labels: tuple[str, ...] | None, choice: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadRecipe, match=said):
        made(task, targets, labels, **choice)


@pytest.mark.parametrize(
    ("named", "other", "said"),
    [
        (made("multiclass", CLASSES), Classes(("d",)), "'d'"),
        (made("multilabel", SETS), LabelSets((("d",),)), "'d'"),
        (made("regression", VALUES), Values(np.ones((1, 1)), ("w",)), "named w"),
        (made("regression", VALUES), CLASSES, "numbers"),
    ],
)
def test_targets_that_were_not_known(named: Objective, other: Targets, said: str) -> None:
    with pytest.raises(BadRecipe, match=said):
        named.targets(other)


CASES = [
    (made("multiclass", CLASSES), CLASSES),
    (made("multilabel", SETS), SETS),
    (made("regression", VALUES), VALUES),
]


@pytest.mark.parametrize(("named", "targets"), CASES)
def test_the_loss_is_the_same_in_numpy_and_in_keras(named: Objective, targets: Targets) -> None:
    encoded = named.targets(targets)
    logits = RANDOM.normal(size=(len(encoded), named.outputs))
    theirs = np.asarray(named.keras_loss(logits.astype(np.float32), encoded))
    theirs = theirs if theirs.ndim == 1 else theirs.mean(axis=1)
    assert named.losses(logits, encoded) == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize(("named", "targets"), CASES)
def test_no_other_constant_is_better_than_the_constant_answer(named: Objective, targets: Targets) -> None:
    encoded = named.targets(targets)
    constant = np.tile(named.constant(encoded), (len(encoded), 1))
    for _ in range(20):
        other = constant + RANDOM.normal(0, 0.5, size=named.outputs)
        if named.loss == "squared":
            assert named.score(constant, encoded).mean() >= named.score(other, encoded).mean() - 1e-12
        else:
            assert named.losses(constant, encoded).mean() <= named.losses(other, encoded).mean()


def test_smoothed_targets_are_what_the_keras_loss_pulls_to() -> None:
    named = made("multiclass", CLASSES, label_smoothing=0.3)
    encoded = named.targets(CLASSES)
    wanted = named.wanted(encoded)
    assert wanted[0].tolist() == pytest.approx([0.1, 0.8, 0.1])
    logits = RANDOM.normal(size=wanted.shape)
    logs = np.log(named.answers(logits)["probabilities"])
    theirs = np.asarray(named.keras_loss(logits.astype(np.float32), encoded))
    assert theirs == pytest.approx(-(wanted * logs).sum(axis=1), abs=1e-5)


def test_uneven_classes_weigh_the_same_in_all_and_one_on_average() -> None:
    encoded = made("multiclass", CLASSES).targets(CLASSES)
    assert made("multiclass", CLASSES, class_weight="none").weights(encoded) is None
    weights = made("multiclass", CLASSES).weights(encoded)
    assert weights is not None
    assert np.bincount(encoded, weights) == pytest.approx([7 / 3] * 3)
    even = Classes(("a", "b", "b", "b"))
    assert made("binary", even).weights(np.array([0, 1, 1, 1])) is None, "three times is not more than three times"


def test_positives_of_each_label_weigh_as_much_as_its_negatives_only_when_asked() -> None:
    encoded = made("multilabel", SETS).targets(SETS)
    assert made("multilabel", SETS).weights(encoded) is None
    weights = made("multilabel", SETS, class_weight="balanced").weights(encoded)
    assert weights is not None
    assert weights.shape == encoded.shape
    assert (weights * encoded).sum(axis=0) == pytest.approx((weights * (1 - encoded)).sum(axis=0))
    assert weights.mean(axis=0) == pytest.approx([1, 1])


def test_thresholds_decide() -> None:
    two = made("binary", Classes(("no", "yes")), threshold=0.2)
    logits = np.log(np.array([[0.9, 0.1], [0.75, 0.25]]))
    assert two.decide(logits).tolist() == [0, 1]
    assert two.settled(thresholds=(0.3,)).decide(logits).tolist() == [0, 0]
    labels = made("multilabel", SETS).settled(thresholds=(0.2, 0.9))
    assert labels.decide(np.zeros((1, 2))).tolist() == [[True, False]]
