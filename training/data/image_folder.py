"""A folder on the disk with one folder a class and PNG or JPEG images in it; for whoever trains where the data lies.

Links are not followed: they might lead anywhere, and would make the data another's to change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from training.data.class_folders import (
    MOST_ENTRIES,
    Entry,
    FolderImagesGathering,
    count_empty_folder,
    folders_fit,
    is_clutter,
    wrapping_folders,
)
from training.data.contents import Contents
from training.data.findings import Findings
from training.data.gathering import Gathering
from training.data.reading import Reading
from training.data.sources import LARGEST_ITEM, FolderImages, read_plain_file

DEEPEST = 8
"""Folders in folders that are looked into; what lies deeper is no class folder anyway."""


def read(path: Path, reading: Reading, findings: Findings) -> Contents | None:
    """Look at every image; None when nothing usable could be read. Faults go to ``findings``."""
    if not folders_fit(reading, findings):
        return None
    gathering = Gathering(reading, findings)
    folders: list[str] = []
    entries: list[Entry] = []
    for name, is_folder in _walk(path, "", 0, findings):
        if is_folder:
            folders.append(name)
        else:
            entries.append(Entry(len(entries), name, PurePosixPath(name).parts))
        if len(entries) + len(folders) > MOST_ENTRIES:
            findings.fault("too_many_entries", f"the folder has over {MOST_ENTRIES} files; no more are read")
            return None
    depth = wrapping_folders(entries)
    images = FolderImagesGathering(gathering)
    images.add_all(entries, lambda entry: _bytes(path, entry, findings), depth)
    for name in folders:
        count_empty_folder(f"{name}/", PurePosixPath(name).parts, depth, gathering)
    if not findings.counts and not findings.fault_count:
        findings.fault("no_classes", "there are no images in folders; it needs one folder a class")
    names = [entry.name for entry in images.kept]
    return gathering.contents(
        DatasetFormat.IMAGE_DIR,
        InputKind.IMAGE,
        path,
        names,
        images=FolderImages(path, names),
        pictures=images.pictures,
    )


def _walk(root: Path, inside: str, depth: int, findings: Findings) -> Iterator[tuple[str, bool]]:
    """Every file and folder below, by name in order, and whether it is a folder."""
    with os.scandir(root / inside) as found:
        listed = sorted(found, key=lambda entry: entry.name)
    for entry in listed:
        name = f"{inside}/{entry.name}" if inside else entry.name
        if is_clutter((entry.name,)):
            continue
        if entry.is_symlink():
            findings.fault("link", "this is a link, and links are not followed: put the file itself here", name)
        elif entry.is_dir():
            yield name, True
            if depth < DEEPEST:
                yield from _walk(root, name, depth + 1, findings)
            else:
                findings.fault("nested_folder", f"folders are looked into {DEEPEST} deep at most", name)
        else:
            yield name, False


def _bytes(root: Path, entry: Entry, findings: Findings) -> bytes | None:
    return findings.attempt_item(
        lambda: read_plain_file(root / entry.name, LARGEST_ITEM), "unreadable_entry", "it cannot be read", entry.name
    )
