"""Classical models answer as scikit-learn's do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.builtin import blobs
from training.experiment.classical import ModelName, scores


def accuracy(model: ModelName, x: Any, y: Any, seed: int = 0) -> float:
    found = scores(model, x[:500], y[:500], x[500:], 3, seed)
    return float((found.argmax(axis=1) == y[500:]).mean())


@pytest.mark.parametrize(("problem", "expected"), [(1, 0.936), (2, 0.828)])
def test_logistic_regression_on_blobs(problem: int, expected: float) -> None:
    assert accuracy("logistic", *blobs(problem)) == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize("problem", [1, 2])
@pytest.mark.parametrize("model", ["lda", "qda"])
def test_gaussian_models_answer_as_scikit_learns(model: ModelName, problem: int) -> None:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis

    x, y = blobs(problem)
    other = {"lda": LinearDiscriminantAnalysis, "qda": QuadraticDiscriminantAnalysis}[model]()
    expected = other.fit(x[:500], y[:500]).predict(x[500:])
    found = scores(model, x[:500], y[:500], x[500:], 3, 0).argmax(axis=1)
    assert (found == expected).mean() >= 0.996


def test_ridge_answers_as_scikit_learns() -> None:
    from sklearn.linear_model import RidgeClassifier

    x, y = blobs(2)
    scaled = (x - x[:500].mean(axis=0)) / x[:500].std(axis=0)
    expected = RidgeClassifier(alpha=1.0).fit(scaled[:500], y[:500]).predict(scaled[500:])
    assert (scores("ridge", x[:500], y[:500], x[500:], 3, 0).argmax(axis=1) == expected).mean() >= 0.99


def test_the_majority_is_the_most_frequent_class() -> None:
    x = np.zeros((5, 2), dtype=np.float32)
    assert set(scores("majority", x, np.array([1, 1, 2, 0, 1]), x, 3, 0).argmax(axis=1)) == {1}


def test_few_items_in_many_dimensions_are_no_error() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(6, 40)).astype(np.float32), np.array([0, 0, 1, 1, 2, 2])
    for model in ("lda", "qda", "ridge", "logistic"):
        assert np.isfinite(scores(model, x, y, x, 3, 0)).all()
