"""How often the same sealed items have judged versions of one model: every use makes them a little less of a test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from service.domain.artifact import REPORT, version_number


def digest_of(item_digests: Iterable[str]) -> str:
    """What names a set of items, whatever their order."""
    return hashlib.sha256("\n".join(sorted(item_digests)).encode()).hexdigest()


def uses(model_directory: Path, digest: str) -> int:
    """Which use this is, from 1: one more than the largest that a published version's report tells of these items.

    Versions without a readable report tell nothing.
    """
    directories = model_directory.iterdir() if model_directory.is_dir() else ()
    told = (_told(each / REPORT, digest) for each in directories if version_number(each.name) is not None)
    return max(told, default=0) + 1


def _told(report: Path, digest: str) -> int:
    try:
        found: Any = json.loads(report.read_bytes())["test"]
        return int(found["uses"]) if found["digest"] == digest else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0
