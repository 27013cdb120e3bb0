"""The items of a file on their way into ``Contents``: what every reader gathers in the same way.

A reader tells each item's target, what stands beside it (group, time, side, weight) and where it lies; the item's own
input it keeps itself.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from training.data.contents import Contents
from training.data.findings import Findings
from training.data.labels import label_problem
from training.data.reading import Reading
from training.data.target_reading import One, TargetReader

GROUP, TIME, SIDE, WEIGHT = "group", "time", "side", "weight"
SIDES = {"train": "train", "training": "train", "test": "test", "testing": "test"}


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside an item, as far as the reading asks for it."""

    group: str = ""
    time: float = 0.0
    side: str = ""
    weight: float = 1.0


@dataclass(slots=True)
class Gathering:
    """Grows while a file is read."""

    reading: Reading
    findings: Findings
    targets: TargetReader = field(init=False)
    digests: list[str] = field(default_factory=list)
    _groups: list[str] = field(default_factory=list)
    _times: array[float] = field(default_factory=lambda: array("d"))
    _sides: list[str] = field(default_factory=list)
    _weights: array[float] = field(default_factory=lambda: array("f"))

    def __post_init__(self) -> None:
        self.targets = TargetReader(self.reading, self.findings)
        self.findings.quarantines = self.reading.quarantines

    @property
    def roles(self) -> dict[str, str]:
        """The columns that stand beside the items, by what they say."""
        named = {GROUP: self.reading.group, TIME: self.reading.time, SIDE: self.reading.side}
        named[WEIGHT] = self.reading.weight
        return {role: name for role, name in named.items() if name}

    @property
    def useful(self) -> bool:
        """Whether it is still worth keeping items: nothing is kept of a file that cannot be used."""
        return not self.findings.fault_count

    def beside(self, given: Mapping[str, str], place: str) -> Beside | None:
        """What stands beside an item, from the texts of its roles; None when something of it is told to be faulty."""
        before = self.findings.item_faults
        found: dict[str, Any] = {}
        for role, text in given.items():
            where = f"{place}, column {self.roles[role]}"
            if not text.strip():
                self.findings.item_fault(f"empty_{role}", f"the {role} is missing", where)
            elif role == GROUP:
                found[role] = self._group(text.strip(), where)
            elif role == TIME:
                found[role] = self._time(text.strip(), where)
            elif role == SIDE:
                found[role] = self._side(text.strip(), where)
            else:
                found[role] = self._weight(text.strip(), where)
        return Beside(**found) if self.findings.item_faults == before else None

    def keep(self, one: One, digest: str | None, beside: Beside) -> None:
        """The next item that is used. ``digest`` None: all are made at the end, from the numbers."""
        self.targets.keep(one)
        if digest is not None:
            self.digests.append(digest)
        roles = self.roles
        if GROUP in roles:
            self._groups.append(beside.group)
        if TIME in roles:
            self._times.append(beside.time)
        if SIDE in roles:
            self._sides.append(beside.side)
        if WEIGHT in roles:
            self._weights.append(beside.weight)

    def lose(self) -> None:
        """An item cannot be used, and has been told to be faulty."""
        self.findings.lost += 1

    def contents(
        self, format: DatasetFormat, kind: InputKind, path: Path, places: Sequence[str] = (), **held: Any
    ) -> Contents:
        """All that was kept; ``held`` are the inputs."""
        roles = self.roles
        return Contents(
            format=format,
            kind=kind,
            path=path,
            targets=self.targets.targets(),
            digests=held.pop("digests", None) or tuple(self.digests),
            places=places,
            groups=tuple(self._groups) if GROUP in roles else None,
            times=np.array(self._times, dtype=np.float64) if TIME in roles else None,
            sides=tuple(self._sides) if SIDE in roles else None,
            weights=np.array(self._weights, dtype=np.float32) if WEIGHT in roles else None,
            **held,
        )

    def _group(self, text: str, place: str) -> str:
        problem = label_problem(text)
        if problem is not None:
            self.findings.item_fault("bad_group", problem.replace("the label", "the group's name"), place)
        return text

    def _time(self, text: str, place: str) -> float | None:
        try:
            value = float(text)
        except ValueError:
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                message = f"{text[:40]!r} is neither a number nor a date such as 2024-05-31 or 2024-05-31T12:00:00"
                self.findings.item_fault("bad_time", message, place)
                return None
            value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        if not math.isfinite(value):
            self.findings.item_fault("bad_time", f"{text[:40]} is not a finite number", place)
        return value

    def _side(self, text: str, place: str) -> str | None:
        side = SIDES.get(text.casefold())
        if side is None:
            self.findings.item_fault("bad_side", f"{text[:40]!r} is neither train nor test", place)
        return side

    def _weight(self, text: str, place: str) -> float | None:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0):
            self.findings.item_fault("bad_weight", f"{text[:40]!r} is no weight: a finite number, 0 or more", place)
            return None
        return value
