"""A dataset and more of its kind as one new file: the items that are there, and those of the new ones that are not.

The file holds every item exactly as it was, image for image and number for number, so that an item has the digest it
had before, and what was computed for it still holds. Images of one class each become a zip of class folders; all else
becomes JSON lines.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from service.domain.artifact import InputKind
from service.domain.dataset import LABEL, TASK, DatasetFormat
from service.domain.learning import LearningTask
from training.data.class_folders import is_clutter
from training.data.contents import Contents, number_digests
from training.data.findings import Findings
from training.data.records import KINDS
from training.data.targets import Classes, LabelSets, Targets, Values

PNG = b"\x89PNG"
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of every entry: the same items are the same bytes."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What of two datasets goes into the new one: all items of the old, and some of the new."""

    old: Contents
    new: Contents
    added: Sequence[int]
    """Items of the new one that the old one has not."""

    def items(self) -> Iterator[tuple[Contents, int]]:
        """All of them, in order."""
        yield from ((self.old, item) for item in range(len(self.old)))
        yield from ((self.new, item) for item in self.added)

    def identities(self) -> Counter[tuple[str, str]]:
        """How often each item stands in the new file with each target, by the item's digest."""
        digests = [*self.old.digests, *(self.new.digests[item] for item in self.added)]
        return Counter(zip(digests, self.labels(), strict=True))

    def labels(self) -> list[str]:
        """The target of each as one text."""
        labels = self.new.labels
        return [*self.old.labels, *(labels[item] for item in self.added)]

    def images(self) -> Iterator[bytes]:
        """Their image files, read one after the other."""
        yield from self.old.encoded(range(len(self.old)))
        yield from self.new.encoded(self.added)


def join(old: Contents, new: Contents, findings: Findings) -> Joined | None:
    """None, and faults, where the two are not of one kind, or say different things of one item."""
    problem = _difference(old, new)
    if problem is not None:
        findings.fault("append_differs", problem)
        return None
    new = _in_order_of(old, new)
    known: dict[str, dict[str, int]] = {}
    old_labels, new_labels = old.labels, new.labels
    for item, digest in enumerate(old.digests):
        known.setdefault(digest, {}).setdefault(old_labels[item], item)
    added: list[int] = []
    fresh: set[tuple[str, str]] = set()
    for item, digest in enumerate(new.digests):
        label = new_labels[item]
        there = known.get(digest)
        if there is not None and label not in there:
            other, place = next(iter(there.items()))
            message = (
                f"this item is there already ({old.place(place)}), labelled {_shown(other)} and not {_shown(label)}"
            )
            findings.fault("conflicting_labels", message, new.place(item))
        elif there is None and (digest, label) not in fresh:
            fresh.add((digest, label))
            added.append(item)
    return None if findings.fault_count else Joined(old, new, added)


def _difference(old: Contents, new: Contents) -> str | None:
    if old.kind is not new.kind:
        return f"the dataset is of kind {old.kind}, and the new data of kind {new.kind}"
    if old.tokens is None and old.shape != new.shape:
        return f"an item of the dataset has the shape {old.shape}, and one of the new data {new.shape}"
    if set(old.columns) != set(new.columns):
        differing = sorted(set(old.columns) ^ set(new.columns))
        return f"the two have not the same columns: {', '.join(differing[:10])}"
    if clash := sorted(set(_names(old.targets)) & KINDS.keys()):
        return f"what is to be learned is called {clash[0]!r}, as an input is: such data cannot be added to"
    if type(old.targets) is not type(new.targets) or _names(old.targets) != _names(new.targets):
        return f"the dataset says {_meaning(old.targets)} of an item, and the new data {_meaning(new.targets)}"
    return None


def _in_order_of(old: Contents, new: Contents) -> Contents:
    """The same numbers with their columns as the dataset has them: an item's digest is of its numbers in order."""
    if new.numbers is None or old.columns == new.columns:
        return new
    numbers = new.numbers[:, [new.columns.index(column) for column in old.columns]]
    return replace(new, numbers=numbers, columns=old.columns, digests=number_digests(numbers))


def _names(targets: Targets) -> tuple[str, ...]:
    """The columns of what is to be learned, where each stands for something."""
    if isinstance(targets, Values):
        return targets.names
    return targets.known if isinstance(targets, LabelSets) else ()


def _meaning(targets: Targets) -> str:
    names = ", ".join(_names(targets)[:10])
    kind = {Classes: "one class", LabelSets: "labels", Values: "numbers"}[type(targets)]
    return f"{kind} ({names})" if names else kind


def _shown(label: str) -> str:
    return repr(label.replace("\x1f", " "))


@dataclass(frozen=True, slots=True)
class Written:
    """How the new file is to be read."""

    format: DatasetFormat
    options: Mapping[str, str] = field(default_factory=dict)


def write(joined: Joined, task: LearningTask, path: Path) -> Written:
    """Write the file. Raises: OSError."""
    options = {} if task is LearningTask.MULTICLASS else {TASK: str(task)}
    targets = joined.old.targets
    if joined.old.kind is InputKind.IMAGE and isinstance(targets, Classes) and _are_folders(joined):
        _write_folders(joined, path)
        return Written(DatasetFormat.ZIP, options)
    names = _names(targets)
    with path.open("w", encoding="utf-8") as stream:
        images = joined.images() if joined.old.kind is InputKind.IMAGE else None
        for contents, item in joined.items():
            image = None if images is None else next(images)
            line = {**_input(contents, item, image), **_target(contents.targets, item)}
            stream.write(json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n")
    return Written(DatasetFormat.JSONL, {**options, LABEL: _quoted(names)} if names else options)


def _are_folders(joined: Joined) -> bool:
    """Whether every class can be the name of a folder, and be read as that again."""
    labels = set(joined.labels())
    return all(
        "\\" not in label and PurePosixPath(label).parts == (label,) and not is_clutter((label,)) for label in labels
    )


def _write_folders(joined: Joined, path: Path) -> None:
    images = joined.images()
    with zipfile.ZipFile(path, "w") as archive:
        for number, (label, data) in enumerate(zip(joined.labels(), images, strict=True)):
            suffix = "png" if data.startswith(PNG) else "jpg"
            archive.writestr(zipfile.ZipInfo(f"{label}/{number:07}.{suffix}", LONG_AGO), data)


def _input(contents: Contents, item: int, image: bytes | None) -> dict[str, Any]:
    if image is not None:
        return {"image": base64.b64encode(image).decode()}
    if contents.kind is InputKind.TEXT:
        return {"text": contents.texts[item]}
    if contents.tokens is not None:
        tokens = contents.tokens[item].tolist()
        while len(tokens) > 1 and not tokens[-1]:
            tokens.pop()
        return {"tokens": tokens}
    assert contents.numbers is not None
    numbers = contents.numbers[item].tolist()
    return {"features": dict(zip(contents.columns, numbers, strict=True)) if contents.columns else numbers}


def _target(targets: Targets, item: int) -> dict[str, Any]:
    match targets:
        case Classes():
            return {"label": targets.labels[item]}
        case LabelSets():
            if targets.known:
                return {name: int(name in targets.sets[item]) for name in targets.known}
            return {"labels": list(targets.sets[item])}
        case Values():
            return dict(zip(targets.names, targets.values[item].tolist(), strict=True))


def _quoted(names: Sequence[str]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(names)
    return stream.getvalue()
