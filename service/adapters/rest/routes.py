"""TF Serving's addresses: which model, version and verb a path names; and those beside them that are Graft's own."""

from __future__ import annotations

import re
from urllib.parse import unquote

from service.domain.errors import InvalidInput
from service.domain.versions import ModelRef

_WHICH = r"(?i:/v1/models/)(?P<model>[^/:]+)(?:(?i:/versions/)(?P<version>\d+)|(?i:/labels/)(?P<label>[^/:]+))?"
_INFERENCE = re.compile(rf"{_WHICH}:(?P<verb>predict|classify|regress)", re.ASCII)
_STATUS = re.compile(_WHICH, re.ASCII)
_METADATA = re.compile(rf"{_WHICH}(?i:/metadata)", re.ASCII)
_OWN = re.compile(
    r"POST /v1/models/[^/:]+:(?:tune|promote|canary|rollback)|GET /v1/models/[^/:]+/direction"
    r"|PUT /v1/models/[^/:]+/shadows|(?:PUT|DELETE) /v1/models/[^/:]+/labels/[^/:]+",
    re.ASCII | re.IGNORECASE,
)
_MAX_VERSION = 2**63 - 1
_MOST_DIGITS = 1000
"""More than any number needs, leading zeros and all, and fewer than Python refuses to read."""


def inference(path: str) -> tuple[ModelRef, str] | None:
    """Whom a POST to this path asks, and to do what; None when it is no such path. Raises: InvalidInput."""
    match = _INFERENCE.fullmatch(path)
    return (_reference(match), match["verb"]) if match else None


def status(path: str) -> ModelRef | None:
    """Whose status is there. Raises: InvalidInput."""
    match = _STATUS.fullmatch(path)
    return _reference(match) if match else None


def metadata(path: str) -> ModelRef | None:
    """Whose metadata are there. Raises: InvalidInput."""
    match = _METADATA.fullmatch(path)
    return _reference(match) if match else None


def is_own(method: str, path: str) -> bool:
    """Whether it is Graft's own route among TF Serving's."""
    return _OWN.fullmatch(f"{method} {path}") is not None


def _reference(match: re.Match[str]) -> ModelRef:
    version = match["version"]
    if version is not None and (len(version) > _MOST_DIGITS or int(version) > _MAX_VERSION):
        raise InvalidInput(f"Failed to convert version: {version} to numeric.")
    return ModelRef(
        unquote(match["model"]),
        int(version) if version is not None else None,
        unquote(match["label"]) if match["label"] is not None else None,
    )
