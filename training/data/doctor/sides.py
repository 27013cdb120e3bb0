"""Groups, times and given sides: whether the data can be divided by them as is asked."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from training.data.contents import Contents
from training.data.findings import Findings
from training.data.targets import Classes

MOST_NAMED = 5


def check(contents: Contents, findings: Findings) -> None:
    """Faults where no division is possible, or one that leaks; warnings where it will be lame."""
    if contents.groups is not None:
        _check_groups(contents, contents.groups, findings)
    if contents.times is not None and len(np.unique(contents.times)) < 2:
        findings.fault("one_time", "all items have the same time, so that there is no later one to test on")
    if contents.sides is not None:
        _check_sides(contents, contents.sides, findings)
    if contents.weights is not None and not contents.weights.any():
        findings.fault("no_weight", "the weight of every item is 0, so that there is nothing to learn from")


def _check_groups(contents: Contents, groups: tuple[str, ...], findings: Findings) -> None:
    distinct = len(set(groups))
    if distinct < 2:
        findings.fault("one_group", f"all items are of the group {groups[0]!r}; at least two groups can be divided")
    elif distinct == len(groups):
        findings.warn("groups_of_one", "every item is a group of its own, so that grouping changes nothing")
    if isinstance(contents.targets, Classes) and distinct >= 2:
        of_class: dict[str, set[str]] = defaultdict(set)
        for label, group in zip(contents.labels, groups, strict=True):
            of_class[label].add(group)
        for label in [label for label, of in of_class.items() if len(of) == 1][:MOST_NAMED]:
            message = f"all items of class {label!r} are of one group: it cannot be both learned and tested"
            findings.fault("class_in_one_group", message, label)


def _check_sides(contents: Contents, sides: tuple[str, ...], findings: Findings) -> None:
    if len(set(sides)) < 2:
        findings.fault("one_side", f"every item is on the side {sides[0]!r}; both train and test are needed")
        return
    if contents.groups is not None:
        side_of: dict[str, str] = {}
        for item, (group, side) in enumerate(zip(contents.groups, sides, strict=True)):
            if side_of.setdefault(group, side) != side:
                message = f"group {group!r} is on both sides of the given split, so that the test knows of it"
                findings.fault("group_across_sides", message, contents.place(item))
                side_of[group] = side
    if isinstance(contents.targets, Classes):
        learned = {label for label, side in zip(contents.labels, sides, strict=True) if side == "train"}
        for label in dict.fromkeys(contents.labels):
            if label not in learned:
                findings.fault("class_not_learned", f"all items of class {label!r} are on the side test", label)
