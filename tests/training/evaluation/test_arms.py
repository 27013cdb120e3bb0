"""Figures of every task against scikit-learn's, and the candidate beside others."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from service.domain.learning import LearningTask
from training.data.targets import Classes, LabelSets, Targets, Values
from training.evaluation.arms import grade
from training.objectives import Objective, objective_for
from training.recipe import HeadChoice

RANDOM = np.random.default_rng(1)
N = 300


def objective(task: str, targets: Targets, **choice: Any) -> Objective:
    return objective_for(LearningTask(task), targets, labels=None, choice=HeadChoice(task=task, **choice))


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def value(found: dict[str, Any], measure: str) -> float:
    measured = found["arms"]["candidate"]["measures"][measure]
    assert measured["low"] <= measured["value"] <= measured["high"]
    return float(measured["value"])


def test_multiclass_figures_are_scikit_learns() -> None:
    targets = RANDOM.integers(0, 4, N)
    logits = RANDOM.normal(size=(N, 4)) + 2 * np.eye(4)[targets]
    found = grade(objective("multiclass", Classes(tuple("abcd"))), {"candidate": logits}, targets, 0)
    decided, probabilities = logits.argmax(axis=1), softmax(logits)
    assert value(found, "accuracy") == pytest.approx((decided == targets).mean())
    assert value(found, "macro_f1") == pytest.approx(metrics.f1_score(targets, decided, average="macro"))
    assert value(found, "log_loss") == pytest.approx(metrics.log_loss(targets, probabilities))
    assert value(found, "top_3_accuracy") == pytest.approx(metrics.top_k_accuracy_score(targets, logits, k=3))
    assert found["confusion"] == metrics.confusion_matrix(targets, decided).tolist()
    theirs = metrics.precision_recall_fscore_support(targets, decided)
    for ours, reference in zip(("precision", "recall", "f1", "support"), theirs, strict=True):
        assert found["classes"][ours] == pytest.approx(reference.tolist())
    arm = found["arms"]["candidate"]
    assert (arm["metric"], arm["value"], arm["items"]) == ("macro_f1", arm["macro_f1"], N)
    assert found["fewest_of_a_class"] == np.bincount(targets).min()


def test_binary_figures_are_scikit_learns_and_hang_on_the_threshold() -> None:
    targets = (RANDOM.random(N) < 0.3).astype(np.int64)
    logits = RANDOM.normal(size=(N, 2)) + np.eye(2)[targets]
    named = objective("binary", Classes(("no", "yes")), threshold=0.3)
    found = grade(named, {"candidate": logits}, targets, 0)
    positive = softmax(logits)[:, 1]
    decided = positive >= 0.3
    assert value(found, "balanced_accuracy") == pytest.approx(metrics.balanced_accuracy_score(targets, decided))
    assert value(found, "f1") == pytest.approx(metrics.f1_score(targets, decided))
    assert value(found, "auc") == pytest.approx(metrics.roc_auc_score(targets, positive))
    assert value(found, "average_precision") == pytest.approx(metrics.average_precision_score(targets, positive))
    assert value(found, "brier") == pytest.approx(metrics.brier_score_loss(targets, positive))
    assert found["arms"]["candidate"]["metric"] == "balanced_accuracy"


def test_multilabel_figures_are_scikit_learns() -> None:
    marks = RANDOM.random((N, 3)) < [0.5, 0.3, 0.1]
    logits = RANDOM.normal(size=(N, 3)) + 2 * marks - 1
    named = objective("multilabel", LabelSets((), ("a", "b", "c")))
    found = grade(named, {"candidate": logits}, marks.astype(np.float32), 0)
    decided = logits >= 0
    assert value(found, "map") == pytest.approx(metrics.average_precision_score(marks, logits, average="macro"))
    assert value(found, "macro_f1") == pytest.approx(metrics.f1_score(marks, decided, average="macro"))
    assert value(found, "micro_f1") == pytest.approx(metrics.f1_score(marks, decided, average="micro"))
    assert value(found, "subset_accuracy") == pytest.approx(metrics.accuracy_score(marks, decided))
    recall = metrics.recall_score(marks, decided, average=None)
    assert found["classes"]["recall"] == pytest.approx(recall.tolist())


def test_regression_figures_are_scikit_learns_in_the_units_of_the_data() -> None:
    values = RANDOM.normal(50, 20, size=(N, 2)) * [1, 100]
    named = objective("regression", Values(values, ("small", "large")))
    encoded = named.targets(Values(values, ("small", "large")))
    logits = encoded + RANDOM.normal(0, 0.3, size=encoded.shape)
    widths = (12.0, 500.0)
    found = grade(named.settled(half_widths=widths), {"candidate": logits}, encoded, 0)
    answered = named.in_units(logits)
    assert found["values"]["mae"] == pytest.approx(np.abs(answered - values).mean(axis=0).tolist())
    assert found["values"]["r2"] == pytest.approx(metrics.r2_score(values, answered, multioutput="raw_values").tolist())
    theirs = metrics.root_mean_squared_error(values, answered, multioutput="raw_values")
    assert found["values"]["rmse"] == pytest.approx(theirs.tolist())
    assert found["values"]["coverage"] == pytest.approx((np.abs(answered - values) <= widths).mean(axis=0).tolist())
    assert value(found, "mae") == pytest.approx(np.abs(logits - encoded).mean())
    assert value(found, "r2") == pytest.approx(metrics.r2_score(values, answered))


def test_a_gain_is_above_0_where_the_candidate_is_better_also_for_errors() -> None:
    values = RANDOM.normal(size=(N, 1))
    named = objective("regression", Values(values, ("v",)))
    encoded = named.targets(Values(values, ("v",)))
    good, bad = (encoded + RANDOM.normal(0, noise, size=encoded.shape) for noise in (0.1, 0.5))
    found = grade(named, {"candidate": good, "majority": np.zeros_like(good), "current": bad}, encoded, 0)
    gap = found["differences"]["current"]
    arms = found["arms"]
    assert gap["value"] == pytest.approx(arms["current"]["value"] - arms["candidate"]["value"])
    assert 0 < gap["interval"]["low"] < gap["lower_bound"] < gap["value"]
    assert found["beyond_chance"]["value"] > 0
    assert (found["recall_drops"], found["loss_gain"]) == ([], None)


def test_guessing_at_random_is_nothing_beyond_chance() -> None:
    random = np.random.default_rng(0)
    targets = random.integers(0, 5, 2_000)
    guessed, constant = random.normal(size=(2_000, 5)), np.tile([1.0, 0, 0, 0, 0], (2_000, 1))
    named = objective("multiclass", Classes(tuple("abcde")))
    found = grade(named, {"candidate": guessed, "majority": constant}, targets, 0)
    assert found["differences"]["majority"]["lower_bound"] > 0, "macro-F1 rewards guessing"
    interval = found["beyond_chance"]["interval"]
    assert interval["low"] < 0 < interval["high"]


def test_a_class_that_is_forgotten_is_seen() -> None:
    targets = np.arange(200) % 2
    current = 3 * np.eye(2)[targets]
    forgetful = np.where((targets == 1)[:, None] & (np.arange(200) % 4 == 1)[:, None], current[:, ::-1], current)
    named = objective("multiclass", Classes(("a", "b")))
    found = grade(named, {"candidate": forgetful, "current": current}, targets, 0)
    kept, lost = found["recall_drops"]
    assert (kept["label"], kept["value"], kept["upper_bound"]) == ("a", 0, 0)
    assert (lost["label"], lost["items"], lost["value"]) == ("b", 100, -0.5)
    assert lost["upper_bound"] < -0.4
    assert found["loss_gain"]["upper_bound"] < 0


def test_an_arm_may_decide_by_a_threshold_of_its_own() -> None:
    targets = np.array([0, 0, 1, 1] * 10)
    logits = np.log(np.array([[0.9, 0.1], [0.9, 0.1], [0.7, 0.3], [0.7, 0.3]] * 10))
    named = objective("binary", Classes(("no", "yes")))
    own = {"current": named.settled(thresholds=(0.2,))}
    found = grade(named, {"candidate": logits, "current": logits}, targets, 0, objectives=own)
    assert (found["arms"]["candidate"]["value"], found["arms"]["current"]["value"]) == (0.5, 1.0)


def test_six_arms_on_five_thousand_items_take_about_a_second() -> None:
    targets = RANDOM.integers(0, 10, 5_000)
    logits = RANDOM.normal(size=(5_000, 10)) + 2 * np.eye(10)[targets]
    named = objective("multiclass", Classes(tuple("abcdefghij")))
    arms = dict.fromkeys(("candidate", "majority", "linear_raw", "random_features", "scratch", "current"), logits)
    grade(named, {"candidate": logits[:50]}, targets[:50], 0)
    began = time.process_time()
    grade(named, arms, targets, 0)
    assert time.process_time() - began < 5, "generous: the machine may be busy"
