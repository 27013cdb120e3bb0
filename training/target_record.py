"""Targets as plain values and back, so that a run which goes on after a crash need not read its data again for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from training.data.contents import in_label_order
from training.data.targets import Classes, LabelSets, Targets, Values


def to_plain(targets: Targets) -> dict[str, Any]:
    """Fit for JSON; numbers stay exact."""
    match targets:
        case Classes():
            return {"classes": list(targets.labels)}
        case LabelSets():
            return {"sets": [list(labels) for labels in targets.sets], "known": list(targets.known)}
        case Values():
            return {"values": targets.values.tolist(), "names": list(targets.names)}


def from_plain(plain: Mapping[str, Any]) -> Targets:
    """What ``to_plain`` was given."""
    if "classes" in plain:
        return Classes(tuple(plain["classes"]))
    if "sets" in plain:
        return LabelSets(tuple(tuple(labels) for labels in plain["sets"]), tuple(plain["known"]))
    names = tuple(plain["names"])
    return Values(np.asarray(plain["values"], dtype=np.float64).reshape(-1, len(names)), names)


def names_of(targets: Targets, given: tuple[str, ...]) -> tuple[str, ...]:
    """The classes or labels in order, those given or else those that occur; the names of values."""
    if isinstance(targets, Values):
        return targets.names
    if given:
        return given
    if isinstance(targets, LabelSets):
        return targets.known or tuple(in_label_order({label for labels in targets.sets for label in labels}))
    return tuple(in_label_order(targets.labels))
