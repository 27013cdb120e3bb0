"""Labelled data as the service and the trainer speak of it: what a dataset is, what can be wrong with one, and whether
it fits a base. How files are read is the trainer's; this page is what both sides call things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from service.domain.artifact import InputKind, InputSpec
from service.domain.faults import Fault
from service.domain.learning import LearningTask

LABEL, TASK = "label", "task"
"""Options of a dataset: the label column, or several with commas between them; and what is to be learned."""
MOST_FAULTS_SHOWN = 100
"""A report lists this many faults one by one; all of them are counted."""


class DatasetFormat(StrEnum):
    """How labelled data arrives."""

    ZIP = "zip"
    """One folder a class, PNG or JPEG images in it."""
    TAR = "tar"
    """The same in a tar archive, plain or in gzip."""
    CSV = "csv"
    """A header, one label column, numbers in all others."""
    NPZ = "npz"
    """Arrays ``x`` [n, ...] and ``y`` [n]."""
    PARQUET = "parquet"
    """A table, as CSV."""
    JSONL = "jsonl"
    """One JSON object a line: a text, an image in base64, numbers or tokens, and what is to be learned of it."""
    TFRECORD = "tfrecord"
    """``tf.Example`` records."""
    IMAGE_DIR = "image_dir"
    """A folder with one folder a class; offline only."""


UPLOADED = tuple(format for format in DatasetFormat if format is not DatasetFormat.IMAGE_DIR)
"""Formats that are one file, and so can be sent."""


@dataclass(frozen=True, slots=True)
class ValueSummary:
    """The range of a number to be learned, in its own unit."""

    min: float
    mean: float
    max: float


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What a look at labelled data found. Without faults it can be tuned on; warnings do not stop it."""

    format: DatasetFormat | None
    kind: InputKind | None
    items: int
    classes: Mapping[str, int]
    """Items of each class, keys in the order of the labels."""
    shape: tuple[int, ...] | None
    """Shape of one item; for images None, since each is fitted to the base."""
    columns: tuple[str, ...] = ()
    digest: str | None = None
    """sha256 over the items and their labels, whatever order or archive they came in; None when there are faults."""
    faults: tuple[Fault, ...] = ()
    fault_count: int = 0
    """All faults found, also those beyond the ones listed."""
    warnings: tuple[Fault, ...] = ()
    task: LearningTask = LearningTask.MULTICLASS
    """What the data was read for."""
    values: Mapping[str, ValueSummary] = field(default_factory=dict)
    """Of each number to be learned, by name; empty unless the task is regression."""
    quarantined: tuple[Fault, ...] = ()
    """What is wrong with items that were left out, when that was asked for; the first ``MOST_FAULTS_SHOWN``."""
    quarantined_count: int = 0
    """Items that were left out."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> DatasetReport:
        """The inverse of ``to_dict`` after a trip through JSON; reports of older versions know fewer keys."""
        return cls(
            format=DatasetFormat(raw["format"]) if raw["format"] else None,
            kind=InputKind(raw["kind"]) if raw["kind"] else None,
            items=int(raw["items"]),
            classes=dict(raw["classes"]),
            shape=tuple(raw["shape"]) if raw["shape"] is not None else None,
            columns=tuple(raw["columns"]),
            digest=raw["digest"],
            faults=tuple(Fault(**fault) for fault in raw["faults"]),
            fault_count=int(raw["fault_count"]),
            warnings=tuple(Fault(**fault) for fault in raw["warnings"]),
            task=LearningTask(raw.get("task", LearningTask.MULTICLASS)),
            values={name: ValueSummary(**summary) for name, summary in raw.get("values", {}).items()},
            quarantined=tuple(Fault(**fault) for fault in raw.get("quarantined", ())),
            quarantined_count=int(raw.get("quarantined_count", 0)),
        )


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled data at rest: immutable, and named by its content."""

    id: str
    report: DatasetReport
    filename: str
    size_bytes: int
    created: float
    """Seconds since the epoch."""
    options: Mapping[str, str] = field(default_factory=dict)
    """How it was to be read: the label column, for instance."""
    file: str = ""
    """The name its content is kept under."""
    parent: str | None = None
    """The dataset that it has all items of, and more."""


@dataclass(frozen=True, slots=True)
class Extended:
    """What became of a dataset and more of its kind."""

    report: DatasetReport
    """Of both together; of what was to be added, where that has faults."""
    options: Mapping[str, str]
    """How the new file is to be read."""
    added: int
    """Items that the dataset had not; with none there is no new file."""
    known: int
    """Items that were left out because it had them."""


def dataset_id(digest: str) -> str:
    """The name of the dataset with this content."""
    return f"ds-{digest[:20]}"


SPOKEN = {
    InputKind.IMAGE: "images",
    InputKind.VECTOR: "numbers",
    InputKind.TEXT: "texts",
    InputKind.TOKENS: "numbers of tokens",
}


def misfits(report: DatasetReport, wanted: InputSpec) -> list[Fault]:
    """What keeps this data from a base that takes ``wanted``: nothing, or the wrong kind, or the wrong width.

    Numbers may come flat for a base that takes images, as long as there are as many as one image holds. Tokens may be
    fewer or more than the base takes: they are filled up or cut off.
    """
    if report.kind is None or (report.kind is wanted.kind and report.kind is not InputKind.VECTOR):
        return []
    if report.kind is not InputKind.VECTOR or wanted.kind not in {InputKind.VECTOR, InputKind.IMAGE}:
        takes = f"{wanted.width} {SPOKEN[wanted.kind]} an item" if wanted.shape else SPOKEN[wanted.kind]
        return [Fault("base_mismatch", f"the base takes {takes}, but this data is {SPOKEN[report.kind]}", "file")]
    if report.shape is None:
        return []
    width = 1
    for size in report.shape:
        width *= size
    if width == wanted.width:
        return []
    shape = "x".join(map(str, wanted.shape))
    return [
        Fault(
            "wrong_width",
            f"the base takes {wanted.width} numbers an item ({shape}), but this data has {width}",
            f"columns {', '.join(report.columns[:3])}..." if report.columns else "x",
        )
    ]
