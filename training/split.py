"""Dividing the items into those to learn from and a sealed test.

The division depends on the content of the items and the seed alone, not on their order in the file, and exact copies
always fall on the same side. The test is sealed: it gives its items out once a process, to the evaluation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.faults import Fault
from training.errors import BadData

Integers = NDArray[np.int64]


class SealBroken(Exception):
    """The sealed test was asked for a second time: then it no longer measures what was not chosen by it."""


class SealedTest:
    """The items held back for the test."""

    def __init__(self, items: Sequence[int]) -> None:
        self._items: Integers | None = np.asarray(items, dtype=np.int64)
        self.size = len(items)

    def open(self) -> Integers:
        """The items, once.

        Raises:
            SealBroken: they have been given out before.
        """
        if self._items is None:
            raise SealBroken("the test has been opened before")
        items, self._items = self._items, None
        return items


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the items on each side, each in an order that depends on content only."""

    train: Integers
    test: SealedTest


def divide(digests: Sequence[str], labels: Sequence[str], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Items for training and for the test: of each class the given share, at least one of each where there are two.

    Items with equal digests stay together; if they carry different labels, they go with the first label in order.

    Raises:
        BadData: so many items are copies of others that there is nothing to learn from or nothing to be judged on.
    """
    groups: dict[str, list[int]] = {}
    for item, digest in enumerate(digests):
        groups.setdefault(digest, []).append(item)
    by_class: dict[str, list[str]] = {}
    for digest, members in groups.items():
        by_class.setdefault(min(labels[item] for item in members), []).append(digest)
    train: list[int] = []
    test: list[int] = []
    for label in sorted(by_class):
        ordered = sorted(by_class[label], key=lambda digest: hashlib.sha256(f"{seed}/{digest}".encode()).digest())
        held = min(max(1, round(share * len(ordered))), len(ordered) - 1)
        for place, digest in enumerate(ordered):
            members = sorted(groups[digest], key=lambda item: labels[item])
            (test if place < held else train).extend(members)
    if not test:
        message = "too many items are exact copies of others: none is left for the test"
        raise BadData([Fault("too_few_distinct", message, "file")])
    if len({labels[item] for item in train}) < 2:
        message = "too many items are exact copies of others: without the test, one class at most is left to learn from"
        raise BadData([Fault("too_few_distinct", message, "file")])
    return train, test
