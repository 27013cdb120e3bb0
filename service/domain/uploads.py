"""A file that comes in parts: which there are to be, which there are, and what still lacks.

Parts are numbered from 1, and all but the last are of one size, so that each has its place in the file before any of
them is there. This page knows no disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.domain.errors import Conflict, InvalidInput

PART_BYTES = 8 * 2**20
MOST_PARTS = 10_000
MOST_MISSING_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived whole."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way in parts."""

    id: str
    filename: str
    part_bytes: int
    created: float
    """Seconds since the epoch, as all times here."""
    expires: float
    """When it is given up, unless a part arrives before: each gives it a full term again."""
    size: int | None = None
    """Bytes of the whole, where that was said."""
    sha256: str | None = None
    """Of the whole, where that was said."""
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[int, Part] = field(default_factory=dict)
    sealed: bool = False
    """Whether all parts are said to be there: then no more are taken."""
    dataset: str | None = None
    """What it has become; its bytes are no longer kept here then."""

    @property
    def received_bytes(self) -> int:
        """Of all parts together."""
        return sum(part.bytes for part in self.parts.values())

    @property
    def reserved_bytes(self) -> int:
        """What it may come to take up on the disk, as far as that is known."""
        if self.dataset is not None:
            return 0
        return self.size if self.size is not None else max(self.parts, default=0) * self.part_bytes

    @property
    def part_count(self) -> int:
        """Parts there will be; where nobody said how large the whole is, as many as the last one known says."""
        if self.size is None:
            return max(self.parts, default=0)
        return -(-self.size // self.part_bytes)

    @property
    def missing(self) -> list[int]:
        """The numbers of parts that are not there, in order."""
        return [number for number in range(1, self.part_count + 1) if number not in self.parts]

    def offset(self, number: int) -> int:
        """Where a part begins in the file."""
        return (number - 1) * self.part_bytes

    def room(self, number: int, most_bytes: int) -> tuple[int, int]:
        """How many bytes a part may have, at least and at most, in a file of at most ``most_bytes``.

        Raises:
            InvalidInput: there can be no part of this number.
        """
        last = -(-(most_bytes if self.size is None else self.size) // self.part_bytes)
        last = min(last, MOST_PARTS) if self.size is None else last
        if not 1 <= number <= last:
            raise InvalidInput(f"the parts of this upload have the numbers 1 to {last}, and none is {number}")
        if self.size is None:
            return 1, min(self.part_bytes, most_bytes - self.offset(number))
        exact = min(self.part_bytes, self.size - self.offset(number))
        return exact, exact

    def whole_bytes(self) -> int:
        """The size of the file, now that all of it is there.

        Raises:
            Conflict: it is not; the text says what lacks.
        """
        if not self.parts:
            raise Conflict("no part of this upload has arrived")
        if missing := self.missing:
            more = ", ..." if len(missing) > 10 else ""
            named = ", ".join(map(str, missing[:10])) + more
            raise Conflict(f"{len(missing)} of {self.part_count} parts have not arrived: {named}")
        for number, part in self.parts.items():
            if number < self.part_count and part.bytes != self.part_bytes:
                raise Conflict(
                    f"part {number} has {part.bytes} bytes and is not the last: all others have {self.part_bytes}"
                )
        return self.received_bytes


def part_bytes_for(size: int | None, least: int = PART_BYTES) -> int:
    """How large the parts of a file should be: so that there are not too many of them."""
    if size is None or size <= least * MOST_PARTS:
        return least
    mebibyte = 2**20
    return -(-size // (MOST_PARTS * mebibyte)) * mebibyte
