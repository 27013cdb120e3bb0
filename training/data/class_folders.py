"""One folder a class, images in it: what a path says, whether it is one of an archive or of a folder on the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from service.domain.artifact import InputKind
from service.domain.learning import LearningTask
from training.data.findings import Findings
from training.data.gathering import Beside, Gathering
from training.data.labels import label_problem
from training.data.pictures import Picture, Pictures, UnfitImage, look_at
from training.data.reading import Reading
from training.data.sources import LARGEST_ITEM

MOST_ENTRIES = 1_000_000
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
"""What desktop systems leave in archives, lower case."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that counts: its number, its name as it is shown, and its path's parts."""

    index: int
    name: str
    parts: tuple[str, ...]

    @property
    def named_as_image(self) -> bool:
        """Whether its name ends as images' do."""
        return PurePosixPath(self.parts[-1]).suffix.lower() in IMAGE_SUFFIXES


@dataclass(slots=True)
class FolderImagesGathering:
    """Gathers images that lie in class folders."""

    gathering: Gathering
    kept: list[Entry] = field(default_factory=list)
    pictures: Pictures = field(default_factory=Pictures)

    def add_all(self, entries: Sequence[Entry], data_of: Callable[[Entry], bytes | None], depth: int) -> None:
        """Look at every file. ``data_of`` gives its bytes; None, and a fault, where it cannot."""
        for entry in entries:
            label = class_of(entry, depth, self.gathering.findings)
            if label is not None and self.gathering.reading.wants(label):
                self._add(entry, label, data_of)

    def _add(self, entry: Entry, label: str, data_of: Callable[[Entry], bytes | None]) -> None:
        findings = self.gathering.findings
        one = self.gathering.targets.from_class(label, entry.name)
        if one is not None:
            self.gathering.targets.saw(one)
        data = data_of(entry)
        picture = None if data is None else seen(data, entry.name, findings, named_as_image=entry.named_as_image)
        if data is None or picture is None or one is None:
            self.gathering.lose()
        else:
            self.kept.append(entry)
            self.pictures.add(picture)
            self.gathering.keep(one, hashlib.sha256(data).hexdigest(), Beside())


def folders_fit(reading: Reading, findings: Findings) -> bool:
    """Whether class folders can say what the reading asks for; faults say why not."""
    before = findings.fault_count
    findings.kind = InputKind.IMAGE
    if reading.task not in {LearningTask.BINARY, LearningTask.MULTICLASS}:
        wanted = "numbers" if reading.task is LearningTask.REGRESSION else "several labels an item"
        message = f"folders name one class an image, and task {reading.task} learns {wanted}: use jsonl or tfrecord"
        findings.fault("wrong_task", message)
    asked = {"label": reading.label, "features": reading.features, "group": reading.group, "time": reading.time}
    for name, value in {**asked, "side": reading.side, "weight": reading.weight}.items():
        if value:
            findings.fault("no_columns", f"images in folders have no columns, so that {name} cannot name one")
    return findings.fault_count == before


def seen(data: bytes, place: str, findings: Findings, *, named_as_image: bool = True) -> Picture | None:
    """What an image looks like; None, and a fault, for what is none."""
    if len(data) > LARGEST_ITEM:
        findings.item_fault("too_large", f"this file is larger than {LARGEST_ITEM} bytes", place)
        return None

    def look() -> Picture | None:
        try:
            return look_at(data, named_as_image=named_as_image)
        except UnfitImage as unfit:
            findings.item_fault(unfit.code, str(unfit), place)
            return None

    return findings.attempt_item(look, "unreadable_image", "this image cannot be decoded", place)


def is_clutter(parts: Sequence[str]) -> bool:
    """Whether a path is what desktop systems leave behind."""
    return any((part.startswith(".") and part != "..") or part.lower() in CLUTTER for part in parts)


def wrapping_folders(entries: Sequence[Entry]) -> int:
    """1 when one folder is wrapped around all class folders, else 0."""
    tops = {entry.parts[0] for entry in entries}
    deep = [entry for entry in entries if len(entry.parts) >= 3]
    loose = [entry for entry in entries if len(entry.parts) == 2 and entry.named_as_image]
    return 1 if len(tops) == 1 and deep and not loose else 0


def class_of(entry: Entry, depth: int, findings: Findings) -> str | None:
    """The class folder an entry lies in; None, and a fault or a warning, when it lies in none."""
    if ".." in entry.parts or entry.parts[0] == "/":
        findings.fault("unsafe_path", "this path leads out of the archive", entry.name)
        return None
    inner = entry.parts[depth:]
    if len(inner) == 2:
        problem = label_problem(inner[0])
        if problem is not None:
            findings.fault("bad_label", problem, entry.name)
        return inner[0] if problem is None else None
    if len(inner) > 2:
        message = "this lies in a folder inside a class folder; put it into a class folder"
        findings.fault("nested_folder", message, entry.name)
    elif entry.named_as_image:
        findings.fault("no_class_folder", "this image is in no class folder", entry.name)
    else:
        findings.warn("ignored_file", "this file is in no class folder and is ignored", entry.name)
    return None


def count_empty_folder(name: str, parts: Sequence[str], depth: int, gathering: Gathering) -> None:
    """A class folder without files is a class with 0 items, not no class."""
    if len(parts) == depth + 1 and not is_clutter(parts):
        problem = label_problem(parts[depth])
        if problem is not None:
            gathering.findings.fault("bad_label", problem, name)
        elif gathering.reading.wants(parts[depth]):
            gathering.findings.counts.setdefault(parts[depth], 0)
