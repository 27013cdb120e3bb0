"""Which data, how it becomes input, and how it is divided."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from training.recipe.strict import Name, Share, Strict, Width

Format = Literal["zip", "tar", "image_dir", "csv", "parquet", "npz", "jsonl", "tfrecord"]


class Filter(Strict):
    """Which items of the data are used."""

    labels: list[str] = Field(min_length=1)
    """Items of other classes are left out."""


class DatasetChoice(Strict):
    """Which data: a file, a folder, or one that ships with a library (``builtin:digits:5-9``)."""

    uri: str = Field(min_length=1)
    format: Format | None = None
    """None: seen from the content."""
    label: Name | Annotated[list[Name], Field(min_length=1)] | None = None
    """The column, or key, that holds what is to be learned; several for multilabel 0/1 columns or several values."""
    features: list[Name] | None = Field(default=None, min_length=1)
    """The columns that are input; None: all that mean nothing else."""
    group: Name | None = None
    """Items that share this column's value never fall on both sides of the split."""
    time: Name | None = None
    """The column that ``split.method: time`` orders by."""
    side: Name | None = None
    """The column that says ``train`` or ``test`` for ``split.method: predefined``."""
    weight: Name | None = None
    """The column with each item's weight in the loss."""
    labels: list[str] | None = Field(default=None, min_length=2)
    """The classes and their order; None: those that occur, sorted."""
    filter: Filter | None = None
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """sha256 that the file must have: needed for the archives of public data sets."""
    on_bad: Literal["fail", "quarantine"] = "fail"
    """What becomes of items that cannot be read: the job fails, or it goes on without them."""
    max_bad: Share = 0.02
    """The share of items that may be put in quarantine."""


class SplitChoice(Strict):
    """How the data is divided: ``test`` is the share that is sealed, ``val`` the share that fine-tuning watches."""

    method: Literal["stratified", "group", "time", "predefined"] = "stratified"
    test: float = Field(default=0.2, gt=0, lt=0.9)
    val: float = Field(default=0.1, gt=0, lt=0.9)


class InputChoice(Strict):
    """How data that does not fit the base is made to."""

    adapter: Literal["none", "auto", "select", "pad", "project", "replace_first"] = "none"
    """For vectors of another width than the base takes."""
    resize: Literal["pad", "crop", "stretch"] = "pad"
    """For images of another shape than the base takes. A base has it in its export; heads inherit it."""


class AugmentChoice(Strict):
    """Varied copies of training images. ``policy`` is for fine-tuning, ``cached_copies`` for the probe."""

    policy: Literal["auto", "none", "light", "strong"] = "auto"
    cached_copies: int = Field(default=0, ge=0, le=16)


class LimitsChoice(Strict):
    """Hard limits of a job: beyond them it fails and says which."""

    examples: int = Field(default=1_000_000, ge=2)
    seconds: int = Field(default=3_600, ge=1)
    memory_mb: Width = 16_384
    threads: int = Field(default=2, ge=1, le=1_024)
    gpu_memory_mb: int | None = Field(default=None, ge=64)


def check_sides(dataset: DatasetChoice | None, split: SplitChoice) -> None:
    """Raises: ValueError: the split needs a column that the dataset does not name."""
    column = {"group": "group", "time": "time", "predefined": "side"}.get(split.method)
    if column and dataset is not None and getattr(dataset, column) is None:
        raise ValueError(f"split.method {split.method!r} needs dataset.{column}")
