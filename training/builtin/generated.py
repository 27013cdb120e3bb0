"""Data that ships with scikit-learn or is made on the spot."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGITS_SCALE = 255 / 16
"""scikit-learn's digits are 0..16; images here are 0..255."""


def digits(first: int, last: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """scikit-learn's handwritten digits of some classes: images [n, 8, 8, 1] on 0..255, and which digit each is."""
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    chosen = (target >= first) & (target <= last)
    images = np.round(data[chosen] * DIGITS_SCALE).astype(np.uint8).reshape(-1, 8, 8, 1)
    return images, target[chosen].astype(np.int64)


def blobs(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Three clouds of points in the plane: [1000, 2], and which cloud each is of."""
    from sklearn.datasets import make_blobs

    points: NDArray[Any]
    points, target = make_blobs(n_samples=1000, centers=3, n_features=2, cluster_std=2, random_state=seed)
    return points.astype(np.float32), target.astype(np.int64)
