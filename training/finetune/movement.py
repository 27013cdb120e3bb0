"""Which weights a training has moved, held against those it was to move.

Flags say what ought to be frozen; only the weights say what was. A frozen weight must be the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[Any]]


class FrozenMoved(Exception):
    """A weight that was to stay as it is has changed: a fault of this program, not of the data."""


def snapshot(model: Any) -> dict[str, NDArray[Any]]:
    """All weights of a Keras model by path; states of random seeds are no weights."""
    found: dict[str, NDArray[Any]] = {}
    for place, weight in enumerate(model.weights):
        # Two layers of an ensemble may share a path.
        name = weight.path if weight.path not in found else f"{weight.path}#{place}"
        found[name] = weight.numpy()
    return found


def moved(before: Weights, after: Weights) -> frozenset[str]:
    """Paths of the weights that differ in any bit."""
    return frozenset(path for path, old in before.items() if old.tobytes() != after[path].tobytes())


def check_moved(before: Weights, after: Weights, expected: Iterable[str]) -> list[str]:
    """Those of the expected weights that did not move, which may happen where no gradient reaches them.

    Raises:
        FrozenMoved: others than the expected ones moved.
    """
    wanted, found = frozenset(expected), moved(before, after)
    if found - wanted:
        raise FrozenMoved(f"frozen weights have moved: {', '.join(sorted(found - wanted))}")
    return sorted(wanted - found)


def displacement(before: Weights, after: Weights) -> dict[str, float]:
    """How far each layer's weights went: root mean square of the change, as a share of their root mean square before.

    By layer, which is the path without its last part. A layer that was all zeros counts by the change alone.
    """
    layers: dict[str, list[str]] = {}
    for path in before:
        layers.setdefault(path.rsplit("/", 1)[0], []).append(path)
    found = {}
    for layer, paths in layers.items():
        old = np.concatenate([before[path].ravel() for path in paths]).astype(np.float64)
        new = np.concatenate([after[path].ravel() for path in paths]).astype(np.float64)
        size = float(np.sqrt(np.mean(old**2))) if old.size else 0.0
        change = float(np.sqrt(np.mean((new - old) ** 2))) if old.size else 0.0
        found[layer] = change / size if size else change
    return found
