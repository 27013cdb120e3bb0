"""The solvers against scikit-learn's, folding, and the space the items span."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge

from service.domain.heads import AnswerForm
from service.domain.learning import LearningTask
from training.data.targets import Classes, LabelSets, Targets, Values
from training.errors import Diverged
from training.objectives import Objective, objective_for
from training.probe.logistic import fit_many, logits_of_many
from training.probe.solve import fit, lesson_for
from training.probe.span import Span
from training.recipe import HeadChoice


def objective(task: str, targets: Targets, **choice: Any) -> Objective:
    return objective_for(LearningTask(task), targets, labels=None, choice=HeadChoice(task=task, **choice))


TEN = objective("multiclass", Classes(tuple("0123456789")))


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data, target = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(data))[:200]
    return data[order].astype(np.float32), target[order].astype(np.int64)


def centred(logits: np.ndarray) -> np.ndarray:
    """Logits without what softmax does not see."""
    return logits - logits.mean(axis=-1, keepdims=True)


def logistic(C: float) -> LogisticRegression:
    return LogisticRegression(C=C, tol=1e-9, max_iter=20_000)


def test_one_fit_is_scikit_learns(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = digits
    ours = fit(TEN, features, targets, 0.1)
    standardised = ours.scaling.apply(features)
    theirs = logistic(0.1).fit(standardised, targets)
    assert np.abs(centred(ours.logits(features)) - centred(theirs.decision_function(standardised))).max() < 1e-2
    assert np.abs(ours.weights - ours.weights.mean(axis=0) - (theirs.coef_ - theirs.coef_.mean(axis=0))).max() < 1e-2


def test_more_features_than_items_give_the_same_as_without_the_decomposition() -> None:
    features = np.random.default_rng(1).normal(size=(40, 200)).astype(np.float32)
    targets = np.arange(40) % 3
    ours = fit(objective("multiclass", Classes(("x", "y", "z"))), features, targets, 0.1)
    standardised = ours.scaling.apply(features)
    theirs = logistic(0.1).fit(standardised, targets)
    assert np.abs(centred(ours.logits(features)) - centred(theirs.decision_function(standardised))).max() < 1e-2


def test_item_and_class_weights_are_scikit_learns(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = digits
    targets = (targets < 2).astype(np.int64)
    named = objective("binary", Classes(("no", "yes")), class_weight="balanced")
    given = np.random.default_rng(0).uniform(0.2, 3, len(targets)).astype(np.float32)
    ours = fit(named, features, targets, 0.1, given)
    weights = named.weights(targets) * (given / given.mean())
    theirs = logistic(0.1).fit(ours.scaling.apply(features), targets, sample_weight=weights)
    margin = ours.logits(features)[:, 1] - ours.logits(features)[:, 0]
    # Two softmax rows share what one sigmoid row holds, so their penalty is half as strong.
    halved = logistic(0.2).fit(ours.scaling.apply(features), targets, sample_weight=weights)
    assert np.abs(margin - halved.decision_function(ours.scaling.apply(features))).max() < 2e-2
    assert np.abs(margin - theirs.decision_function(ours.scaling.apply(features))).max() > 2e-2


def test_labels_are_independent_logistic_regressions(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = digits
    marks = np.stack([targets % 2 == 0, targets > 6], axis=1)
    ours = fit(objective("multilabel", LabelSets((), ("even", "large"))), features, marks.astype(np.float32), 0.1)
    standardised = ours.scaling.apply(features)
    for label in range(2):
        theirs = logistic(0.1).fit(standardised, marks[:, label])
        assert np.abs(ours.logits(features)[:, label] - theirs.decision_function(standardised)).max() < 1e-2


def test_values_are_ridge_regressions_and_fold_into_their_units(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = digits
    values = Values(np.stack([targets * 1e4 + 5e5, targets**2], axis=1).astype(np.float64), ("price", "square"))
    named = objective("regression", values).settled(half_widths=(100.0, 2.0))
    given = np.random.default_rng(0).uniform(0.2, 3, len(targets)).astype(np.float32)
    ours = fit(named, features, named.targets(values), 0.1, given)
    standardised = ours.scaling.apply(features)
    theirs = Ridge(alpha=10.0).fit(standardised, named.targets(values), sample_weight=given / given.mean())
    assert np.abs(ours.logits(features) - theirs.predict(standardised)).max() < 1e-6
    answer = ours.folded(named, 1.0).answer(features, AnswerForm.PREDICT)
    expected = named.in_units(ours.logits(features))
    assert np.abs(answer["values"] / expected - 1)[:, 0].max() < 1e-5
    assert answer["interval_high"] - answer["values"] == pytest.approx(np.tile([100.0, 2.0], (200, 1)), rel=1e-2)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_many_fits_together_are_each_the_fit_alone(digits: tuple[np.ndarray, np.ndarray], task: str) -> None:
    features, targets = digits
    named, encoded = TEN, targets
    if task == "multilabel":
        named, encoded = objective(task, LabelSets((), ("even",))), (targets % 2 == 0)[:, None].astype(np.float32)
    spanned = Span.of(features)
    members = np.stack([np.arange(200) % 5 != fold for fold in range(2)])
    together = logits_of_many(spanned, fit_many(spanned, lesson_for(named, encoded), members, 0.1, 300))
    standardised = spanned.scaling.apply(features)
    for fold in range(2):
        theirs = logistic(0.1).fit(standardised[members[fold]], np.ravel(encoded)[members[fold]])
        expected = theirs.decision_function(standardised)
        ours = together[fold] if task == "multiclass" else together[fold, :, 0]
        assert np.abs(ours - expected - (ours - expected).mean(axis=-1, keepdims=task == "multiclass")).max() < 2e-2


def test_numbers_that_are_not_finite_are_refused() -> None:
    features = np.ones((6, 2), dtype=np.float32)
    features[0, 0] = np.inf
    with np.errstate(invalid="ignore"), pytest.raises(Diverged):
        fit(objective("binary", Classes(("x", "y"))), features, np.array([0, 1] * 3), 1.0)


def test_folding_changes_nothing_but_the_temperature(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = digits
    linear = fit(TEN, features, targets, 1.0)
    assert np.abs(linear.folded(TEN, 2.0).logits(features) - linear.logits(features) / 2.0).max() < 1e-4


def test_a_constant_feature_has_no_say() -> None:
    features = np.array([[1e6, 0.0], [1e6, 1.0], [1e6, 0.1], [1e6, 0.9]], dtype=np.float32)
    linear = fit(objective("binary", Classes(("x", "y"))), features, np.array([0, 1, 0, 1]), 1.0)
    assert np.abs(linear.weights[:, 0]).max() < 1e-9


@pytest.mark.parametrize("shape", [(60, 20), (20, 60)])
def test_the_span_gives_the_items_back(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    features = (random.normal(size=(shape[0], 7)) @ random.normal(size=(7, shape[1]))).astype(np.float32)
    weights = random.uniform(0.1, 2, shape[0])
    spanned = Span.of(features, weights)
    standardised = spanned.scaling.apply(features)
    assert np.abs(spanned.items @ spanned.directions - standardised).max() < 1e-5
    products = (standardised * weights[:, None]).T @ standardised
    found = spanned.directions @ products @ spanned.directions.T
    assert np.abs(found - np.diag(spanned.curvature)).max() < 1e-5 * spanned.curvature.max()
    assert np.abs(weights @ standardised).max() < 1e-4
