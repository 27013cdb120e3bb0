"""Rows whose neighbours resemble them: a series in time, which a random split lets leak from test to training."""

from __future__ import annotations

import numpy as np

from service.domain.artifact import InputKind
from training.data.contents import Contents
from training.data.findings import Findings
from training.data.targets import Classes
from training.seeds import generator

LEAST_ITEMS = 60
MOST_NUMBERS = 4_000_000
"""Of the first items: they are copied."""
RESEMBLANCE = 0.35
"""Mean distance of neighbours, in that of pairs drawn at random, below which the order means something."""


def warn(contents: Contents, findings: Findings) -> None:
    """Warn when neighbours of one class are much closer than others of that class."""
    if contents.kind is not InputKind.VECTOR or contents.numbers is None or contents.times is not None:
        return
    if contents.groups is not None or contents.sides is not None:
        return
    rows = contents.numbers.reshape(len(contents), -1)
    rows = rows[: max(LEAST_ITEMS, MOST_NUMBERS // rows.shape[1])].astype(np.float64)
    spread = rows.std(axis=0)
    rows = rows[:, spread > 0] / spread[spread > 0]
    several = isinstance(contents.targets, Classes)
    labels = np.unique(contents.labels[: len(rows)], return_inverse=True)[1] if several else None
    labels = np.zeros(len(rows), dtype=np.int64) if labels is None else labels
    near, far = [], []
    draw = generator(0, "order")
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        near.append(_distances(rows, members[:-1], members[1:]))
        shuffled = draw.permutation(members)
        far.append(_distances(rows, shuffled[:-1], shuffled[1:]))
    neighbours, others = np.concatenate(near), np.concatenate(far)
    if len(neighbours) >= LEAST_ITEMS and neighbours.mean() < RESEMBLANCE * others.mean():
        findings.warn(
            "order_leak",
            "neighbouring rows resemble each other, as in a series: a random split would test on neighbours of what was"
            " learned; use split.method time, or group",
        )


def _distances(rows: np.ndarray, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows[ones] - rows[others], axis=1)
