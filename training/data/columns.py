"""What the columns of a table mean: which hold the label, which are input, which stand beside the items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.data.findings import Findings
from training.data.gathering import Gathering

MOST_NAMED = 20
"""A message lists this many columns."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Places in a row, counted from 0."""

    labels: tuple[int, ...]
    features: tuple[int, ...]
    beside: dict[str, int]
    """By role: group, time, side, weight."""
    names: tuple[str, ...]
    """Of the features."""
    width: int
    """Cells of a row."""


def find_columns(header: Sequence[str], gathering: Gathering) -> Columns | None:
    """The columns under this header; None, and faults, when rows cannot be read under it."""
    findings = gathering.findings
    if not any(header):
        findings.fault("empty_file", "the file has no header")
        return None
    before = findings.fault_count
    _check_names(header, findings)
    reading, labels = gathering.reading, gathering.targets.names
    places = {name: place for place, name in enumerate(header)}
    for name in labels:
        if name not in places:
            hint = " (is it separated by commas?)" if len(header) == 1 else ""
            message = f"there is no label column {name!r}; the columns are {_listed(header)}{hint}"
            findings.fault("missing_label_column", message, "row 1")
    roles = gathering.roles
    for role, name in [*roles.items(), *(("features", name) for name in reading.features)]:
        if name not in places:
            findings.fault(
                "missing_column", f"there is no column {name!r} for {role}; the columns are {_listed(header)}", "row 1"
            )
    taken = {*labels, *roles.values()}
    for name in reading.features:
        if name in taken:
            findings.fault("column_used_twice", f"column {name!r} cannot be input and also something else", "row 1")
    features = reading.features or tuple(name for name in header if name not in taken)
    if findings.fault_count == before and not features:
        findings.fault("no_features", "there is nothing but the label column", "row 1")
    if findings.fault_count != before:
        return None
    return Columns(
        labels=tuple(places[name] for name in labels),
        features=tuple(places[name] for name in features),
        beside={role: places[name] for role, name in roles.items()},
        names=features,
        width=len(header),
    )


def _check_names(header: Sequence[str], findings: Findings) -> None:
    seen: set[str] = set()
    for place, name in enumerate(header, start=1):
        if not name:
            findings.fault("unnamed_column", f"column {place} has no name", f"row 1, column {place}")
        elif name in seen:
            findings.fault("duplicate_column", f"two columns are named {name!r}", f"row 1, column {name}")
        seen.add(name)


def _listed(header: Sequence[str]) -> str:
    more = f" and {len(header) - MOST_NAMED} more" if len(header) > MOST_NAMED else ""
    return ", ".join(header[:MOST_NAMED]) + more
