"""A head of class means, held against fitting it again without each item."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from service.domain.errors import InvalidInput
from service.domain.provisional import RIDGES, class_means, left_out_distances


def blobs(items: int, width: int, classes: int, apart: float, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Normal clouds, a class each, of features that scatter differently and far from zero."""
    rng = np.random.default_rng(seed)
    targets = np.arange(items) % classes
    centres = rng.standard_normal((classes, width)) * apart
    scale = np.linspace(0.2, 3.0, width)
    return (7 + centres[targets] + rng.standard_normal((items, width)) * scale).astype(np.float32), targets


def by_fitting_again(features: NDArray, targets: NDArray, classes: int, ridge: float) -> NDArray:
    """What the closed form promises, the long way: without each item in turn, means and scatter anew."""
    x = features.astype(np.float64)

    def means_of(rows: NDArray) -> NDArray:
        return np.stack([x[rows][targets[rows] == k].mean(axis=0) for k in range(classes)])

    def scatter(rows: NDArray) -> NDArray:
        residuals = x[rows] - means_of(rows)[targets[rows]]
        return residuals.T @ residuals

    everyone = np.arange(len(x))
    added = ridge * np.trace(scatter(everyone)) / x.shape[1] * np.eye(x.shape[1])
    found = np.empty((len(x), classes))
    for item in everyone:
        others = np.delete(everyone, item)
        gaps = x[item] - means_of(others)
        found[item] = np.einsum("kd,kd->k", gaps, np.linalg.solve(scatter(others) + added, gaps.T).T)
    return found


@pytest.mark.parametrize("ridge", RIDGES)
@pytest.mark.parametrize(("items", "width"), [(30, 6), (14, 40)])
def test_leaving_an_item_out_needs_no_second_fit(items: int, width: int, ridge: float) -> None:
    features, targets = blobs(items, width, 3, 1.0)
    expected = by_fitting_again(features, targets, 3, ridge)
    np.testing.assert_allclose(left_out_distances(features, targets, 3, ridge), expected, rtol=1e-6)


@pytest.mark.parametrize(("items", "width"), [(60, 8), (40, 300)])
def test_the_linear_head_says_what_the_distances_say(items: int, width: int) -> None:
    features, targets = blobs(items, width, 4, 2.0)
    head = class_means(features, targets, 4)
    x = features.astype(np.float64)
    means = np.stack([x[targets == k].mean(axis=0) for k in range(4)])
    residuals = x - means[targets]
    added = head.ridge * np.square(residuals).sum() / width
    inverse = np.linalg.inv(residuals.T @ residuals + added * np.eye(width))
    gaps = x[:, np.newaxis] - means
    distances = np.einsum("nkd,de,nke->nk", gaps, inverse, gaps)
    logits = x @ head.weights.T.astype(np.float64) + head.bias
    differences = logits - logits[:, :1]
    expected = -0.5 * (distances - distances[:, :1])
    sharpness = (differences * expected).sum() / np.square(expected).sum()
    assert sharpness > 0
    np.testing.assert_allclose(differences, sharpness * expected, rtol=1e-3, atol=1e-3 * np.abs(differences).max())


def test_it_is_as_sharp_as_leaving_out_allows() -> None:
    """No other factor on the left-out scores has less loss."""
    features, targets = blobs(90, 12, 3, 0.7)
    head = class_means(features, targets, 3)
    scores = -0.5 * left_out_distances(features, targets, 3, head.ridge)
    soft = np.full((90, 3), 1 / (91 * 3))
    soft[np.arange(90), targets] += 90 / 91

    def loss(factor: float) -> float:
        logits = factor * scores
        logits -= logits.max(axis=1, keepdims=True)
        return float(-(soft * (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))).sum(axis=1).mean())

    around = np.geomspace(1e-4, 1e4, 4001)
    assert head.loss == pytest.approx(min(map(loss, around)), rel=1e-4)


def test_what_it_says_of_itself_holds_for_items_it_has_not_seen() -> None:
    features, targets = blobs(1100, 30, 5, 0.8)
    head = class_means(features[:100], targets[:100], 5)
    logits = features[100:] @ head.weights.T + head.bias
    right = (logits.argmax(axis=1) == targets[100:]).mean()
    assert abs(right - head.accuracy) < 0.1
    assert right > 0.8


def test_classes_far_apart_make_nobody_certain_of_everything() -> None:
    features, targets = blobs(20, 50, 2, 50.0)
    head = class_means(features, targets, 2)
    assert head.accuracy == 1.0
    logits = features @ head.weights.T + head.bias
    sure = 1 / (1 + np.exp(-np.abs(logits[:, 0] - logits[:, 1])))
    assert sure.max() < 0.9999


def test_noise_is_told_as_noise() -> None:
    features, targets = blobs(200, 20, 2, 0.0)
    head = class_means(features, targets, 2)
    assert head.accuracy < 0.65
    assert head.loss == pytest.approx(np.log(2), abs=0.03)


def test_items_that_are_all_alike_in_a_class_are_no_division_by_nothing() -> None:
    features = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    targets = np.repeat(np.arange(3), 4)
    head = class_means(features, targets, 3)
    assert head.accuracy == 1.0
    assert np.isfinite(head.weights).all()
    nothing = class_means(np.zeros((4, 2), np.float32), np.array([0, 0, 1, 1]), 2)
    assert not nothing.weights.any()


@pytest.mark.parametrize(
    ("features", "targets", "classes"),
    [
        (np.eye(3), [0, 0, 1], 2),
        (np.eye(4), [0, 0, 1, 1], 3),
        (np.eye(4), [0, 0, 0, 0], 1),
        (np.full((4, 2), np.nan), [0, 0, 1, 1], 2),
    ],
)
def test_too_little_and_what_is_no_number_is_refused(features: NDArray, targets: list[int], classes: int) -> None:
    with pytest.raises(InvalidInput):
        class_means(features.astype(np.float32), np.array(targets), classes)
