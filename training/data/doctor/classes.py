"""How many items each class has: enough of them, of different classes, to learn from and to be judged on."""

from __future__ import annotations

from collections import Counter

from service.domain.learning import LearningTask
from training.data.contents import Contents, in_label_order
from training.data.findings import Findings
from training.data.reading import Reading
from training.data.target_reading import SEPARATOR
from training.data.targets import LabelSets

LEAST_ITEMS = 2
"""Of each class, and different ones: one to learn from, one to be judged on. Copies cannot be divided."""
TO_EVALUATE, TO_PROMOTE = 5, 20
"""Items of the smallest class below which its figures say little, or too little for a version to go live on them."""
IMBALANCE = 3.0
TEST_SHARE = 0.2
LEAST_TEST = 100
"""Below this many test items, differences of a few points cannot be told from chance."""
NUMBERS_FROM = 10
"""Different labels, all of them numbers, from which they may be values and not classes."""


def check(contents: Contents | None, reading: Reading, findings: Findings) -> None:
    """Faults for what cannot be learned, warnings for what can hardly be judged."""
    counts = findings.counts
    if _are_values(reading, findings):
        message = f"the label column holds {len(counts)} different numbers: did you mean task regression?"
        findings.fault("labels_are_values", message)
        return
    if reading.task is LearningTask.MULTILABEL:
        _check_sets(contents, findings)
    else:
        _check_one_of_each(reading, findings)
    for label in in_label_order(counts):
        if counts[label] < LEAST_ITEMS:
            items = "1 item" if counts[label] == 1 else f"{counts[label]} items"
            findings.fault("class_too_small", f"class {label!r} has {items}; at least {LEAST_ITEMS} are needed", label)
    _warn_of_size(findings)


def _are_values(reading: Reading, findings: Findings) -> bool:
    counts = findings.counts
    if reading.task is LearningTask.MULTILABEL or len(counts) < NUMBERS_FROM or len(counts) * 3 <= findings.items:
        return False
    return all(_is_number(label) for label in counts)


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True


def _check_one_of_each(reading: Reading, findings: Findings) -> None:
    counts = findings.counts
    if len(counts) == 1:
        only = next(iter(counts))
        findings.fault("one_class", f"there is one class only, {only!r}; at least two are needed")
    elif reading.task is LearningTask.BINARY and len(counts) > 2:
        names = ", ".join(map(repr, in_label_order(counts)[:5])) + (", ..." if len(counts) > 5 else "")
        findings.fault("not_binary", f"a binary task has two classes, and here are {len(counts)}: {names}")
    if reading.labels or reading.only:
        for label in dict.fromkeys((*reading.labels, *reading.only)):
            if label not in counts and reading.wants(label):
                findings.fault("class_missing", f"class {label!r} is asked for, and no item has it", label)
    joined = [label for label in counts if SEPARATOR in label]
    if joined and reading.task is LearningTask.MULTICLASS:
        message = f"labels such as {joined[0]!r} hold {SEPARATOR!r}: did you mean task multilabel?"
        findings.warn("labels_look_joined", message, joined[0])


def _check_sets(contents: Contents | None, findings: Findings) -> None:
    targets = contents.targets if contents is not None else None
    if not isinstance(targets, LabelSets):
        return
    for label in targets.known:
        findings.counts.setdefault(label, 0)
    if not findings.counts:
        findings.fault("no_classes", "no item has any label")
    for label, count in findings.counts.items():
        if count == len(targets) and count:
            findings.fault("label_on_all", f"every item has the label {label!r}: there is nothing to tell apart", label)
    sizes = Counter(map(len, targets.sets))
    if sizes and max(sizes) == 1:
        findings.warn("never_two_labels", "no item has more than one label: did you mean task multiclass?")
    if sizes[0] * 2 > len(targets):
        findings.warn("mostly_unlabelled", f"{sizes[0]} of {len(targets)} items have no label at all")


def _warn_of_size(findings: Findings) -> None:
    counts = findings.counts
    if not counts or not min(counts.values()):
        return
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    fewest = counts[least]
    if counts[most] > IMBALANCE * fewest:
        findings.warn("imbalance", f"class {most!r} has {counts[most]} items where {least!r} has {fewest}", least)
    if LEAST_ITEMS <= fewest < TO_EVALUATE:
        message = f"class {least!r} has {fewest} items; below {TO_EVALUATE} a class cannot be judged"
        findings.warn("few_to_evaluate", message, least)
    elif TO_EVALUATE <= fewest < TO_PROMOTE:
        message = f"class {least!r} has {fewest} items; below {TO_PROMOTE} its figures are too rough to go live on"
        findings.warn("few_to_promote", message, least)
    warn_of_small_test(findings)


def warn_of_small_test(findings: Findings) -> None:
    """Too few items for small differences to be told from chance."""
    test_items = round(TEST_SHARE * findings.items)
    if test_items < LEAST_TEST:
        findings.warn(
            "small_test",
            f"about {test_items} items will be sealed for the test; below {LEAST_TEST} small differences are chance",
        )
