"""A tar archive, plain or in gzip, with one folder a class and PNG or JPEG images in it.

Nothing is extracted under the names that the archive gives. Links, devices and paths that lead out of it are faults,
and so is an archive that inflates to far more than images do.
"""

from __future__ import annotations

import gzip
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from training.data.image_archive import LARGEST_TOTAL
from training.data.reading import Reading
from training.data.sources import LARGEST_ITEM, Images, InflatedImages, SliceImages, as_it_is
from training.data.tar_members import FILE, FOLDER, MAGIC, MAGIC_AT, Forward, Member, members

GZIP = b"\x1f\x8b"
SMALL, LARGEST_RATIO = 64 * 2**20, 100
"""Inflated, an archive has at most so many bytes, or at most so many times what it has compressed: images hardly
compress, and a bomb does nothing else."""


def looks_like_one(head: bytes) -> bool:
    """Whether a file that begins so may be one."""
    if head.startswith(GZIP):
        try:
            head = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(head, 4_096)
        except zlib.error:
            return False
    return head[MAGIC_AT:].startswith(MAGIC)


def read(path: Path, reading: Reading, findings: Findings) -> Contents | None:
    """Look at every image; None when nothing usable could be read. Faults go to ``findings``."""
    if not folders_fit(reading, findings):
        return None
    found = findings.attempt(partial(_listed, path), "not_an_archive", "this is not a readable tar archive")
    if found is None:
        return None
    gathering = Gathering(reading, findings)
    if len(found) > MOST_ENTRIES:
        findings.fault("too_many_entries", f"the archive has over {MOST_ENTRIES} entries; no more are read")
        return None
    entries = _plain_files(found, findings)
    depth = wrapping_folders(entries)
    images = FolderImagesGathering(gathering)
    with _opened(path) as forward:
        images.add_all(entries, lambda entry: _bytes(forward, found[entry.index], findings), depth)
    for member in found:
        if member.kind == FOLDER:
            count_empty_folder(member.name, PurePosixPath(member.name).parts, depth, gathering)
    if not findings.counts and not findings.fault_count:
        findings.fault("no_classes", "the archive has no images in folders; it needs one folder a class")
    return gathering.contents(
        DatasetFormat.TAR,
        InputKind.IMAGE,
        path,
        [entry.name for entry in images.kept],
        images=_images(path, [found[entry.index] for entry in images.kept]),
        pictures=images.pictures,
    )


def _images(path: Path, kept: Sequence[Member]) -> Images:
    offsets, lengths = array("q", [one.offset for one in kept]), array("q", [one.size for one in kept])
    if _is_gzip(path):
        return InflatedImages(path, offsets, lengths)
    return SliceImages(path, offsets, lengths, as_it_is)


def _listed(path: Path) -> list[Member]:
    """Every entry, up to one more than are read."""
    found = []
    with _opened(path) as forward:
        for member in members(forward):
            found.append(member)
            if len(found) > MOST_ENTRIES:
                break
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Forward]:
    if not _is_gzip(path):
        with path.open("rb") as plain:
            yield Forward(plain, LARGEST_TOTAL)
        return
    most = min(LARGEST_TOTAL, max(SMALL, LARGEST_RATIO * path.stat().st_size))
    with gzip.open(path, "rb") as inflated:
        yield Forward(inflated, most)


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(GZIP)) == GZIP


def _entry(index: int, member: Member) -> Entry | None:
    parts = PurePosixPath(member.name.replace("\\", "/")).parts
    return None if member.kind == FOLDER or not parts or is_clutter(parts) else Entry(index, member.name, parts)


def _plain_files(found: Sequence[Member], findings: Findings) -> list[Entry]:
    """The entries that count; faults for what is no file, and for names that are there twice."""
    entries: list[Entry] = []
    names: set[str] = set()
    for index, member in enumerate(found):
        entry = _entry(index, member)
        if entry is None:
            continue
        if member.kind != FILE:
            message = f"this is a {member.kind}: put the file itself into the archive"
            findings.fault("not_a_file", message, member.name)
        elif member.name in names:
            findings.fault("name_twice", "this name is in the archive twice: which one counts?", member.name)
        else:
            names.add(member.name)
            entries.append(entry)
    return entries


def _bytes(forward: Forward, member: Member, findings: Findings) -> bytes | None:
    """A file's bytes, but no more than show that it is too large; None, and a fault, where there are none."""

    def unpack() -> bytes:
        forward.move_to(member.offset)
        return forward.read(min(member.size, LARGEST_ITEM + 1)) if member.size else b""

    return findings.attempt_item(unpack, "unreadable_entry", "this file cannot be unpacked", member.name)
