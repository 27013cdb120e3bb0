"""Dividing the items into those to learn from and a sealed test, and a part of the former that fine-tuning watches.

The division depends on the content of the items and the seed alone, not on their order in the file. Exact copies always
fall on the same side, and so do items of one group and, where sides are drawn, items that are nearly the same. The test
is sealed: it gives its items out once a process, to the evaluation.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.domain.faults import Fault
from training.data.contents import Contents, in_label_order
from training.data.near import Pair, near_items
from training.data.targets import Classes, LabelSets, Targets
from training.errors import BadData, BadRecipe

Integers = NDArray[np.int64]
Method = Literal["stratified", "group", "time", "predefined"]
BANDS = 10
"""Of a number to be learned: each has its share in the test."""
LEAST_IN_BAND = 5
NO_KIND = -1
"""The kind of items that have no label at all."""


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
    val: Integers | None = None
    """The training items that fine-tuning watches; none of their copies or groups is among the other training items."""


@dataclass(frozen=True, slots=True)
class Divisible:
    """What a division goes by, an entry an item."""

    digests: Sequence[str]
    strata: Integers
    """Of which kind an item is; each kind has its share on both sides."""
    groups: Sequence[str] | None = None
    times: NDArray[np.float64] | None = None
    sides: Sequence[str] | None = None
    near: Sequence[Pair] = ()
    """Items that are nearly the same."""

    @classmethod
    def of(cls, contents: Contents) -> Divisible:
        """As the data says."""
        strata = strata_of(contents.targets)
        return cls(contents.digests, strata, contents.groups, contents.times, contents.sides, near_items(contents))

    def __len__(self) -> int:
        return len(self.digests)

    def take(self, items: Sequence[int]) -> Divisible:
        """Some of the items, in that order."""
        at = np.asarray(items, dtype=np.int64)
        places = {item: place for place, item in enumerate(items)}
        return Divisible(
            [self.digests[item] for item in items],
            self.strata[at],
            None if self.groups is None else [self.groups[item] for item in items],
            None if self.times is None else self.times[at],
            None if self.sides is None else [self.sides[item] for item in items],
            [(places[one], places[other]) for one, other in self.near if one in places and other in places],
        )


def strata_of(targets: Targets) -> Integers:
    """The kind of each item [n]: its class, the rarest of its labels, or the band of its (first) value."""
    if isinstance(targets, Classes):
        places = {label: place for place, label in enumerate(in_label_order(targets.labels))}
        return np.array([places[label] for label in targets.labels], dtype=np.int64)
    if isinstance(targets, LabelSets):
        counts: dict[str, int] = defaultdict(int)
        for label in (label for labels in targets.sets for label in labels):
            counts[label] += 1
        rarest = sorted(counts, key=lambda label: (counts[label], label))
        places = {label: place for place, label in enumerate(rarest)}
        return np.array([min(map(places.__getitem__, labels), default=NO_KIND) for labels in targets.sets], np.int64)
    first = targets.values[:, 0]
    bands = max(1, min(BANDS, len(first) // LEAST_IN_BAND))
    edges = np.quantile(first, np.arange(1, bands) / bands)
    return np.searchsorted(edges, first, side="right").astype(np.int64)


def divide(digests: Sequence[str], labels: Sequence[str], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Items for training and for the test: of each class the given share, at least one of each where there are two.

    Items with equal digests stay together; if they carry different labels, they go with the first label in order.

    Raises:
        BadData: so many items are copies of others that there is nothing to learn from or nothing to be judged on.
    """
    places = {label: place for place, label in enumerate(sorted(set(labels)))}
    strata = np.array([places[label] for label in labels], dtype=np.int64)
    train, test = partition(Divisible(digests, strata), "stratified", share, seed)
    if len({labels[item] for item in train}) < 2:
        message = "too many items are exact copies of others: without the test, one class at most is left to learn from"
        raise BadData([Fault("too_few_distinct", message, "file")])
    return train, test


