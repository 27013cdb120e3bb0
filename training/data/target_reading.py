"""Reading what is to be learned, item by item, in the words of the file: one class, a set of labels, or numbers.

What does not suit the task is told with its place and with the task that it would suit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from service.domain.learning import LearningTask
from training.data.findings import Findings
from training.data.labels import label_problem
from training.data.reading import LABEL_COLUMN, Reading
from training.data.targets import Classes, LabelSets, Targets, Values

One = str | tuple[str, ...] | tuple[float, ...]
"""One item's target: a class, its labels, or its numbers."""
SEPARATOR = "|"
"""Between the labels of an item that stand in one cell."""
YES, NO = frozenset({"1", "1.0", "true"}), frozenset({"0", "0.0", "false"})


class TargetReader:
    """Reads and gathers the targets of a file."""

    def __init__(self, reading: Reading, findings: Findings) -> None:
        self.task = reading.task
        self.names = reading.label or (LABEL_COLUMN,)
        self._reading = reading
        self._findings = findings
        self._gathered: list[One] = []
        self._shared: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._gathered)

    def from_cells(self, cells: Sequence[str], place: str) -> One | None:
        """The target in the cells of the label columns; None when it is told to be faulty."""
        if self.task is LearningTask.REGRESSION:
            numbers = [self._number(cell, self._where(place, name)) for cell, name in self._named(cells)]
            found = tuple(number for number in numbers if number is not None)
            return found if len(found) == len(numbers) else None
        if self.task is LearningTask.MULTILABEL and len(cells) > 1:
            return self._from_flags(cells, place)
        where = self._where(place, self.names[0])
        if self.task is LearningTask.MULTILABEL:
            return self.from_labels([part.strip() for part in cells[0].split(SEPARATOR) if part.strip()], where)
        return self._class(cells[0].strip(), where)

    def from_labels(self, labels: Sequence[str], place: str) -> tuple[str, ...] | None:
        """An item's set of labels."""
        if not all([self._fit(label, place) for label in labels]):  # noqa: C419 - every label is looked at
            return None
        if len(set(labels)) != len(labels):
            self._findings.warn("repeated_label", "this item names a label twice", place)
        return tuple(sorted({self._shared.setdefault(label, label) for label in labels}))

    def from_class(self, label: str, place: str) -> str | None:
        """An item's one class."""
        return self._class(label.strip(), place)

    def wants(self, one: One) -> bool:
        """Whether the item is one of those that are used."""
        if isinstance(one, str):
            return self._reading.wants(one)
        return not self._reading.only or any(label in self._reading.only for label in one)

    def saw(self, one: One) -> None:
        """Count an item, good or bad, under what it is labelled."""
        self._findings.items += 1
        if isinstance(one, str):
            self._findings.saw(one)
            return
        for label in one:
            if isinstance(label, str) and self._reading.wants(label):
                self._findings.saw(label)

    def keep(self, one: One) -> None:
        """The target of the next item that is used."""
        if self.task is LearningTask.MULTILABEL and self._reading.only:
            one = tuple(label for label in one if isinstance(label, str) and self._reading.wants(label))
        self._gathered.append(one)

    def targets(self) -> Targets:
        """All that were kept."""
        if self.task is LearningTask.REGRESSION:
            return Values(np.array(self._gathered, dtype=np.float64).reshape(len(self), len(self.names)), self.names)
        if self.task is LearningTask.MULTILABEL:
            known = self.names if len(self.names) > 1 else self._reading.labels
            known = tuple(label for label in known if self._reading.wants(label))
            return LabelSets(tuple(one for one in self._gathered if isinstance(one, tuple)), known)  # type: ignore[misc]
        return Classes(tuple(one for one in self._gathered if isinstance(one, str)))

    def _named(self, cells: Sequence[str]) -> list[tuple[str, str]]:
        return list(zip(cells, self.names, strict=True))

    def _where(self, place: str, name: str) -> str:
        return f"{place}, column {name}"

    def _class(self, label: str, place: str) -> str | None:
        return self._shared.setdefault(label, label) if self._fit(label, place) else None

    def _fit(self, label: str, place: str) -> bool:
        problem = label_problem(label)
        if (
            problem is None
            and self._reading.labels
            and label not in self._reading.labels
            and self._reading.wants(label)
        ):
            problem = f"the label {label!r} is none of those that dataset.labels names"
            self._findings.item_fault("unknown_label", problem, place)
        elif problem is not None:
            self._findings.item_fault("bad_label" if label else "empty_label", problem, place)
        return problem is None

    def _number(self, cell: str, place: str) -> float | None:
        text = cell.strip()
        if not text:
            self._findings.item_fault("empty_label", "the number to be learned is missing", place)
            return None
        try:
            value = float(text.replace("_", "?"))
        except ValueError:
            message = f"{text[:40]!r} is not a number, and regression learns numbers: did you mean task multiclass?"
            self._findings.item_fault("label_not_a_number", message, place)
            return None
        if not math.isfinite(value):
            self._findings.item_fault("label_not_finite", f"{text[:40]} is not a finite number", place)
            return None
        return value

    def _from_flags(self, cells: Sequence[str], place: str) -> tuple[str, ...] | None:
        chosen, sound = [], True
        for cell, name in self._named(cells):
            flag = cell.strip().casefold()
            if flag in YES:
                chosen.append(name)
            elif flag not in NO:
                message = f"{cell.strip()[:40]!r} is neither 0 nor 1, which say whether the item has the label {name!r}"
                self._findings.item_fault("bad_flag", message, self._where(place, name))
                sound = False
        return tuple(sorted(chosen)) if sound else None


def names_fit(reading: Reading, findings: Findings) -> bool:
    """Whether there are as many label columns as the task takes; a fault says why not."""
    if reading.task in {LearningTask.BINARY, LearningTask.MULTICLASS} and len(reading.label) > 1:
        message = f"a {reading.task} task has one label column, and {len(reading.label)} are named: "
        findings.fault("too_many_labels", message + "did you mean task multilabel (0 or 1 each), or regression?")
        return False
    if len(set(reading.label)) != len(reading.label):
        findings.fault("too_many_labels", "a label column is named twice")
        return False
    if reading.only and reading.task is LearningTask.REGRESSION:
        findings.fault("filter_without_classes", "dataset.filter.labels chooses classes, and regression has none")
        return False
    return True
