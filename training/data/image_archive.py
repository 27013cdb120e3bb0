"""A zip archive with one folder a class and PNG or JPEG images in it.

Nothing is extracted to disk, no entry is trusted to be as small as it says, and of the images only one is decoded in
memory at a time.
"""

from __future__ import annotations

import zipfile
from functools import partial
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
from training.data.sources import LARGEST_ITEM, ZipImages

LARGEST_TOTAL = 20 * 2**30
"""Bytes of all files together, unpacked."""
ENCRYPTED = 0x1


def read(path: Path, reading: Reading, findings: Findings) -> Contents | None:
    """Look at every image; None when nothing usable could be read. Faults go to ``findings``."""
    opened = findings.attempt(partial(zipfile.ZipFile, path), "not_an_archive", "this is not a readable zip archive")
    if opened is None or not folders_fit(reading, findings):
        return None
    with opened as archive:
        return _read(archive, path, Gathering(reading, findings))


def _read(archive: zipfile.ZipFile, path: Path, gathering: Gathering) -> Contents | None:
    findings, directory = gathering.findings, archive.infolist()
    if len(directory) > MOST_ENTRIES:
        findings.fault("too_many_entries", f"the archive has {len(directory)} entries; at most {MOST_ENTRIES} are read")
        return None
    total = sum(info.file_size for info in directory)
    if total > LARGEST_TOTAL:
        findings.fault("too_large", f"unpacked, the archive holds {total} bytes; at most {LARGEST_TOTAL} are read")
        return None
    entries = [entry for entry in map(_entry, range(len(directory)), directory) if entry is not None]
    depth = wrapping_folders(entries)
    images = FolderImagesGathering(gathering)
    images.add_all(entries, lambda entry: _unpacked(archive, directory[entry.index], findings), depth)
    for info in directory:
        if info.is_dir():
            count_empty_folder(info.filename, PurePosixPath(info.filename).parts, depth, gathering)
    if not findings.counts and not findings.fault_count:
        findings.fault("no_classes", "the archive has no images in folders; it needs one folder a class")
    return gathering.contents(
        DatasetFormat.ZIP,
        InputKind.IMAGE,
        path,
        [entry.name for entry in images.kept],
        images=ZipImages(path, [entry.index for entry in images.kept]),
        pictures=images.pictures,
    )


def _entry(index: int, info: zipfile.ZipInfo) -> Entry | None:
    parts = PurePosixPath(info.filename.replace("\\", "/")).parts
    return None if info.is_dir() or not parts or is_clutter(parts) else Entry(index, info.filename, parts)


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, findings: Findings) -> bytes | None:
    """A file's bytes, but no more than show that it is too large; None, and a fault, where there are none."""
    if info.flag_bits & ENCRYPTED:
        findings.item_fault("encrypted", "this file is encrypted", info.filename)
        return None

    def unpack() -> bytes:
        with archive.open(info) as stream:
            return stream.read(LARGEST_ITEM + 1)

    return findings.attempt_item(unpack, "unreadable_entry", "this file cannot be unpacked", info.filename)
