"""The dataset check: read a file with the eyes of its format, then hold the whole against what training needs.

Every fault is found in one go. The training run makes the same check again before it begins, so that what a person was
told is what will happen.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from service.domain.dataset import DatasetFormat, DatasetReport
from training.data import arrays, image_archive, table
from training.data.contents import Contents, dataset_digest, in_label_order
from training.data.findings import TOO_LARGE, Findings

LEAST_ITEMS = 2
"""Of each class, and different ones: one to learn from, one to be judged on. Copies cannot be divided."""
IMBALANCE = 3.0
TEST_SHARE = 0.2
LEAST_TEST = 100
"""Below this many test items, differences of a few points cannot be told from chance."""
MOST_NAMED = 5
"""A warning names this many examples."""


def check(
    path: Path, format: DatasetFormat | None = None, label_column: str | None = None
) -> tuple[DatasetReport, Contents | None]:
    """What is in the file and everything wrong with it; the contents too, when there is nothing wrong.

    Raises:
        OSError: the file cannot be opened.
    """
    findings = Findings()
    with path.open("rb") as stream:
        head = stream.read(4096)
    contents = None
    if not head:
        findings.fault("empty_file", "the file is empty")
    else:
        format = format or guess_format(path, head)
        try:
            contents = _look(path, format, label_column, findings)
        except MemoryError:
            findings.fault("too_large", TOO_LARGE)
    good = contents if not findings.fault_count else None
    report = DatasetReport(
        format=format,
        kind=findings.kind,
        items=sum(findings.counts.values()),
        classes={label: findings.counts[label] for label in in_label_order(findings.counts)},
        shape=findings.shape,
        columns=findings.columns,
        digest=dataset_digest(good.kind, good.columns, good.labels, good.digests) if good else None,
        faults=tuple(findings.faults),
        fault_count=findings.fault_count,
        warnings=findings.warnings(),
    )
    return report, good


def guess_format(path: Path, head: bytes) -> DatasetFormat | None:
    """The format, from the first bytes and an archive's directory, never from the name; None if it is none of ours."""
    if head.startswith(b"PK"):
        # What is wrong with an archive that cannot be listed, its reader will find again and say.
        names = Findings().attempt(partial(_file_names, path), "not_an_archive", "this cannot be listed")
        return DatasetFormat.NPZ if names and all(name.endswith(".npy") for name in names) else DatasetFormat.ZIP
    if b"\x00" in head:
        return None
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError as error:
        # The cut may fall inside a character; an error before the last bytes is a real one.
        if error.start < len(head) - 8:
            return None
    return DatasetFormat.CSV


def _file_names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [info.filename for info in archive.infolist() if not info.is_dir()]


def _look(path: Path, format: DatasetFormat | None, label_column: str | None, findings: Findings) -> Contents | None:
    contents = _read(path, format, label_column, findings)
    _check_classes(findings)
    if contents is not None:
        _check_copies(contents, findings)
        if not findings.fault_count:
            _look_for_oddities(contents, findings)
    return contents


def _read(path: Path, format: DatasetFormat | None, label_column: str | None, findings: Findings) -> Contents | None:
    match format:
        case DatasetFormat.ZIP:
            return image_archive.read(path, findings)
        case DatasetFormat.CSV:
            return table.read(path, label_column, findings)
        case DatasetFormat.NPZ:
            return arrays.read(path, findings)
        case None:
            findings.fault("unknown_format", "this is neither a zip archive of images, nor CSV text, nor an NPZ file")
            return None


def _check_classes(findings: Findings) -> None:
    counts = findings.counts
    if len(counts) == 1:
        only = next(iter(counts))
        findings.fault("one_class", f"there is one class only, {only!r}; at least two are needed")
    for label in in_label_order(counts):
        if counts[label] < LEAST_ITEMS:
            items = "1 item" if counts[label] == 1 else f"{counts[label]} items"
            findings.fault("class_too_small", f"class {label!r} has {items}; at least {LEAST_ITEMS} are needed", label)
    if counts and min(counts.values()) and max(counts.values()) > IMBALANCE * min(counts.values()):
        most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        findings.warn(
            "imbalance", f"class {most!r} has {counts[most]} items where {least!r} has {counts[least]}", least
        )
    _warn_of_similar_labels(findings)
    test_items = round(TEST_SHARE * sum(counts.values()))
    if counts and test_items < LEAST_TEST:
        findings.warn(
            "small_test",
            f"about {test_items} items will be sealed for the test; below {LEAST_TEST} small differences are chance",
        )


def _check_copies(contents: Contents, findings: Findings) -> None:
    """Classes with items enough of which too few are different; what a broken item would have been is not guessed."""
    distinct: dict[str, set[str]] = {}
    for digest, label in zip(contents.digests, contents.labels, strict=True):
        distinct.setdefault(label, set()).add(digest)
    readable = Counter(contents.labels)
    for label in in_label_order(distinct):
        items = findings.counts[label]
        if items == readable[label] >= LEAST_ITEMS > len(distinct[label]):
            findings.fault(
                "too_few_distinct",
                f"the {items} items of class {label!r} are copies of one; at least {LEAST_ITEMS} different are needed",
                label,
            )


def _warn_of_similar_labels(findings: Findings) -> None:
    spellings: dict[str, list[str]] = {}
    for label in in_label_order(findings.counts):
        spellings.setdefault(" ".join(label.casefold().split()), []).append(label)
    for same in spellings.values():
        if len(same) > 1:
            findings.warn(
                "similar_labels", f"labels that differ in spelling only: {', '.join(map(repr, same))}", same[0]
            )


def _look_for_oddities(contents: Contents, findings: Findings) -> None:
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
        both = ", ".join(map(repr, in_label_order(labels[digest])))
        findings.warn("conflicting_labels", f"the same item is labelled {both}", contents.place(first[digest]))
    if contents.numbers is not None:
        flat = contents.numbers.reshape(len(contents), -1)
        constant = np.flatnonzero(flat.min(axis=0) == flat.max(axis=0))
        if len(constant):
            names = [contents.columns[at] if contents.columns else f"{at}" for at in constant[:MOST_NAMED]]
            more = f" and {len(constant) - MOST_NAMED} more" if len(constant) > MOST_NAMED else ""
            findings.warn(
                "constant_columns", f"always the same value in column {', '.join(names)}{more}", f"column {names[0]}"
            )
