"""How strange an item is to a model: the distance of its features to the nearest ones of the training items.

Features are normalised to length 1 and compared with a bank of training items' (Sun et al., deep nearest neighbours).
The score stays outside the served graph: a head of 5 classes on 1,280 features is 25 KB, its bank 8 MB, and every
answer would pay for the product with it. The bank is stored beside the head instead, for reports and for whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.seeds import generator

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
MOST_ITEMS, MOST_NUMBERS = 5_000, 4_000_000
NEAREST = 10
ROWS = 512
"""Items whose distances are in memory at once."""
BINS = 20
MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class Reference:
    """What training features looked like, for telling strange items and drift."""

    bank: NDArray[np.float16]
    """[m, D], each of length 1."""
    nearest: int
    """Which neighbour's distance is the score."""
    threshold: float
    """The score above which an item is strange."""
    quantile: float
    """Of the training items' own scores that the threshold is."""

    def scores(self, features: Floats) -> Doubles:
        """The distance, 0..2, to the ``nearest``-th neighbour in the bank: [n, D] to [n]."""
        return _scores(_normalised(features), self.bank.astype(np.float32), self.nearest, 0)


def reference(features: Floats, quantile: float, seed: int) -> Reference:
    """From the training items' features [n, D], n >= 2.

    The threshold is a quantile of scores of items outside the bank; where the bank holds all of them, of its own items
    with themselves left out.
    """
    n, width = features.shape
    size = max(2, min(n, MOST_ITEMS, MOST_NUMBERS // width))
    order = generator(seed, "ood").permutation(n)
    inside = np.sort(order[:size])
    bank = _normalised(features[inside]).astype(np.float16)
    nearest = min(NEAREST, size - 1)
    outside = np.sort(order[size : size + MOST_ITEMS])
    if len(outside) > size // 4:
        own = _scores(_normalised(features[outside]), bank.astype(np.float32), nearest, 0)
    else:
        own = _scores(bank.astype(np.float32), bank.astype(np.float32), nearest, 1)
    return Reference(bank, nearest, float(np.quantile(own, quantile)), quantile)


def summary(found: Reference, scores: Doubles) -> dict[str, Any]:
    """For the report: ``threshold``, ``quantile``, ``items`` in the bank, and the ``share`` of scored items beyond."""
    return {
        "threshold": found.threshold,
        "quantile": found.quantile,
        "nearest": found.nearest,
        "items": len(found.bank),
        "share": float((scores > found.threshold).mean()) if len(scores) else 0.0,
    }


def write_reference(path: Path, found: Reference, features: Floats, answers: Doubles) -> None:
    """``reference.npz``: the bank; mean and spread of each training feature; histograms of answers.

    Args:
        answers: probabilities [n, K] or values [n, M] of unseen training items; may be empty.
    """
    confidence = answers.max(axis=1) if answers.size else np.zeros(0)
    span = (float(confidence.min()), float(confidence.max())) if len(confidence) else (0.0, 1.0)
    span = (0.0, 1.0) if span[0] >= 0 and span[1] <= 1 else span
    counts, edges = np.histogram(confidence, bins=BINS, range=span if span[0] < span[1] else None)
    np.savez(
        path,
        bank=found.bank,
        nearest=np.int64(found.nearest),
        threshold=np.float64(found.threshold),
        quantile=np.float64(found.quantile),
        feature_mean=features.mean(axis=0, dtype=np.float64),
        feature_spread=features.std(axis=0, dtype=np.float64),
        answer_mean=answers.mean(axis=0) if answers.size else np.zeros(answers.shape[1]),
        confidence_counts=counts,
        confidence_edges=edges,
    )


def read_reference(path: Path) -> Reference:
    """What ``write_reference`` wrote. Raises: OSError, KeyError, ValueError: it is not there or is something else."""
    with np.load(path, allow_pickle=False) as file:
        return Reference(file["bank"], int(file["nearest"]), float(file["threshold"]), float(file["quantile"]))


def _normalised(features: Floats) -> Floats:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    result: Floats = (features / np.maximum(lengths, 1e-12)).astype(np.float32)
    return result


def _scores(rows: Floats, bank: Floats, nearest: int, skip: int) -> Doubles:
    """Distances to the neighbour after ``skip`` others, which are the items themselves."""
    place = min(nearest - 1 + skip, len(bank) - 1)
    found = []
    for first in range(0, len(rows), ROWS):
        likeness = rows[first : first + ROWS] @ bank.T
        squares = 2.0 - 2.0 * np.partition(likeness, len(bank) - 1 - place, axis=1)[:, len(bank) - 1 - place]
        found.append(np.sqrt(np.maximum(squares.astype(np.float64), 0.0)))
    return np.concatenate(found) if found else np.zeros(0)
