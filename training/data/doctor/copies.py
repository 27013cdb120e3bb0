"""Items that are there more than once, exactly or nearly, and what that does to labels and to the split."""

from __future__ import annotations

from collections import Counter

from training.data.contents import Contents, in_label_order
from training.data.doctor.classes import LEAST_ITEMS
from training.data.findings import Findings
from training.data.near import near_items
from training.data.targets import Classes, Values

MOST_NAMED = 5
"""A warning names this many examples."""


def check(contents: Contents, findings: Findings) -> None:
    """Faults where copies leave too little that differs, or lie on both sides of a given split."""
    if isinstance(contents.targets, Classes):
        _check_classes(contents, findings)
    elif len(set(contents.digests)) < 2 * LEAST_ITEMS and len(contents) >= 2 * LEAST_ITEMS:
        message = f"{len(contents)} items, but only {len(set(contents.digests))} different ones"
        findings.fault("too_few_distinct", message)
    if contents.sides is not None:
        _check_sides(contents, findings)


def _check_classes(contents: Contents, findings: Findings) -> None:
    """Classes with items enough of which too few are different; what a broken item would have been is not guessed."""
    distinct: dict[str, set[str]] = {}
    for digest, label in zip(contents.digests, contents.labels, strict=True):
        distinct.setdefault(label, set()).add(digest)
    readable = Counter(contents.labels)
    for label in in_label_order(distinct):
        items = findings.counts.get(label, 0)
        if items == readable[label] >= LEAST_ITEMS > len(distinct[label]):
            findings.fault(
                "too_few_distinct",
                f"the {items} items of class {label!r} are copies of one; at least {LEAST_ITEMS} different are needed",
                label,
            )


def _check_sides(contents: Contents, findings: Findings) -> None:
    """Copies on both sides of a given split: then the test knows the answers."""
    sides = contents.sides or ()
    first: dict[str, int] = {}
    for item, digest in enumerate(contents.digests):
        other = first.setdefault(digest, item)
        if sides[other] != sides[item]:
            message = (
                f"this item is a copy of {contents.place(other)}, which is on the other side: take one of them away"
            )
            findings.fault("copy_across_sides", message, contents.place(item))


def warn(contents: Contents, findings: Findings) -> None:
    """Copies, near copies, and those of them whose labels differ."""
    counted = Counter(contents.digests)
    labels: dict[str, set[str]] = {}
    for digest, label in zip(contents.digests, contents.labels, strict=True):
        labels.setdefault(digest, set()).add(label)
    repeated = [digest for digest, count in counted.items() if count > 1]
    first = {digest: item for item, digest in reversed(list(enumerate(contents.digests)))}
    if repeated:
        extra = sum(counted[digest] - 1 for digest in repeated)
        findings.warn("duplicates", f"{extra} items are exact copies of others", contents.place(first[repeated[0]]))
    for digest in [digest for digest in repeated if len(labels[digest]) > 1][:MOST_NAMED]:
        both = ", ".join(repr(label.replace("\x1f", " ")) for label in in_label_order(labels[digest]))
        findings.warn("conflicting_labels", f"the same item is labelled {both}", contents.place(first[digest]))
    _warn_of_near_copies(contents, findings)


def _warn_of_near_copies(contents: Contents, findings: Findings) -> None:
    pairs = [(one, other) for one, other in near_items(contents) if contents.digests[one] != contents.digests[other]]
    if not pairs:
        return
    one, other = pairs[0]
    message = f"{len(pairs)} pairs of items are nearly the same, such as this and {contents.place(other)}"
    findings.warn("near_duplicates", message, contents.place(one))
    if isinstance(contents.targets, Values):
        return
    labels = contents.labels
    for one, other in [(one, other) for one, other in pairs if labels[one] != labels[other]][:MOST_NAMED]:
        message = f"this is nearly the same as {contents.place(other)}, which is labelled {labels[other]!r}"
        findings.warn("near_conflict", f"{message} and not {labels[one]!r}", contents.place(one))
