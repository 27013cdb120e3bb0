"""Items in coordinates of the space they span, where every linear solver of the probe works.

The best penalised weights lie in that space, so nothing is lost but size; and there the curvature is diagonal. It is
found by the eigenvectors of the smaller of the two matrices of products, summed up in blocks: much cheaper than a
singular value decomposition of the items, and bounded in memory. Where both sides are large, only the directions of
largest variance are kept, found by random projection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.probe.scaling import Doubles, Scaling
from training.seeds import generator

LARGEST_EXACT = 3_000
"""Of the smaller side: the work grows with its cube."""
MOST_DIRECTIONS, SPARE_DIRECTIONS = 1_024, 32
BLOCK = 4_000_000
"""Numbers that are standardised at once."""
LEAST_SINGULAR = 1e-7
"""Relative to the largest: below it the squares are rounding."""


@dataclass(frozen=True, slots=True)
class Span:
    """Standardised items [n, D] as [n, r], r <= min(n, D), and how to get back."""

    items: Doubles
    directions: Doubles
    """[r, D]: ``items @ directions`` gives the standardised items."""
    curvature: Doubles
    """[r]: the items' squares summed by their weights, in each direction."""
    item_weights: Doubles
    """[n]: by which the directions and the curvature were found."""
    scaling: Scaling

    @classmethod
    def of(cls, features: NDArray[np.float32], item_weights: Doubles | None = None) -> Span:
        """Of training features [n, D], standardised by their own weighted statistics.

        Raises:
            Diverged: a feature is not finite.
        """
        weights = np.ones(len(features)) if item_weights is None else item_weights.astype(np.float64)
        scaling = Scaling.of(features, weights)
        rows = _Rows(features, scaling, np.sqrt(weights))
        n, width = features.shape
        if min(n, width) > LARGEST_EXACT:
            directions = _largest_directions(rows)
        elif width <= n:
            directions = _by_columns(rows)
        else:
            directions = _by_rows(rows)
        items = rows.times(directions.T)
        curvature = np.einsum("ij,ij,i->j", items, items, weights)
        return cls(items, directions, curvature, weights, scaling)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Standardised items, made a block at a time; ``weighed`` ones times the roots of their weights."""

    features: NDArray[np.float32]
    scaling: Scaling
    roots: Doubles

    def blocks(self) -> list[slice]:
        n, width = self.features.shape
        step = max(1, BLOCK // width)
        return [slice(first, min(first + step, n)) for first in range(0, n, step)]

    def weighed(self, block: slice) -> Doubles:
        result: Doubles = self.scaling.apply(self.features[block]) * self.roots[block, None]
        return result

    def times(self, matrix: Doubles) -> Doubles:
        """Standardised items [n, D] times [D, r]."""
        return np.concatenate([self.scaling.apply(self.features[block]) @ matrix for block in self.blocks()])

    def weighed_times(self, matrix: Doubles) -> Doubles:
        """The same with the roots of the weights."""
        return np.concatenate([self.weighed(block) @ matrix for block in self.blocks()])

    def transposed_times(self, matrix: Doubles) -> Doubles:
        """Weighed items [n, D], transposed, times [n, r]."""
        total = np.zeros((self.features.shape[1], matrix.shape[1]))
        for block in self.blocks():
            total += self.weighed(block).T @ matrix[block]
        return total


def _kept(squares: Doubles, vectors: Doubles) -> tuple[Doubles, Doubles]:
    """Eigenvectors [side, r] whose eigenvalues are more than rounding, largest first; one at least."""
    order = np.argsort(-squares, kind="stable")
    squares, vectors = squares[order], vectors[:, order]
    kept = squares > max(float(squares[0]), 0.0) * LEAST_SINGULAR**2
    # Squares are exact to about 1e-16 of the largest only, times the side.
    kept &= squares > max(float(squares[0]), 0.0) * len(squares) * np.finfo(np.float64).eps
    kept[:1] = True
    return squares[kept], vectors[:, kept]


def _by_columns(rows: _Rows) -> Doubles:
    """Eigenvectors of the D x D products."""
    width = rows.features.shape[1]
    products = np.zeros((width, width))
    for block in rows.blocks():
        part = rows.weighed(block)
        products += part.T @ part
    _, vectors = _kept(*np.linalg.eigh(products))
    return np.ascontiguousarray(vectors.T)


def _by_rows(rows: _Rows) -> Doubles:
    """From eigenvectors of the n x n products to directions in D."""
    n = len(rows.features)
    products = np.empty((n, n))
    for block in rows.blocks():
        part = rows.weighed(block)
        for other in rows.blocks():
            if other.start <= block.start:
                products[block, other] = part @ rows.weighed(other).T
                products[other, block] = products[block, other].T
    _, vectors = _kept(*np.linalg.eigh(products))
    directions: Doubles = rows.transposed_times(vectors).T
    return directions / np.linalg.norm(directions, axis=1, keepdims=True).clip(1e-300)


def _largest_directions(rows: _Rows) -> Doubles:
    """The directions of largest variance, by a random projection sharpened once; deterministic."""
    start = generator(0, "span").standard_normal((rows.features.shape[1], MOST_DIRECTIONS + SPARE_DIRECTIONS))
    for _ in range(2):
        found, _ = np.linalg.qr(rows.weighed_times(start))
        start = rows.transposed_times(found)
    _, _, directions = np.linalg.svd(start.T, full_matrices=False)
    return np.ascontiguousarray(directions[:MOST_DIRECTIONS])
