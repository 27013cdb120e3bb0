"""The dataset check: read a file with the eyes of its format, then hold the whole against what training needs.

Every fault is found in one go. The training run makes the same check again before it begins, so that what a person was
told is what will happen.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from service.domain.dataset import DatasetFormat, DatasetReport, ValueSummary
from service.domain.learning import LearningTask
from training.data import arrays, image_archive, image_folder, jsonl, parquet, table, tar_archive, tfrecord
from training.data.contents import Contents, in_label_order
from training.data.doctor import look_for_obstacles, look_for_oddities
from training.data.findings import TOO_LARGE, Findings
from training.data.reading import Reading
from training.data.target_reading import names_fit
from training.data.targets import LabelSets, Values

READERS: dict[DatasetFormat, Callable[[Path, Reading, Findings], Contents | None]] = {
    DatasetFormat.ZIP: image_archive.read,
    DatasetFormat.TAR: tar_archive.read,
    DatasetFormat.IMAGE_DIR: image_folder.read,
    DatasetFormat.CSV: table.read,
    DatasetFormat.PARQUET: parquet.read,
    DatasetFormat.NPZ: arrays.read,
    DatasetFormat.JSONL: jsonl.read,
    DatasetFormat.TFRECORD: tfrecord.read,
}
HEAD = 4_096
"""Bytes that tell the format."""
PARQUET_MAGIC = b"PAR1"


def check(
    path: Path,
    format: DatasetFormat | None = None,
    label: str | Sequence[str] | None = None,
    task: LearningTask = LearningTask.MULTICLASS,
) -> tuple[DatasetReport, Contents | None]:
    """``examine`` with what most files need: a format, the column or columns of the label, and the task."""
    columns = (label,) if isinstance(label, str) else tuple(label or ())
    return examine(path, Reading(format=format, label=columns, task=task))


def examine(path: Path, reading: Reading) -> tuple[DatasetReport, Contents | None]:
    """What is in the file and everything wrong with it; the contents too, when there is nothing wrong.

    Raises:
        OSError: the file cannot be opened.
    """
    findings = Findings()
    contents, format = None, reading.format
    try:
        format = format or format_of(path)
        if _may_be_read(path, format, reading, findings) and format is not None:
            contents = READERS[format](path, reading, findings)
            contents = _looked_over(contents, reading, findings)
    except MemoryError:
        findings.fault("too_large", TOO_LARGE)
    good = contents if not findings.fault_count else None
    return _report(format, reading, findings, good), good


def format_of(path: Path) -> DatasetFormat | None:
    """The format of a file or folder, seen from what it is. Raises: OSError."""
    if path.is_dir():
        return DatasetFormat.IMAGE_DIR
    with path.open("rb") as stream:
        return guess_format(path, stream.read(HEAD))


def guess_format(path: Path, head: bytes) -> DatasetFormat | None:
    """The format, from the first bytes and an archive's directory, never from the name; None if it is none of ours."""
    if head.startswith(b"PK"):
        # What is wrong with an archive that cannot be listed, its reader will find again and say.
        names = Findings().attempt(partial(_file_names, path), "not_an_archive", "this cannot be listed")
        return DatasetFormat.NPZ if names and all(name.endswith(".npy") for name in names) else DatasetFormat.ZIP
    if head.startswith(PARQUET_MAGIC):
        return DatasetFormat.PARQUET
    if tar_archive.looks_like_one(head):
        return DatasetFormat.TAR
    if tfrecord.looks_like_one(head):
        return DatasetFormat.TFRECORD
    if b"\x00" in head:
        return None
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError as error:
        # The cut may fall inside a character; an error before the last bytes is a real one. If it comes after a sound
        # first line, the reader can say in which row.
        if error.start < len(head) - 8 and not (b"," in head.partition(b"\n")[0] and b"\n" in head[: error.start]):
            return None
    return DatasetFormat.JSONL if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else DatasetFormat.CSV


def _file_names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [info.filename for info in archive.infolist() if not info.is_dir()]


def _may_be_read(path: Path, format: DatasetFormat | None, reading: Reading, findings: Findings) -> bool:
    """Whether reading makes sense at all; faults say why not."""
    if path.is_dir() != (format is DatasetFormat.IMAGE_DIR):
        findings.fault("unknown_format", f"{format} is a file, and this is a folder" if path.is_dir() else NO_FOLDER)
        return False
    if format is not DatasetFormat.IMAGE_DIR and not path.stat().st_size:
        findings.fault("empty_file", "the file is empty")
        return False
    if format is None:
        findings.fault("unknown_format", UNKNOWN)
        return False
    if reading.digest is not None and format is not DatasetFormat.IMAGE_DIR:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != reading.digest:
            findings.fault("wrong_digest", f"its sha256 is {found}, and dataset.digest says {reading.digest}")
            return False
    return names_fit(reading, findings)


NO_FOLDER = "image_dir is a folder, and this is a file"
UNKNOWN = "this is none of: a zip or tar archive of images, CSV, JSON lines, Parquet, an NPZ file, a TFRecord file"


def _looked_over(contents: Contents | None, reading: Reading, findings: Findings) -> Contents | None:
    if reading.quarantines and contents is not None:
        findings.counts, findings.items = Counter(_names(contents)), len(contents)
        _hold_share(contents, reading, findings)
    if reading.part:
        return contents
    look_for_obstacles(contents, reading, findings)
    if contents is not None and not findings.fault_count:
        look_for_oddities(contents, findings)
    return contents


def _names(contents: Contents) -> list[str]:
    """What items are counted under."""
    if isinstance(contents.targets, Values):
        return []
    if isinstance(contents.targets, LabelSets):
        return [label for labels in contents.targets.sets for label in labels]
    return list(contents.labels)


def _hold_share(contents: Contents, reading: Reading, findings: Findings) -> None:
    """Too many items that cannot be read are no accident."""
    if not findings.lost:
        return
    share = findings.lost / (findings.lost + len(contents))
    if share <= reading.max_bad:
        findings.warn(
            "quarantined", f"{findings.lost} items cannot be read and are left out", findings.quarantined[0].place
        )
        return
    message = f"{findings.lost} items, {share:.1%} of all, cannot be read; dataset.max_bad allows {reading.max_bad:.1%}"
    findings.fault("too_many_bad", message)
    for one in findings.quarantined:
        findings.fault(one.code, one.message, one.place)


def _report(format: DatasetFormat | None, reading: Reading, findings: Findings, good: Contents | None) -> DatasetReport:
    values = {}
    if good is not None and isinstance(good.targets, Values):
        for name, column in zip(good.targets.names, good.targets.values.T, strict=True):
            values[name] = ValueSummary(float(column.min()), float(column.mean()), float(column.max()))
    order = [label for label in reading.labels if label in findings.counts] or in_label_order(findings.counts)
    return DatasetReport(
        format=format,
        kind=findings.kind,
        items=findings.items,
        classes={label: findings.counts[label] for label in order},
        shape=findings.shape,
        columns=findings.columns,
        digest=good.digest if good else None,
        faults=tuple(findings.faults),
        fault_count=findings.fault_count,
        warnings=findings.warnings(),
        task=reading.task,
        values=values,
        quarantined=tuple(findings.quarantined),
        quarantined_count=findings.lost if reading.quarantines else 0,
    )
