"""What is to be learned, as it was read: one class an item, a set of labels an item, or numbers.

These are the data's own words. Turning them into arrays that losses and metrics understand is the objective's work,
which also knows the order of the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.learning import LearningTask


@dataclass(frozen=True, slots=True)
class Classes:
    """One class an item, for binary and multiclass tasks."""

    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def texts(self) -> tuple[str, ...]:
        """Each item's target as one text, for digests, groups of copies and messages."""
        return self.labels

    def take(self, items: Sequence[int]) -> Classes:
        """The targets of some items, in that order."""
        return Classes(tuple(self.labels[item] for item in items))


@dataclass(frozen=True, slots=True)
class LabelSets:
    """Any number of labels an item, each set sorted; for multilabel tasks."""

    sets: tuple[tuple[str, ...], ...]
    known: tuple[str, ...] = ()
    """Labels that the data names, in its order, where it does: 0/1 columns name labels that no item may have."""

    def __len__(self) -> int:
        return len(self.sets)

    def texts(self) -> tuple[str, ...]:
        """Each item's target as one text; labels hold no control characters."""
        return tuple("\x1f".join(labels) for labels in self.sets)

    def take(self, items: Sequence[int]) -> LabelSets:
        """The targets of some items, in that order."""
        return LabelSets(tuple(self.sets[item] for item in items), self.known)


@dataclass(frozen=True, slots=True)
class Values:
    """Finite numbers [n, M], for regression; ``names`` of the M columns."""

    values: NDArray[np.float64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def texts(self) -> tuple[str, ...]:
        """Each item's target as one text, exact."""
        return tuple("\x1f".join(map(repr, row)) for row in self.values.tolist())

    def take(self, items: Sequence[int]) -> Values:
        """The targets of some items, in that order."""
        return Values(self.values[np.asarray(items, dtype=np.int64)], self.names)


Targets = Classes | LabelSets | Values
KIND_OF_TARGETS: dict[LearningTask, type[Classes | LabelSets | Values]] = {
    LearningTask.BINARY: Classes,
    LearningTask.MULTICLASS: Classes,
    LearningTask.MULTILABEL: LabelSets,
    LearningTask.REGRESSION: Values,
}
"""What data for each task must hold."""
