"""One thing wrong with labelled data, as errors, reports and the trainer all speak of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the data: what, where, and what to do about it."""

    code: str
    message: str
    place: str
    """A path in the archive, ``row 7, column b``, ``item 12``, or ``file`` when it is the whole."""
