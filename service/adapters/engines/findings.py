"""What a trial found, as it lies on disk: a verdict a signature, and the compiled graph of each that was accepted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

VERDICTS = "verdicts.json"


class Damaged(Exception):
    """It is not there, or not as it was written."""


@dataclass(frozen=True)
class Places:
    """Which of a compiled graph's inputs and outputs is which of the signature's, and the bounds of its indices."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    bounds: Mapping[str, int]


@dataclass(frozen=True)
class Accepted:
    """A signature that OpenVINO answers as TensorFlow does, or as closely as its precision allows."""

    places: Places
    compiled: str
    """The file of the compiled graph, and its digest: a damaged one might bring the process down."""
    sha256: str
    difference: float
    agreement: float | None


@dataclass(frozen=True)
class Refused:
    """A signature that stays on TensorFlow."""

    reason: str


Verdict = Accepted | Refused


def keep_compiled(content: bytes, file: Path) -> str:
    """Write a compiled graph; its digest."""
    file.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_compiled(findings: Path, accepted: Accepted) -> bytes:
    """Raises: Damaged."""
    try:
        content = (findings / accepted.compiled).read_bytes()
    except OSError as error:
        raise Damaged(f"{accepted.compiled}: {error}") from error
    if hashlib.sha256(content).hexdigest() != accepted.sha256:
        raise Damaged(f"{accepted.compiled} is not what was written")
    return content


def write_verdicts(findings: Path, verdicts: Mapping[str, Verdict]) -> None:
    """Last of all: where there are verdicts, all else is there."""
    text = json.dumps({name: asdict(verdict) for name, verdict in verdicts.items()}, indent=1)
    (findings / VERDICTS).write_text(text)


def read_verdicts(findings: Path) -> dict[str, Verdict]:
    """Raises: Damaged."""
    try:
        raw = json.loads((findings / VERDICTS).read_text())
        return {name: _verdict(one) for name, one in raw.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(f"{VERDICTS}: {error!r}") from error


def _verdict(raw: dict[str, Any]) -> Verdict:
    if "reason" in raw:
        return Refused(**raw)
    return Accepted(**{**raw, "places": Places(**raw["places"])})
