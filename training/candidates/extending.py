"""Old and new classes in one head: the labels of both, and new weights that do not win by being larger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from service.domain.artifact import Manifest
from training.base_graph import read_manifest
from training.bases.surgery.classes import aligned, extended_labels
from training.errors import BadRecipe
from training.probe.scaling import Linear

if TYPE_CHECKING:
    from training.head_state import HeadState


def is_extending(run: HeadState) -> bool:
    """Whether the head keeps the current version's classes."""
    return run.recipe.head.classes.mode == "extend"


def current_manifest(run: HeadState) -> Manifest:
    """What the version says of itself whose classes are kept. Raises: BadRecipe: there is none."""
    if run.task.current is None:
        raise BadRecipe("head.classes extend: there is no current version of this head whose classes could be kept")
    return read_manifest(run.task.current)


def all_labels(run: HeadState, found: tuple[str, ...]) -> tuple[str, ...]:
    """The current version's labels, then those of the data that are new.

    Raises:
        BadRecipe: there is no current version, or the data has no item of one of its classes.
    """
    old = current_manifest(run).labels
    forgotten = [label for label in old if label not in set(found)]
    if forgotten:
        raise BadRecipe(f"head.classes extend: the replay data has no item of class {forgotten[0]!r}")
    return extended_labels(old, found)


def align(run: HeadState, linear: Linear) -> tuple[Linear, float]:
    """The head with the new classes' weights brought to the old ones' mean length, and the factor."""
    weights, factor = aligned(linear.weights, len(current_manifest(run).labels))
    return replace(linear, weights=weights), factor
