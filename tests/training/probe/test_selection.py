"""Folds, the choice among cuts and penalties, and logits that nobody has seen."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import Ridge

from service.domain.learning import LearningTask
from training.data.targets import Classes, LabelSets, Targets, Values
from training.objectives import Objective, objective_for
from training.probe.selection import C_GRID, RIDGE_GRID, Trial, choose, folds_for, grid_of, plan, select
from training.recipe import HeadChoice


def objective(task: LearningTask, targets: Targets) -> Objective:
    return objective_for(task, targets, labels=None, choice=HeadChoice(task=str(task)))  # type: ignore[arg-type]


DIGITS = objective(LearningTask.MULTICLASS, Classes(tuple("0123456789")))


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data, target = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(data))[:200]
    return data[order].astype(np.float32), target[order].astype(np.int64)


def test_the_better_cut_is_chosen_and_everything_tried_is_counted(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = digits
    noise = np.random.default_rng(2).normal(size=features.shape).astype(np.float32)
    told: list[tuple[int, int]] = []
    cuts = {"noise": noise, "pixels": features}
    chosen = select(DIGITS, cuts, targets, C_GRID, 0, lambda *step: told.append(step))
    assert chosen.cut == "pixels"
    assert len(chosen.trials) == 2 * len(C_GRID)
    assert chosen.logits.shape == (3, 200, 10)
    assert told[-1] == (10, 10)
    out_of_fold = (chosen.logits.argmax(axis=2) == targets).mean()
    assert 0.80 < out_of_fold < 1.0


def test_of_trials_that_are_level_the_one_of_least_loss_is_taken() -> None:
    trials = [
        Trial("a", 0.01, 0.80, 0.01, 0.1),
        Trial("a", 0.1, 0.895, 0.01, 0.5),
        Trial("a", 1.0, 0.90, 0.01, 0.4),
        Trial("a", 10.0, 0.899, 0.01, 0.3),
        Trial("b", 0.01, 0.891, 0.01, 0.2),
    ]
    assert choose(trials) == trials[4]
    assert choose(trials[:4]) == trials[3]


@pytest.mark.parametrize(("each", "folds", "repeats"), [(1, 0, 0), (2, 2, 3), (10, 5, 3), (49, 5, 3), (50, 5, 1)])
def test_folds_are_as_many_as_the_smallest_class_allows(each: int, folds: int, repeats: int) -> None:
    targets = np.repeat(np.arange(3), [each, each, 60])
    assigned = plan(targets, 0)
    assert assigned.shape == (repeats, len(targets))
    for repeat in assigned:
        counts = np.bincount(repeat[targets == 0], minlength=folds)
        assert len(counts) == folds
        assert counts.max() - counts.min() <= 1


def test_a_rare_label_does_not_take_the_folds_away() -> None:
    marks = np.zeros((40, 3), np.float32)
    marks[:20, 0], marks[20:39, 1], marks[39, 2] = 1, 1, 1
    named = objective(LearningTask.MULTILABEL, LabelSets((), ("a", "b", "c")))
    assert folds_for(named, marks, 0).shape == (3, 40)


def test_one_item_a_class_is_fitted_without_a_choice() -> None:
    features = {"a": np.eye(3, 4, dtype=np.float32)}
    named = objective(LearningTask.MULTICLASS, Classes(("x", "y", "z")))
    chosen = select(named, features, np.arange(3), C_GRID, 0, lambda done, total: None)
    assert (chosen.cut, chosen.C, chosen.trials, chosen.logits.shape) == ("a", 1.0, (), (0, 3, 3))


def test_labels_are_told_apart_and_scored_by_average_precision(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = digits
    marks = np.stack([targets % 2 == 0, targets > 6], axis=1).astype(np.float32)
    named = objective(LearningTask.MULTILABEL, LabelSets((), ("even", "large")))
    noise = np.random.default_rng(2).normal(size=features.shape).astype(np.float32)
    chosen = select(named, {"noise": noise, "pixels": features}, marks, (0.01, 0.1), 0, lambda done, total: None)
    assert chosen.cut == "pixels"
    best = max(trial.score for trial in chosen.trials)
    assert best == pytest.approx(np.mean([named.score(each, marks).mean() for each in chosen.logits]), abs=0.03)
    assert best > 0.85


def test_values_left_out_are_answered_as_if_fitted_without_them() -> None:
    data, target = load_diabetes(return_X_y=True)
    features = data.astype(np.float32)
    values = Values(target[:, None], ("progress",))
    named = objective(LearningTask.REGRESSION, values)
    encoded = named.targets(values)
    assert grid_of(named) == RIDGE_GRID
    chosen = select(named, {"x": features}, encoded, (0.01,), 0, lambda done, total: None)
    # The features are standardised by all items, as in the fit that is published.
    standardised = (data - features.mean(axis=0, dtype=float)) / features.std(axis=0, dtype=float)
    for repeat, folds in enumerate(folds_for(named, encoded, 0)):
        for fold in range(5):
            seen = folds != fold
            ridge = Ridge(alpha=100.0).fit(standardised[seen], encoded[seen, 0])
            left = chosen.logits[repeat, ~seen, 0]
            assert left == pytest.approx(ridge.predict(standardised[~seen]), abs=1e-4)


def test_many_items_are_searched_on_some_and_answered_all() -> None:
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, 4_500)
    features = (random.normal(size=(4_500, 3)) + targets[:, None]).astype(np.float32)
    named = objective(LearningTask.BINARY, Classes(("no", "yes")))
    chosen = select(named, {"x": features}, targets, (0.1,), 0, lambda done, total: None)
    assert chosen.logits.shape == (1, 4_500, 2)
    assert (chosen.logits[0].argmax(axis=1) == targets).mean() > 0.75
