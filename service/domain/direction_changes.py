"""What can be said of which version answers whom: each a new direction, made from the one before.

A change has the next revision, so that it can be stored by compare-and-set; what was done, by whom and why is part of
it. What would change nothing is the same object.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from service.domain.direction import CANARY, STABLE, Canary, Change, Direction, Share
from service.domain.errors import Conflict, InvalidInput

MOST_SHARES, MOST_LABELS, MOST_SHADOWS = 16, 32, 16
_MOST_CHANGES, _MOST_BEFORE = 50, 20
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def promoted(direction: Direction, version: int, change: Change) -> Direction:
    """Let a version answer from now on; it is no canary and no shadow any more. To promote the one that answers ends
    a canary beside it, which is what to refuse one is.
    """
    before = direction.before
    if direction.stable is not None and direction.stable != version:
        before = (*before, direction.stable)[-_MOST_BEFORE:]
    shadows = tuple(number for number in direction.shadows if number != version)
    return _changed(direction, change, stable=version, before=before, canary=None, shadows=shadows)


def on_trial(direction: Direction, canary: Canary, newest: int | None, change: Change) -> Direction:
    """Give a canary its share; what answers meanwhile, the ``newest`` live version where nothing was said, stays.

    Raises:
        Conflict: nothing answers that it could stand beside, or it is what answers.
    """
    stable = direction.stable if direction.stable is not None else newest
    if stable is None:
        raise Conflict("no version answers that a canary could be compared with; promote it instead")
    if stable == canary.version:
        raise Conflict(f"version {canary.version} answers already; a canary is another version than the stable one")
    return _changed(direction, change, stable=stable, canary=canary)


def held_at(direction: Direction, version: int, change: Change) -> Direction:
    """Let what answers now go on answering whatever is published; nothing changes where that was said before."""
    return direction if direction.stable is not None else _changed(direction, change, stable=version)


def rolled_back(direction: Direction, change: Change) -> Direction:
    """Take the canary back, or if there is none, go back to the version that was stable before.

    Raises:
        Conflict: there is nothing to go back to.
    """
    if direction.canary is not None:
        return _changed(direction, change, canary=None)
    if not direction.before:
        raise Conflict("there is no earlier version to go back to: no other one was promoted here before")
    return _changed(direction, change, stable=direction.before[-1], before=direction.before[:-1])


def labelled(direction: Direction, label: str, split: Sequence[Share], change: Change) -> Direction:
    """Point a label at a version or at several; at none, forget it, and nothing changes where there is none.

    Raises:
        InvalidInput: it is no label, or no such split.
    """
    if label in (STABLE, CANARY):
        raise InvalidInput(f"the label {label} points at the {label} version by itself; promote it, or give it a share")
    if not _LABEL.fullmatch(label):
        raise InvalidInput(
            f"{label[:80]!r} is no label: give 1 to 63 of A-Z, a-z, 0-9, '.', '_', '-', a letter or digit at both ends"
        )
    versions = [share.version for share in split]
    if len(versions) > MOST_SHARES or len(set(versions)) < len(versions):
        raise InvalidInput(f"a label is divided among at most {MOST_SHARES} versions, each named once")
    if not split and label not in direction.labels:
        return direction
    labels = {**direction.labels, label: tuple(split)}
    if not split:
        del labels[label]
    if len(labels) > MOST_LABELS:
        raise InvalidInput(f"a model has at most {MOST_LABELS} labels")
    return _changed(direction, change, labels=labels)


def shadowed(direction: Direction, versions: Collection[int], change: Change) -> Direction:
    """Compare these versions, and no others, with the stable one; nothing changes where they are compared already.

    Raises:
        InvalidInput: they are too many, or the stable one is among them.
    """
    if len(set(versions)) > MOST_SHADOWS:
        raise InvalidInput(f"at most {MOST_SHADOWS} versions are compared at a time")
    if direction.stable is not None and direction.stable in versions:
        raise InvalidInput(f"version {direction.stable} is what the others are compared with")
    shadows = tuple(sorted(set(versions)))
    return direction if shadows == direction.shadows else _changed(direction, change, shadows=shadows)


def _changed(direction: Direction, change: Change, **parts: object) -> Direction:
    changes = (*direction.changes, change)[-_MOST_CHANGES:]
    return replace(direction, **parts, changes=changes, revision=direction.revision + 1)  # type: ignore[arg-type]
