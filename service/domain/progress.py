"""What the trainer says while it works: one JSON object a line on its standard output.

This is the pipe between the two programs, and one of the two places where they meet. Every line is one of the classes
below; a line that is none of them is the trainer's own chatter and goes to the log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """A phase began, or came further: ``done`` of ``total`` steps, ``percent`` of the whole job, seconds to go."""

    phase: str
    message: str
    percent: float
    done: int = 0
    total: int = 0
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the operator ought to know that does not stop the job."""

    message: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    """The job ended well. ``version`` is None when the gate refused the candidate."""

    model: str
    version: int | None
    metrics: Mapping[str, Any]
    gate: Mapping[str, Any]
    recipe: Mapping[str, Any]
    headline: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended badly, and running it again would not help. ``code`` is for machines, ``message`` for people."""

    code: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)


TrainerEvent = PhaseProgress | Warned | Finished | Failed
_TYPES: Mapping[str, type[TrainerEvent]] = {
    "progress": PhaseProgress,
    "warning": Warned,
    "finished": Finished,
    "failed": Failed,
}
_NAMES = {cls: name for name, cls in _TYPES.items()}


def to_line(event: TrainerEvent) -> str:
    """One line of JSON, without its newline."""
    return json.dumps({"event": _NAMES[type(event)], **asdict(event)}, separators=(",", ":"), default=float)


def from_line(line: str) -> TrainerEvent | None:
    """The event a line holds, or None when it is something else a library printed."""
    try:
        raw = json.loads(line)
        kind = _TYPES[raw.pop("event")]
        return kind(**raw)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
