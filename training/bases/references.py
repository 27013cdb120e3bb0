"""Published versions by the names people give them: ``model``, its newest version, or ``model@7``."""

from __future__ import annotations

from pathlib import Path

from service.domain.artifact import MANIFEST
from training.errors import BadBase, BadRecipe
from training.publish import versions


def version_directory(repository: Path, reference: str) -> Path:
    """The directory of a version that Graft published.

    Raises:
        BadRecipe: this is no such reference.
        BadBase: there is no such version.
    """
    model, _, number = reference.partition("@")
    if not model or Path(model).name != model or (number and not number.isdecimal()):
        raise BadRecipe(f"base.ref is model or model@version, not {reference!r}")
    home = repository / model
    present = [version for version in versions(home) if (home / str(version) / MANIFEST).exists()]
    if not present or (number and int(number) not in present):
        raise BadBase(f"there is no base {reference} in {repository}; train it first")
    return home / str(int(number) if number else present[-1])
