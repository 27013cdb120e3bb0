"""A head made at once of a few labelled items: each class is the mean of its features, nearness is judged by how items
scatter about their means, and a linear head says the same.

With m_k the class means and W the scatter about them, A = W + ridge * I, and the squared distance of an item x to a
class is (x - m_k)' A^-1 (x - m_k); what differs of it between classes is linear in x. How much of the identity is in A,
and how sharply distances become probabilities, is decided by leaving each item out in turn. That needs no second fit:
an item's own mean without it is m + (m - x) / (n - 1), and the scatter loses n / (n - 1) (x - m)(x - m)', whose inverse
is known (Sherman and Morrison). The ridge stays as it is when an item is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import InvalidInput

Numbers = NDArray[np.float64]
RIDGES = (0.01, 0.1, 1.0, 10.0, 1000.0)
"""In units of what the items scatter along a feature on average. By the last all features count alike."""
_FEWEST = 2
"""Items of a class: one of them can be left out."""
_BISECTIONS, _SHARPEST = 30, 1e3


@dataclass(frozen=True, slots=True)
class ClassMeans:
    """A head's weights [K, D] and bias [K], and what came of leaving each item out in turn."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    accuracy: float
    """Share of the items whose class was right."""
    loss: float
    """Mean negative log-likelihood, in nats, with targets as soft as so few items allow."""
    ridge: float
    """Of ``RIDGES``, the one with the least loss."""


def class_means(features: NDArray[np.float32], targets: NDArray[np.int64], classes: int) -> ClassMeans:
    """The head of n items: features [n, D] and the numbers of their classes [n]. Computes.

    Raises:
        InvalidInput: a class has fewer than two items, there are fewer than two, or a feature is not finite.
    """
    counts = np.bincount(targets, minlength=classes)
    if classes < _FEWEST or len(counts) != classes or counts.min() < _FEWEST:
        raise InvalidInput("a head of class means takes two classes at least, and two items of each")
    if not np.isfinite(features).all():
        raise InvalidInput("the base's features of some items are not finite")
    items = _Items(features.astype(np.float64), targets, counts)
    found = [_calibrated(items, ridge) for ridge in RIDGES]
    return min(found, key=lambda one: one.loss)


def left_out_distances(
    features: NDArray[np.float32], targets: NDArray[np.int64], classes: int, ridge: float
) -> Numbers:
    """Squared distances [n, K] of each item to all classes as they are without it, for a ``ridge`` in their units."""
    items = _Items(features.astype(np.float64), targets, np.bincount(targets, minlength=classes))
    return items.distances(items.absolute(ridge))


class _Items:
    """What does not depend on the ridge: products of items and means, and the directions in which items scatter."""

    def __init__(self, features: Numbers, targets: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        self.targets, self._counts = targets, counts
        means = np.zeros((len(counts), features.shape[1]))
        np.add.at(means, targets, features)
        means /= counts[:, np.newaxis]
        self.middle = means.mean(axis=0)
        # About their middle, so that nothing large is subtracted from something large.
        self._means, self._features = means - self.middle, features - self.middle
        residuals = self._features - self._means[targets]
        self._scatter = float(np.square(residuals).sum())
        self._spread, directions = _principal(residuals)
        self._turned_items, self._turned_means = self._features @ directions, self._means @ directions
        self._directions = directions

    def absolute(self, ridge: float) -> float:
        """What is added to the scatter along every feature."""
        width = self._features.shape[1]
        return ridge * (self._scatter / width or float(np.square(self._features).sum()) / width or 1.0)

    def weights(self, added: float) -> Numbers:
        """The means times A^-1: [K, D]."""
        turned = self._turned_means * self._less(added)
        found: Numbers = self._means / added - turned @ self._directions.T
        return found

    def offsets(self, added: float) -> Numbers:
        """The squared lengths of the means, in A^-1: [K]."""
        found: Numbers = np.einsum("kd,kd->k", self.weights(added), self._means)
        return found

    def distances(self, added: float) -> Numbers:
        """Squared distances [n, K], each item left out of what it is compared with."""
        less, rows, own = self._less(added), np.arange(len(self.targets)), self.targets
        items, means = self._turned_items, self._turned_means
        crossed = self._features @ self._means.T / added - (items * less) @ means.T
        between = self._means @ self._means.T / added - (means * less) @ means.T
        lengths = np.square(self._features).sum(axis=1) / added - (np.square(items) * less).sum(axis=1)
        to_all = lengths[:, np.newaxis] - 2 * crossed + np.diag(between)
        along_own = lengths[:, np.newaxis] - crossed - crossed[rows, own][:, np.newaxis] + between[own]
        size = self._counts[own].astype(np.float64)
        gone = size / (size - 1)
        left = 1 - gone * to_all[rows, own]
        found: Numbers = to_all + (gone / left)[:, np.newaxis] * np.square(along_own)
        found[rows, own] = np.square(gone) * to_all[rows, own] / left
        return found

    def _less(self, added: float) -> Numbers:
        """What the directions take from the identity's part of A^-1."""
        return self._spread / (added * (self._spread + added))


def _principal(residuals: Numbers) -> tuple[Numbers, Numbers]:
    """The squared singular values [r] of residuals [n, D] that are not nothing, and their directions [D, r]: by the
    smaller of the two products.
    """
    items, width = residuals.shape
    if width <= items:
        spread, directions = np.linalg.eigh(residuals.T @ residuals)
        kept = spread > _least(spread)
        return spread[kept], directions[:, kept]
    spread, among = np.linalg.eigh(residuals @ residuals.T)
    kept = spread > _least(spread)
    return spread[kept], residuals.T @ among[:, kept] / np.sqrt(spread[kept])


def _least(spread: Numbers) -> float:
    return max(0.0, float(spread[-1])) * 1e-10


def _calibrated(items: _Items, ridge: float) -> ClassMeans:
    added = items.absolute(ridge)
    scores = -0.5 * items.distances(added)
    sharpness, loss = _sharpness(scores, items.targets)
    weights = sharpness * items.weights(added)
    bias = -0.5 * sharpness * items.offsets(added) - weights @ items.middle
    right = float((scores.argmax(axis=1) == items.targets).mean())
    return ClassMeans(weights.astype(np.float32), bias.astype(np.float32), right, loss, ridge)


def _sharpness(scores: Numbers, targets: NDArray[np.int64]) -> tuple[float, float]:
    """The factor on scores [n, K] with the least loss, and that loss. The loss is convex in it: its slope is bisected.

    Targets are as soft as if one item more had been seen whose class nobody knows: items that are all told apart do not
    make a head that is certain of everything.
    """
    items, classes = scores.shape
    unknown = 1 / (items + 1)
    scores = scores - scores.max(axis=1, keepdims=True)
    wanted = (1 - unknown) * scores[np.arange(items), targets] + unknown * scores.mean(axis=1)
    unit = 1 / (float(-scores.mean()) * classes / (classes - 1) or 1.0)
    low, high = np.log(unit / _SHARPEST), np.log(unit * _SHARPEST)
    for _ in range(_BISECTIONS):
        factor = np.exp((low + high) / 2)
        likely = np.exp(factor * scores)
        slope = float(((likely * scores).sum(axis=1) / likely.sum(axis=1) - wanted).sum())
        low, high = (low, (low + high) / 2) if slope > 0 else ((low + high) / 2, high)
    factor = float(np.exp((low + high) / 2))
    loss = float((np.log(np.exp(factor * scores).sum(axis=1)) - factor * wanted).mean())
    return factor, loss
