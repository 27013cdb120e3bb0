"""Columns of numbers: those that say nothing, values from another world, and scales that shift."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from training.data.contents import Contents, Floats
from training.data.findings import Findings
from training.data.targets import Classes

MOST_NAMED = 5
FAR = 50.0
"""Times the distance of the quartiles from the median."""
ODD_SHARE = 0.01
"""Of the items: what is more frequent is no outlier."""
UNIT, BYTE = 1.0, 16.0
"""Largest number of an item on 0..1, and one that no item on that scale has."""
LEAST_WIDTH = 8
"""Numbers of an item, from which its largest tells its scale."""
SHIFT = 1.0
"""Difference of two means, in spreads within a class, that is more than chance for so many items."""
LEAST_HALF = 20
AT_ONCE = 4_000_000
"""Numbers that are looked at together."""


def warn(contents: Contents, findings: Findings) -> None:
    """Everything about columns that a person had better know."""
    if contents.kind is not InputKind.VECTOR or contents.numbers is None or len(contents) < 2:
        return
    flat = contents.numbers.reshape(len(contents), -1)
    _warn_of_constants(contents, flat, findings)
    _warn_of_scales(contents, flat, findings)
    if contents.numbers.ndim == 2:  # else they are pictures, and a column is a pixel, of which little can be said
        _warn_of_outliers(contents, flat, findings)
        _warn_of_shifts(contents, flat, findings)


def column_blocks(flat: Floats) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Some columns at a time as float64, and the place of the first: wide data is not held twice."""
    step = max(1, AT_ONCE // len(flat))
    for start in range(0, flat.shape[1], step):
        yield start, flat[:, start : start + step].astype(np.float64)


def column_name(contents: Contents, place: int) -> str:
    """A column as its owner would know it again."""
    return contents.columns[place] if contents.columns else f"{place}"


def _warn_of_constants(contents: Contents, flat: Floats, findings: Findings) -> None:
    constant = np.flatnonzero(flat.min(axis=0) == flat.max(axis=0))
    if len(constant):
        names = [column_name(contents, int(at)) for at in constant[:MOST_NAMED]]
        more = f" and {len(constant) - MOST_NAMED} more" if len(constant) > MOST_NAMED else ""
        message = f"always the same value in column {', '.join(names)}{more}"
        findings.warn("constant_columns", message, f"column {names[0]}")


def _warn_of_scales(contents: Contents, flat: Floats, findings: Findings) -> None:
    """Some items on 0..1 among others on 0..255."""
    if flat.shape[1] < LEAST_WIDTH:
        return
    largest = np.maximum(flat.max(axis=1), -flat.min(axis=1))
    small = largest <= UNIT
    small[small] = (flat[small] != np.round(flat[small])).any(axis=1)
    large = largest >= BYTE
    if small.any() and large.any() and (small | large).mean() > 0.9:
        few, item = sorted([(int(small.sum()), int(small.argmax())), (int(large.sum()), int(large.argmax()))])[0]
        scale = "0 to 1" if small[item] else f"0 to {largest[item]:.0f}"
        message = f"{few} items hold numbers on a scale of {scale} where the others have another"
        findings.warn("mixed_scale", message, contents.place(item))


def _warn_of_outliers(contents: Contents, flat: Floats, findings: Findings) -> None:
    told = 0
    for start, block in column_blocks(flat):
        low, middle, high = np.quantile(block, (0.25, 0.5, 0.75), axis=0)
        reach = FAR * (high - low)
        far = (np.abs(block - middle) > reach) & (reach > 0)
        counts = far.sum(axis=0)
        for column in np.flatnonzero((counts > 0) & (counts <= max(1, ODD_SHARE * len(flat))))[: MOST_NAMED - told]:
            item = int(far[:, column].argmax())
            name = column_name(contents, start + int(column))
            message = f"it is {block[item, column]:g} where half of all are {low[column]:g} to {high[column]:g}"
            more = f" ({counts[column]} such items): a mistake, or a stand-in for a missing number?"
            findings.warn("outlier", message + more, f"{contents.place(item)}, column {name}")
            told += 1


def _warn_of_shifts(contents: Contents, flat: Floats, findings: Findings) -> None:
    """Columns whose mean changes along the file within each class, or between the sides of a given split."""
    groups = np.unique(contents.labels, return_inverse=True)[1] if isinstance(contents.targets, Classes) else None
    groups = np.zeros(len(flat), dtype=np.int64) if groups is None else groups
    later = np.zeros(len(flat), dtype=bool)
    for group in range(int(groups.max()) + 1):
        members = np.flatnonzero(groups == group)
        later[members[len(members) // 2 :]] = True
    _warn_of_shift(contents, flat, groups, later, "the second half of the file", findings)
    if contents.sides is not None:
        tests = np.array(contents.sides) == "test"
        _warn_of_shift(contents, flat, groups, tests, "the test side", findings)


def _warn_of_shift(
    contents: Contents, flat: Floats, groups: np.ndarray, marked: np.ndarray, where: str, findings: Findings
) -> None:
    if min(marked.sum(), (~marked).sum()) < LEAST_HALF:
        return
    told = 0
    for start, centred in column_blocks(flat):
        largest = np.abs(centred).max(axis=0)
        for group in np.unique(groups):
            centred[groups == group] -= centred[groups == group].mean(axis=0)
        spread = np.sqrt((centred[marked].var(axis=0) + centred[~marked].var(axis=0)) / 2)
        apart = np.abs(centred[marked].mean(axis=0) - centred[~marked].mean(axis=0))
        for column in np.flatnonzero((apart > SHIFT * spread) & (apart > 1e-6 * largest))[: MOST_NAMED - told]:
            name, value = column_name(contents, start + int(column)), flat[:, start + column]
            message = f"its mean is {value[~marked].mean():g}, and {value[marked].mean():g} in {where}"
            findings.warn("shifted_column", f"{message}: was it measured in another unit there?", f"column {name}")
            told += 1
