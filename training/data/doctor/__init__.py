"""The dataset doctor: what is odd about data that could be read, one family of signs a module.

What stops training is a fault; all else is a warning, worded so that a person can decide.
"""

from __future__ import annotations

from training.data.contents import Contents
from training.data.doctor import classes, copies, labels, leaks, numbers, order, pictures, sides, texts, values
from training.data.findings import Findings
from training.data.reading import Reading

__all__ = ["look_for_obstacles", "look_for_oddities"]


def look_for_obstacles(contents: Contents | None, reading: Reading, findings: Findings) -> None:
    """What no training can begin with; also of files that could be read in part only."""
    if reading.task == "regression":
        values.check(contents, findings)
    else:
        classes.check(contents, reading, findings)
        labels.check(findings)
    if contents is not None:
        copies.check(contents, findings)
        sides.check(contents, findings)


def look_for_oddities(contents: Contents, findings: Findings) -> None:
    """What a person had better know, of data without faults."""
    copies.warn(contents, findings)
    numbers.warn(contents, findings)
    order.warn(contents, findings)
    leaks.warn(contents, findings)
    pictures.warn(contents, findings)
    texts.warn(contents, findings)
