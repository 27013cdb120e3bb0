"""A zip archive with one folder a class and PNG or JPEG images in it.

Nothing is extracted to disk, no entry is trusted to be as small as it says, and of the images only one is decoded in
memory at a time.
"""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from service.domain.artifact import InputKind
from service.domain.dataset import DatasetFormat
from training.data.contents import Contents
from training.data.findings import Findings
from training.data.labels import label_problem

LARGEST_ITEM = 64 * 2**20
"""Bytes of one image file."""
LARGEST_TOTAL = 20 * 2**30
"""Bytes of all files together, unpacked."""
MOST_PIXELS = 50_000_000
"""Of one image; more is a decompression bomb or a mistake."""
MOST_ENTRIES = 1_000_000
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
FORMATS = frozenset({"PNG", "JPEG", "MPO"})
"""As Pillow calls them; MPO is a JPEG with more pictures after the first, as telephones take them."""
CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
"""What desktop systems leave in archives, lower case."""
ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the archive that counts: its index in the directory and its path's parts."""

    index: int
    parts: tuple[str, ...]
    info: zipfile.ZipInfo


def read(path: Path, findings: Findings) -> Contents | None:
    """Look at every image; None when nothing usable could be read. Faults go to ``findings``."""
    opened = findings.attempt(partial(zipfile.ZipFile, path), "not_an_archive", "this is not a readable zip archive")
    if opened is None:
        return None
    with opened as archive:
        return _read(archive, path, findings)


def _read(archive: zipfile.ZipFile, path: Path, findings: Findings) -> Contents | None:
    directory = archive.infolist()
    if len(directory) > MOST_ENTRIES:
        findings.fault("too_many_entries", f"the archive has {len(directory)} entries; at most {MOST_ENTRIES} are read")
        return None
    findings.kind = InputKind.IMAGE
    total = sum(info.file_size for info in directory)
    if total > LARGEST_TOTAL:
        findings.fault("too_large", f"unpacked, the archive holds {total} bytes; at most {LARGEST_TOTAL} are read")
        return None
    files = [entry for entry in map(_entry, range(len(directory)), directory) if entry is not None]
    depth = _wrapping_folders(files)
    labels, digests, entries = [], [], []
    for entry in files:
        label = _label(entry, depth, findings)
        if label is None:
            continue
        digest = _digest(archive, entry, label, findings)
        if digest is not None:
            labels.append(label)
            digests.append(digest)
            entries.append(entry.index)
    _count_empty_folders(directory, depth, findings)
    if not findings.counts and not findings.fault_count:
        findings.fault("no_classes", "the archive has no images in folders; it needs one folder a class")
    return Contents(DatasetFormat.ZIP, InputKind.IMAGE, path, tuple(labels), tuple(digests), entries=tuple(entries))


def _entry(index: int, info: zipfile.ZipInfo) -> Entry | None:
    parts = PurePosixPath(info.filename.replace("\\", "/")).parts
    if info.is_dir() or not parts or _is_clutter(parts):
        return None
    return Entry(index, parts, info)


def _is_clutter(parts: tuple[str, ...]) -> bool:
    return any((part.startswith(".") and part != "..") or part.lower() in CLUTTER for part in parts)


def _wrapping_folders(files: list[Entry]) -> int:
    """1 when one folder is wrapped around all class folders, else 0."""
    tops = {entry.parts[0] for entry in files}
    deep = [entry for entry in files if len(entry.parts) >= 3]
    loose = [entry for entry in files if len(entry.parts) == 2 and _is_image_name(entry)]
    return 1 if len(tops) == 1 and deep and not loose else 0


def _label(entry: Entry, depth: int, findings: Findings) -> str | None:
    """The class folder an entry lies in; None, and a fault or a warning, when it lies in none."""
    place = entry.info.filename
    if ".." in entry.parts or entry.parts[0] == "/":
        findings.fault("unsafe_path", "this path leads out of the archive", place)
        return None
    inner = entry.parts[depth:]
    if len(inner) == 2:
        problem = label_problem(inner[0])
        if problem is not None:
            findings.fault("bad_label", problem, place)
        return inner[0] if problem is None else None
    if len(inner) > 2:
        findings.fault(
            "nested_folder", "this lies in a folder inside a class folder; put it into a class folder", place
        )
    elif _is_image_name(entry):
        findings.fault("no_class_folder", "this image is in no class folder", place)
    else:
        findings.warn("ignored_file", "this file is in no class folder and is ignored", place)
    return None


def _is_image_name(entry: Entry) -> bool:
    return PurePosixPath(entry.parts[-1]).suffix.lower() in IMAGE_SUFFIXES


def _digest(archive: zipfile.ZipFile, entry: Entry, label: str, findings: Findings) -> str | None:
    """The digest of a readable image; None, and a fault, for anything else."""
    place = entry.info.filename
    findings.saw(label)
    if entry.info.flag_bits & ENCRYPTED:
        findings.fault("encrypted", "this file is encrypted", place)
        return None
    data = findings.attempt(
        partial(_unpacked, archive, entry.info), "unreadable_entry", "this file cannot be unpacked", place
    )
    if data is None:
        return None
    if len(data) > LARGEST_ITEM:
        findings.fault("too_large", f"this file is larger than {LARGEST_ITEM} bytes", place)
        return None
    before = findings.fault_count
    look = partial(_image_problem, data, named_as_image=_is_image_name(entry))
    problem = findings.attempt(look, "unreadable_image", "this image cannot be decoded", place)
    if problem is not None:
        findings.fault(*problem, place)
    return hashlib.sha256(data).hexdigest() if findings.fault_count == before else None


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """A file's bytes, but no more than show that it is too large."""
    with archive.open(info) as stream:
        return stream.read(LARGEST_ITEM + 1)


def _image_problem(data: bytes, *, named_as_image: bool) -> tuple[str, str] | None:
    """Decode an image in full: None, or a code and what is wrong. Raises: whatever its bytes make Pillow raise."""
    if not data:
        return "unreadable_image", "this file is empty"
    try:
        with warnings.catch_warnings():
            # Pillow warns about large images; the limit here is ours, and is a fault.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                if image.format not in FORMATS:
                    return "unsupported_file", f"this is a {image.format} file; only PNG and JPEG images are read"
                if image.width * image.height > MOST_PIXELS:
                    return "too_many_pixels", f"this image has {image.width} x {image.height} pixels"
                if image.mode == "CMYK":
                    return "unsupported_colours", "this image is in CMYK colours, made for print; save it as RGB"
                image.load()
    except UnidentifiedImageError:
        if named_as_image:
            return "unreadable_image", "this is not an image, whatever its name says"
        return "unsupported_file", "only PNG and JPEG images belong in a class folder"
    except Image.DecompressionBombError as error:
        return "too_many_pixels", str(error)
    return None


def _count_empty_folders(directory: list[zipfile.ZipInfo], depth: int, findings: Findings) -> None:
    """A class folder without files is a class with 0 items, not no class."""
    for info in directory:
        parts = PurePosixPath(info.filename).parts
        if info.is_dir() and len(parts) == depth + 1 and not _is_clutter(parts):
            problem = label_problem(parts[depth])
            if problem is None:
                findings.counts.setdefault(parts[depth], 0)
            else:
                findings.fault("bad_label", problem, info.filename)
