"""What a look at labelled data finds, gathered while reading: items, faults, warnings.

Reading never stops at the first fault; whoever reads reports here and goes on. What is said here is fit to be shown:
short, and text that can be written anywhere, whatever the file holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from service.domain.artifact import InputKind
from service.domain.dataset import MOST_FAULTS_SHOWN
from service.domain.faults import Fault

Value = TypeVar("Value")

TOO_LARGE = "this is too large to check: reading it takes more memory than a check may have"
MOST_WARNINGS_SHOWN = 20
"""Of each code; all of them are counted."""
LONGEST_TEXT = 500
"""Characters of a message or a place; the rest is left out."""


@dataclass(slots=True)
class Findings:
    """Grows while a file is read."""

    faults: list[Fault] = field(default_factory=list)
    """The first ``MOST_FAULTS_SHOWN``."""
    fault_count: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    """Items seen of each class, good or bad."""
    items: int = 0
    """Items seen, good or bad, that are to be used."""
    kind: InputKind | None = None
    shape: tuple[int, ...] | None = None
    columns: tuple[str, ...] = ()
    """What one item is, said as soon as it is known: a file with faults can also have the wrong width for a base."""
    quarantines: bool = False
    """Whether items that cannot be read are left out, rather than being faults."""
    quarantined: list[Fault] = field(default_factory=list)
    """What is wrong with items that were left out; the first ``MOST_FAULTS_SHOWN``."""
    item_faults: int = 0
    """All that was found wrong with single items, left out or not."""
    lost: int = 0
    """Items that were left out or would have been."""
    _warnings: list[Fault] = field(default_factory=list)
    _warned: Counter[str] = field(default_factory=Counter)

    def fault(self, code: str, message: str, place: str = "file") -> None:
        """Something that keeps the data from being used."""
        self.fault_count += 1
        if len(self.faults) < MOST_FAULTS_SHOWN:
            self.faults.append(Fault(code, _shown(message), _shown(place)))

    def item_fault(self, code: str, message: str, place: str) -> None:
        """Something that keeps one item from being used, and the whole file unless such items are left out."""
        self.item_faults += 1
        if not self.quarantines:
            self.fault(code, message, place)
        elif len(self.quarantined) < MOST_FAULTS_SHOWN:
            self.quarantined.append(Fault(code, _shown(message), _shown(place)))

    def warn(self, code: str, message: str, place: str = "file") -> None:
        """Something worth knowing that does not stop anything."""
        self._warned[code] += 1
        if self._warned[code] <= MOST_WARNINGS_SHOWN:
            self._warnings.append(Fault(code, _shown(message), _shown(place)))

    def warnings(self) -> tuple[Fault, ...]:
        """The first ``MOST_WARNINGS_SHOWN`` of each code, and how many more there are of those that have more."""
        more = [
            Fault(code, f"and {count - MOST_WARNINGS_SHOWN} more of the same", "file")
            for code, count in self._warned.items()
            if count > MOST_WARNINGS_SHOWN
        ]
        return (*self._warnings, *more)

    def saw(self, label: str, items: int = 1) -> None:
        """An item of a class was found."""
        self.counts[label] = self.counts.get(label, 0) + items

    def attempt(self, read: Callable[[], Value], code: str, message: str, place: str = "file") -> Value | None:
        """What ``read`` gives; None, and a fault, when the foreign bytes it reads make it raise, whatever that is.

        No list of exceptions would do: archives, codecs and headers made to break their readers raise what no page of
        the readers' documentation names.
        """
        return _attempted(read, self.fault, code, message, place)

    def attempt_item(self, read: Callable[[], Value], code: str, message: str, place: str) -> Value | None:
        """``attempt`` for what is wrong with one item only."""
        return _attempted(read, self.item_fault, code, message, place)


def _attempted(
    read: Callable[[], Value], tell: Callable[[str, str, str], None], code: str, message: str, place: str
) -> Value | None:
    try:
        return read()
    except MemoryError:
        tell("too_large", TOO_LARGE, place)
    except Exception as error:  # noqa: BLE001 - foreign bytes may raise anything, and it is theirs
        tell(code, f"{message}: {error}", place)
    return None


def _shown(text: str) -> str:
    short = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}..."
    return short.encode("utf-8", "backslashreplace").decode()
