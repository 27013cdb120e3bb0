"""How data is to be read: which format, which columns mean what, and what becomes of items that cannot be read."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from service.domain.dataset import DatasetFormat
from service.domain.learning import LearningTask

if TYPE_CHECKING:
    from training.recipe import DatasetChoice

LABEL_COLUMN = "label"


def label_columns(text: str | None) -> tuple[str, ...]:
    """The columns in a text: one, or several with commas between them; quoted where a name has a comma itself."""
    return tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True))) if text else ()


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that a reader is told beside the file. The defaults suit a file that explains itself."""

    format: DatasetFormat | None = None
    """None: seen from the content."""
    task: LearningTask = LearningTask.MULTICLASS
    label: tuple[str, ...] = ()
    """The columns, or keys, that hold what is to be learned; none: those of the usual names."""
    features: tuple[str, ...] = ()
    """The columns that are input; none: all that mean nothing else."""
    group: str | None = None
    time: str | None = None
    side: str | None = None
    weight: str | None = None
    labels: tuple[str, ...] = ()
    """The classes and their order; none: those that occur, sorted."""
    only: tuple[str, ...] = ()
    """Items of other classes are left out; none: all are used."""
    digest: str | None = None
    """sha256 that the file must have."""
    on_bad: Literal["fail", "quarantine"] = "fail"
    max_bad: float = 0.02
    """Share of the items that may be left out because they cannot be read."""
    part: bool = False
    """Whether it is more of something else: then it need not be enough to learn from by itself."""

    @classmethod
    def of(cls, choice: DatasetChoice, task: LearningTask | str = LearningTask.MULTICLASS) -> Reading:
        """As a recipe says it."""
        label = choice.label or ()
        return cls(
            format=DatasetFormat(choice.format) if choice.format else None,
            task=LearningTask(task),
            label=(label,) if isinstance(label, str) else tuple(label),
            features=tuple(choice.features or ()),
            group=choice.group,
            time=choice.time,
            side=choice.side,
            weight=choice.weight,
            labels=tuple(choice.labels or ()),
            only=tuple(choice.filter.labels) if choice.filter else (),
            # A known data set is read from a file made of the archive that has the digest.
            digest=None if choice.uri.startswith("builtin:") else choice.digest,
            on_bad=choice.on_bad,
            max_bad=choice.max_bad,
        )

    def wants(self, label: str) -> bool:
        """Whether items of this class are used."""
        return not self.only or label in self.only

    @property
    def quarantines(self) -> bool:
        """Whether items that cannot be read are left out, rather than failing the whole."""
        return self.on_bad == "quarantine"
