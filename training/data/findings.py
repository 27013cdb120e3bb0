"""What a look at labelled data finds, gathered while reading: items, faults, warnings.

Reading never stops at the first fault; whoever reads reports here and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from service.domain.artifact import InputKind
from service.domain.dataset import MOST_FAULTS_SHOWN
from service.domain.faults import Fault


@dataclass(slots=True)
class Findings:
    """Grows while a file is read."""

    faults: list[Fault] = field(default_factory=list)
    """The first ``MOST_FAULTS_SHOWN``."""
    fault_count: int = 0
    warnings: list[Fault] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    """Items seen of each class, good or bad."""
    kind: InputKind | None = None
    shape: tuple[int, ...] | None = None
    columns: tuple[str, ...] = ()
    """What one item is, said as soon as it is known: a file with faults can also have the wrong width for a base."""

    def fault(self, code: str, message: str, place: str = "file") -> None:
        """Something that keeps the data from being used."""
        self.fault_count += 1
        if len(self.faults) < MOST_FAULTS_SHOWN:
            self.faults.append(Fault(code, message, place))

    def warn(self, code: str, message: str, place: str = "file") -> None:
        """Something worth knowing that does not stop anything."""
        self.warnings.append(Fault(code, message, place))

    def saw(self, label: str, items: int = 1) -> None:
        """An item of a class was found."""
        self.counts[label] = self.counts.get(label, 0) + items