def partition(items: Divisible, method: Method, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Items for training and for the test, by one of the recipe's methods.

    Whatever the method, exact copies stay together, and items of a group where there are groups. ``time`` tests on the
    latest items; ``predefined`` does what the data says; with the others near copies stay together, too.

    Raises:
        BadData: there is nothing left to learn from, or nothing to be judged on.
        BadRecipe: the data does not say what the method goes by.
    """
    goes_by = {"group": items.groups, "time": items.times, "predefined": items.sides}
    if method in goes_by and goes_by[method] is None:
        column = "side" if method == "predefined" else method
        raise BadRecipe(
            f"split.method {method!r} needs data with a column for {column}, and dataset.{column} names none"
        )
    bundles = _bundles(items, () if method in ("time", "predefined") else items.near)
    if method == "predefined" and items.sides is not None:
        sides = items.sides
        held = [bundle for bundle in bundles if any(sides[item] == "test" for item in bundle)]
        # What has copies on both sides is tested on and not learned from, rather than the other way.
        test = [item for bundle in held for item in bundle if sides[item] == "test"]
        learned = [bundle for bundle in bundles if all(sides[item] == "train" for item in bundle)]
    elif method == "time" and items.times is not None:
        held, learned = _latest(bundles, items.times, share)
        test = _flat(held)
    else:
        held, learned = _drawn(bundles, items, share, seed)
        test = _flat(held)
    train = _flat(learned)
    if not test or not train:
        why = "groups" if items.groups is not None else "exact copies of others"
        left = "none is left for the test" if not test else "none is left to learn from"
        message = f"too many items are {'in the same few ' if items.groups is not None else ''}{why}: {left}"
        raise BadData([Fault("too_few_distinct", message, "file")])
    if len(np.unique(items.strata)) > 1 and len(np.unique(items.strata[train])) < 2:
        message = "too many items are exact copies of others: without the test, one class at most is left to learn from"
        raise BadData([Fault("too_few_distinct", message, "file")])
    return train, test


def hold_out(
    items: Divisible, train: Sequence[int], method: Method, share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Of the training items, those to learn from and those to watch, by the same rules as the test was sealed.

    Args:
        share: of all items, as the recipe says it.

    Raises:
        BadData: too few are left on either side.
    """
    of_train = min(0.5, share * len(items) / len(train))
    # A given split names no third side: the part that is watched is then drawn.
    drawn: Method = "stratified" if method == "predefined" else method
    fitting, watched = partition(items.take(train), drawn, of_train, seed)
    return [train[place] for place in fitting], [train[place] for place in watched]


def _bundles(items: Divisible, near: Iterable[Pair]) -> list[list[int]]:
    """Items that must stay together: copies, near ones, those of one group, and so on from any to the others.

    In an order, and each in an order, that depends on content only.
    """
    parent = list(range(len(items)))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for keys in (items.digests, items.groups or ()):
        first: dict[str, int] = {}
        for item, key in enumerate(keys):
            parent[root(item)] = root(first.setdefault(key, item))
    for one, other in near:
        parent[root(other)] = root(one)
    members: dict[int, list[int]] = defaultdict(list)
    for item in range(len(items)):
        members[root(item)].append(item)
    bundles = [
        sorted(bundle, key=lambda item: (items.strata[item], items.digests[item])) for bundle in members.values()
    ]
    return sorted(bundles, key=lambda bundle: _name(bundle, items))


def _name(bundle: Sequence[int], items: Divisible) -> str:
    return min(items.digests[item] for item in bundle)


def _drawn(
    bundles: Sequence[list[int]], items: Divisible, share: float, seed: int
) -> tuple[list[list[int]], list[list[int]]]:
    """Of each kind about the share of the items, at least one bundle where there are two."""
    of_kind: dict[int, list[list[int]]] = defaultdict(list)
    for bundle in bundles:
        kinds, counts = np.unique(items.strata[bundle], return_counts=True)
        # Copies go with their first kind, as they are one item; a group goes with the kind it has most of.
        kind = kinds[0] if len({items.digests[item] for item in bundle}) == 1 else kinds[counts.argmax()]
        of_kind[int(kind)].append(bundle)
    held: list[list[int]] = []
    learned: list[list[int]] = []
    for kind in sorted(of_kind):
        ordered = sorted(of_kind[kind], key=lambda bundle: _lot(seed, _name(bundle, items)))
        count = _nearest(ordered, items, share)
        held += ordered[:count]
        learned += ordered[count:]
    return held, learned


def _nearest(ordered: Sequence[Sequence[int]], items: Divisible, share: float) -> int:
    """How many bundles from the front come closest to the share of different items, leaving one on each side."""
    sizes = np.array([len({items.digests[item] for item in bundle}) for bundle in ordered])
    if (sizes == 1).all():
        return min(max(1, round(share * len(ordered))), len(ordered) - 1)
    apart = np.abs(np.cumsum(sizes) - share * sizes.sum())
    return min(int(apart.argmin()) + 1, len(ordered) - 1)


def _lot(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def _latest(
    bundles: Sequence[list[int]], times: NDArray[np.float64], share: float
) -> tuple[list[list[int]], list[list[int]]]:
    """The latest bundles, by their earliest item, so that nothing tested was known before training ended."""
    ordered = sorted(bundles, key=lambda bundle: float(times[bundle].min()))
    wanted, held = share * len(times), 0
    count = 0
    while count < len(ordered) - 1 and held + len(ordered[-1 - count]) / 2 <= wanted:
        held += len(ordered[-1 - count])
        count += 1
    # Items of one moment stay together: which of them would be tested is otherwise chance.
    edge = float(times[ordered[-count]].min()) if count else None
    learned = [bundle for bundle in ordered if edge is None or float(times[bundle].min()) < edge]
    tested = ordered[len(learned) :]
    return tested, learned


def _flat(bundles: Iterable[Iterable[int]]) -> list[int]:
    return [item for bundle in bundles for item in bundle]
