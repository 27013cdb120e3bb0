"""What the trainer says while it works: one JSON object a line on its standard output.

This is the pipe between the two programs, and one of the two places where they meet. Every line is one of the classes
below; a line that is none of them is the trainer's own chatter and goes to the log.
"""

from __future__ import annotations

import json
import math
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
class Placed:
    """The work begins on one machine of several; ``data`` names it, and what it gives to the job."""

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


TrainerEvent = PhaseProgress | Warned | Placed | Finished | Failed
_TYPES: Mapping[str, type[TrainerEvent]] = {
    "progress": PhaseProgress,
    "warning": Warned,
    "placed": Placed,
    "finished": Finished,
    "failed": Failed,
}
_NAMES = {cls: name for name, cls in _TYPES.items()}


def to_line(event: TrainerEvent) -> str:
    """One line of JSON, without its newline."""
    return json.dumps({"event": _NAMES[type(event)], **asdict(event)}, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    """A numpy number as Python's own: an integer stays one."""
    return value.item() if hasattr(value, "item") else float(value)


def from_line(line: str) -> TrainerEvent | None:
    """The event a line holds, or None when it is something else a library printed."""
    try:
        raw = parsed(line)
        event = _TYPES[raw.pop("event")](**raw)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return event if _well_typed(event) else None


def parsed(text: str) -> Any:
    """What the trainer wrote as JSON, fit to be stored and sent on: numbers that JSON does not know (NaN, Infinity) are
    None, and halves of characters, as in a file's name that is no text, are question marks.

    Raises:
        ValueError, RecursionError: it is not JSON.
    """
    raw = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    if "\\ud" in text.lower():
        raw = json.loads(json.dumps(raw, ensure_ascii=False).encode(errors="replace"))
    return raw


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _well_typed(event: TrainerEvent) -> bool:
    match event:
        case PhaseProgress():
            return (
                isinstance(event.phase, str)
                and isinstance(event.message, str)
                and isinstance(event.percent, int | float)
                and isinstance(event.done, int)
                and isinstance(event.total, int)
                and isinstance(event.eta_s, int | float | None)
            )
        case Warned() | Placed():
            return isinstance(event.message, str) and isinstance(event.data, dict)
        case Finished():
            parts = (event.metrics, event.gate, event.recipe)
            return (
                isinstance(event.model, str)
                and isinstance(event.version, int | None)
                and isinstance(event.headline, str)
                and all(isinstance(part, dict) for part in parts)
            )
        case Failed():
            return isinstance(event.code, str) and isinstance(event.message, str) and isinstance(event.details, dict)
