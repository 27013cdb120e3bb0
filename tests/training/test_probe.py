"""The head's solver against scikit-learn, the choice of a configuration, folding, calibration."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from training.errors import Diverged
from training.probe.calibration import calibrate
from training.probe.logistic import fit, fit_many, log_losses, logits_of_many, span
from training.probe.scaling import Linear, Scaling
from training.probe.selection import C_GRID, Trial, choose, plan, select


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data, target = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(data))[:300]
    return data[order].astype(np.float32), target[order].astype(np.int64)


def centred(logits: np.ndarray) -> np.ndarray:
    """Logits without what softmax does not see."""
    return logits - logits.mean(axis=-1, keepdims=True)


@pytest.mark.parametrize("C", [1e-2, 1e-1, 1.0])
def test_one_fit_is_scikit_learns(digits: tuple[np.ndarray, np.ndarray], C: float) -> None:
    features, targets = digits
    ours = fit(features, targets, 10, C)
    standardised = ours.scaling.apply(features)
    theirs = LogisticRegression(C=C, tol=1e-10, max_iter=20_000).fit(standardised, targets)
    assert np.abs(centred(ours.logits(features)) - centred(theirs.decision_function(standardised))).max() < 1e-2
    assert np.abs(ours.weights - ours.weights.mean(axis=0) - (theirs.coef_ - theirs.coef_.mean(axis=0))).max() < 1e-2


def test_more_features_than_items_give_the_same_as_without_the_decomposition() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(40, 200)).astype(np.float32)
    targets = np.arange(40) % 3
    ours = fit(features, targets, 3, 0.1)
    standardised = ours.scaling.apply(features)
    theirs = LogisticRegression(C=0.1, tol=1e-10, max_iter=20_000).fit(standardised, targets)
    assert np.abs(centred(ours.logits(features)) - centred(theirs.decision_function(standardised))).max() < 1e-2


def test_many_fits_together_are_each_the_fit_alone(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = digits
    scaling = Scaling.of(features)
    standardised = scaling.apply(features)
    spanned = span(standardised)
    members = np.stack([np.arange(300) % 5 != fold for fold in range(5)])
    weights = fit_many(spanned, targets, 10, members, 0.1, 200)
    together = logits_of_many(spanned, weights)
    for fold in range(5):
        alone = LogisticRegression(C=0.1, tol=1e-10, max_iter=20_000).fit(
            standardised[members[fold]], targets[members[fold]]
        )
        assert np.abs(centred(together[fold]) - centred(alone.decision_function(standardised))).max() < 1e-2


def test_numbers_that_are_not_finite_are_refused() -> None:
    features = np.ones((6, 2), dtype=np.float32)
    features[0, 0] = np.inf
    with np.errstate(invalid="ignore"), pytest.raises(Diverged):
        fit(features, np.array([0, 1] * 3), 2, 1.0)


def test_folding_changes_nothing_but_the_temperature(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = digits
    linear = fit(features, targets, 10, 1.0)
    head = linear.folded(tuple(map(str, range(10))), 2.0)
    assert np.abs(head.logits(features) - linear.logits(features) / 2.0).max() < 1e-4


def test_a_constant_feature_has_no_say() -> None:
    features = np.array([[1e6, 0.0], [1e6, 1.0], [1e6, 0.1], [1e6, 0.9]], dtype=np.float32)
    linear = fit(features, np.array([0, 1, 0, 1]), 2, 1.0)
    assert np.abs(linear.weights[:, 0]).max() < 1e-9


def test_the_better_cut_is_chosen_and_everything_tried_is_counted(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = digits
    noise = np.random.default_rng(2).normal(size=features.shape).astype(np.float32)
    told: list[tuple[int, int]] = []
    chosen = select({"noise": noise, "pixels": features}, targets, 10, C_GRID, 0, lambda *step: told.append(step))
    assert chosen.cut == "pixels"
    assert len(chosen.trials) == 2 * len(C_GRID)
    assert chosen.logits.shape == (3, 300, 10)
    assert told[-1] == (10, 10)
    out_of_fold = (chosen.logits.argmax(axis=2) == targets).mean()
    assert 0.85 < out_of_fold < 1.0


def test_equal_within_one_error_the_stronger_penalty_of_the_best_cut_is_taken() -> None:
    trials = [
        Trial("a", 0.01, 0.80, 0.01, 1.0),
        Trial("a", 0.1, 0.895, 0.01, 0.5),
        Trial("a", 1.0, 0.90, 0.01, 0.4),
        Trial("a", 10.0, 0.899, 0.01, 0.3),
        Trial("b", 0.01, 0.899, 0.01, 0.2),
    ]
    assert choose(trials) == trials[1]


@pytest.mark.parametrize(("each", "folds", "repeats"), [(1, 0, 0), (2, 2, 3), (10, 5, 3), (49, 5, 3), (50, 5, 1)])
def test_folds_are_as_many_as_the_smallest_class_allows(each: int, folds: int, repeats: int) -> None:
    targets = np.repeat(np.arange(3), [each, each, 60])
    assigned = plan(targets, 0)
    assert assigned.shape == (repeats, len(targets))
    for repeat in assigned:
        counts = np.bincount(repeat[targets == 0], minlength=folds)
        assert len(counts) == folds
        assert counts.max() - counts.min() <= 1


def test_one_item_a_class_is_fitted_without_a_choice() -> None:
    features = {"a": np.eye(3, 4, dtype=np.float32)}
    chosen = select(features, np.arange(3), 3, C_GRID, 0, lambda done, total: None)
    assert (chosen.cut, chosen.C, chosen.trials, chosen.folds) == ("a", 1.0, (), 0)


def test_a_temperature_is_kept_where_it_helps() -> None:
    random = np.random.default_rng(3)
    targets = random.integers(3, size=400)
    honest = np.eye(3)[targets] * 2 + random.gumbel(size=(400, 3))
    sure_of_itself = calibrate(5 * honest[None], targets)
    assert sure_of_itself.temperature > 2
    assert sure_of_itself.log_loss_after is not None
    assert sure_of_itself.log_loss_before is not None
    assert sure_of_itself.log_loss_after < sure_of_itself.log_loss_before
    assert np.isclose(sure_of_itself.log_loss_before, log_losses(5 * honest, targets).mean())
    few = calibrate(5 * honest[None, :99], targets[:99])
    assert few.temperature == 1.0
    assert "fewer than 100" in few.reason


def test_saved_and_read_again_it_answers_the_same(digits: tuple[np.ndarray, np.ndarray]) -> None:
    features, targets = digits
    first, second = (fit(features, targets, 10, 1.0) for _ in range(2))
    assert first.weights.tobytes() == second.weights.tobytes()
    again = Linear(first.weights, first.bias, Scaling(first.scaling.mean, first.scaling.spread))
    assert again.logits(features).tobytes() == first.logits(features).tobytes()
