"""Temperature, thresholds and intervals: taken when they help, on enough items, and with the promised coverage."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from service.domain.learning import LearningTask
from training.data.targets import Classes, LabelSets, Values
from training.objectives import objective_for
from training.probe.calibration import best_thresholds, calibrate, half_widths
from training.recipe import HeadChoice

THREE = objective_for(LearningTask.MULTICLASS, Classes(("x", "y", "z")), labels=None, choice=HeadChoice())
MULTILABEL = objective_for(
    LearningTask.MULTILABEL, LabelSets((), ("a", "b")), labels=None, choice=HeadChoice(task="multilabel")
)


def calibrated(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the truth, and classes drawn by it."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, size=(n, 3))
    return logits, (logits + random.gumbel(size=(n, 3))).argmax(axis=1)


def test_one_that_is_too_sure_is_cooled_down() -> None:
    honest, targets = calibrated(600)
    found = calibrate(THREE, 5 * honest[None], targets)
    assert found.temperature == pytest.approx(5, rel=0.25)
    assert found.log_loss_after is not None
    assert found.log_loss_before is not None
    assert found.log_loss_after < found.log_loss_before
    assert (found.thresholds, found.half_widths) == ((), ())


def test_on_few_items_nothing_is_done_unless_it_is_asked_for() -> None:
    honest, targets = calibrated(99)
    few = calibrate(THREE, 5 * honest[None], targets)
    assert (few.temperature, few.items) == (1.0, 99)
    assert calibrate(THREE, 5 * honest[None], targets, method="temperature").temperature > 2
    assert calibrate(THREE, 5 * honest[None], targets, method="none").temperature == 1.0
    none = calibrate(THREE, np.zeros((0, 99, 3)), targets)
    assert (none.temperature, none.items) == (1.0, 0)


def test_labels_share_one_temperature() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, size=(500, 2))
    marks = (random.random((500, 2)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    assert calibrate(MULTILABEL, 4 * logits[None], marks).temperature == pytest.approx(4, rel=0.25)


def test_the_best_threshold_has_the_best_f1() -> None:
    random = np.random.default_rng(1)
    marks = (random.random((400, 2)) < [0.1, 0.6]).astype(np.float32)
    logits = 1.5 * marks + random.normal(size=marks.shape) - 2
    found = best_thresholds(MULTILABEL, logits[None], marks)
    for label in range(2):
        probabilities = 1 / (1 + np.exp(-logits[:, label]))
        precision, recall, _ = precision_recall_curve(marks[:, label], probabilities)
        best = (2 * precision * recall / np.maximum(precision + recall, 1e-9)).max()
        assert f1_score(marks[:, label], probabilities >= found[label]) == pytest.approx(best)


def test_a_binary_task_has_one_threshold_and_one_without_positives_the_middle() -> None:
    choice = HeadChoice(task="binary", threshold="auto")
    two = objective_for(LearningTask.BINARY, Classes(("no", "yes")), labels=None, choice=choice)
    targets = np.array([0] * 90 + [1] * 10)
    logits = np.stack([np.zeros(100), np.where(targets == 1, -1.0, -3.0)], axis=1)
    (threshold,) = calibrate(two, logits[None], targets, method="none", threshold="auto").thresholds
    assert 1 / (1 + np.exp(3)) < threshold < 1 / (1 + np.exp(1))
    assert calibrate(two, logits[None], targets, threshold=0.3).thresholds == (0.3,)
    assert calibrate(two, logits[None], 0 * targets, method="none", threshold="auto").thresholds == (0.5,)


def test_intervals_cover_as_often_as_they_promise() -> None:
    random, covered = np.random.default_rng(0), []
    values = Values(random.normal(20, 5, size=(400, 1)), ("v",))
    named = objective_for(LearningTask.REGRESSION, values, labels=None, choice=HeadChoice(task="regression"))
    for _ in range(60):
        truth = random.normal(size=(300, 1))
        answered = truth + random.standard_t(4, size=truth.shape) * 0.3
        (width,) = half_widths(named, answered[None, :100], truth[:100], 0.9)
        covered.append((np.abs(named.in_units(answered) - named.in_units(truth))[100:] <= width).mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.015)


def test_too_few_items_promise_no_interval() -> None:
    values = Values(np.arange(10.0)[:, None], ("v",))
    named = objective_for(LearningTask.REGRESSION, values, labels=None, choice=HeadChoice(task="regression"))
    encoded = named.targets(values)
    assert half_widths(named, encoded[None] + 1, encoded, 0.95) == ()
    assert len(half_widths(named, encoded[None] + 1, encoded, 0.9)) == 1
    found = calibrate(named, encoded[None] + 1, encoded, confidence=0.9)
    assert (found.temperature, found.thresholds) == (1.0, ())
    assert found.half_widths == pytest.approx(named.spread)  # type: ignore[attr-defined]
