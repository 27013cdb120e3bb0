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

MOST_FAULTS_SHOWN = 100
"""A report lists this many faults one by one; all of them are counted."""


class DatasetFormat(StrEnum):
    """How labelled data arrives."""

    ZIP = "zip"
    """One folder a class, PNG or JPEG images in it."""
    CSV = "csv"
    """A header, one label column, numbers in all others."""
    NPZ = "npz"
    """Arrays ``x`` [n, ...] and ``y`` [n]."""


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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> DatasetReport:
        """The inverse of ``to_dict`` after a trip through JSON."""
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


def dataset_id(digest: str) -> str:
    """The name of the dataset with this content."""
    return f"ds-{digest[:20]}"


def misfits(report: DatasetReport, wanted: InputSpec) -> list[Fault]:
    """What keeps this data from a base that takes ``wanted``: nothing, or the wrong kind, or the wrong width.

    Numbers may come flat for a base that takes images, as long as there are as many as one image holds.
    """
    if report.kind is None:
        return []
    if report.kind is InputKind.IMAGE:
        if wanted.kind is InputKind.IMAGE:
            return []
        return [
            Fault("base_mismatch", f"the base takes {wanted.width} numbers an item, but this data is images", "file")
        ]
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
