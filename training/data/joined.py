"""Two datasets as one: new data, and the data by which old classes are remembered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from service.domain.faults import Fault
from training.data.contents import Contents
from training.data.sources import Images
from training.data.targets import Classes
from training.errors import BadData


@dataclass(frozen=True, slots=True)
class JoinedImages:
    """The image files of two datasets, the first one's ``count`` first."""

    first: Images
    second: Images
    count: int

    def read(self, items: Iterable[int]) -> Iterator[bytes]:
        """As ``Images`` says; runs of items from one of the two are read together."""
        run: list[int] = []
        of_second = False
        for item in items:
            if run and (item >= self.count) != of_second:
                yield from self._read(run, of_second)
                run = []
            of_second = item >= self.count
            run.append(item)
        yield from self._read(run, of_second)

    def _read(self, items: Sequence[int], of_second: bool) -> Iterator[bytes]:
        if of_second:
            return self.second.read([item - self.count for item in items])
        return self.first.read(items)


def join(new: Contents, old: Contents) -> Contents:
    """All items of both, the new ones first; groups, times and sides are kept only where both have them.

    Raises:
        BadData: they are not of one kind and shape, or not of one class an item.
    """
    shapes = (new.shape, old.shape)
    problem = None
    if not (isinstance(new.targets, Classes) and isinstance(old.targets, Classes)):
        problem = "only data with one class an item can be extended by old classes"
    elif new.kind is not old.kind or (new.tokens is None and shapes[0] != shapes[1]):
        problem = f"the replay data is {old.kind} of shape {shapes[1]}, the new data {new.kind} of shape {shapes[0]}"
    elif set(new.columns) != set(old.columns):
        problem = "the replay data has other columns than the new data"
    if problem is not None:
        raise BadData([Fault("replay_differs", problem, "replay data")])
    assert isinstance(new.targets, Classes)
    assert isinstance(old.targets, Classes)
    images: Images | None = None
    if new.images is not None and old.images is not None:
        images = JoinedImages(new.images, old.images, len(new))
    numbers = None
    if new.numbers is not None and old.numbers is not None:
        order = [old.columns.index(column) for column in new.columns]
        numbers = np.concatenate([new.numbers, old.numbers[:, order] if order else old.numbers])
    return replace(
        new,
        targets=Classes((*new.targets.labels, *old.targets.labels)),
        digests=(*new.digests, *old.digests),
        places=[f"{name}: {contents.place(at)}" for name, contents in _named(new, old) for at in range(len(contents))],
        numbers=numbers,
        tokens=_tokens(new, old),
        texts=(*new.texts, *old.texts),
        images=images,
        pictures=None,
        groups=_both(new.groups, old.groups),
        times=None if new.times is None or old.times is None else np.concatenate([new.times, old.times]),
        sides=_both(new.sides, old.sides),
        weights=_weights(new, old),
    )


def _named(new: Contents, old: Contents) -> list[tuple[str, Contents]]:
    return [("new", new), ("replay", old)]


def _both(new: tuple[str, ...] | None, old: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if new is None or old is None else (*new, *old)


def _tokens(new: Contents, old: Contents) -> Any:
    if new.tokens is None or old.tokens is None:
        return None
    width = max(new.tokens.shape[1], old.tokens.shape[1])
    parts = [np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in (new.tokens, old.tokens)]
    return np.concatenate(parts)


def _weights(new: Contents, old: Contents) -> Any:
    """An item without a weight of its own counts 1."""
    if new.weights is None and old.weights is None:
        return None
    ones = [np.ones(len(part), np.float32) if part.weights is None else part.weights for part in (new, old)]
    return np.concatenate(ones)
