"""What one head job is told, read from ``task.json`` in its working directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.domain.dataset import Dataset, DatasetFormat, DatasetReport
from service.domain.errors import InvalidInput
from service.domain.jobs import check_head_name
from training.errors import BadTask

FILE = "task.json"
LABEL_OPTION = "label"


@dataclass(frozen=True, slots=True)
class Task:
    """Where to read, where to write, what to make. The same fields as the service's ``TrainerTask``."""

    head: str
    base_model: str
    base_version: int
    base_directory: Path
    dataset_file: Path
    repository: Path
    job_id: str | None = None
    """None when a person started it: then publishing twice makes two versions."""
    dataset: Dataset | None = None
    """As it was when it was accepted; None when it has never been checked."""
    format: DatasetFormat | None = None
    label: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    current: Path | None = None

    def identity(self) -> dict[str, Any]:
        """Everything the result depends on; ``current`` is left out, since it may move while a job waits to rerun."""
        return {
            "job_id": self.job_id,
            "head": self.head,
            "base": [self.base_model, self.base_version, str(self.base_directory)],
            "dataset": self.dataset.id if self.dataset else str(self.dataset_file),
            "recipe": self.recipe,
            "repository": str(self.repository),
        }


KEYS = frozenset(
    {"job_id", "head", "base_model", "base_version", "base_directory", "dataset_file", "dataset", "repository"}
    | {"recipe", "current"}
)


def read_task(workdir: Path) -> Task:
    """The task in a working directory.

    Raises:
        BadTask: it is missing, unreadable, or says something unknown.
    """
    path = workdir / FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        unknown = sorted(raw.keys() - KEYS)
        if unknown:
            raise BadTask(f"{path} says something unknown: {', '.join(unknown)}")
        dataset = _dataset(raw["dataset"])
        check_head_name(str(raw["head"]))
        return Task(
            job_id=str(raw["job_id"]),
            head=str(raw["head"]),
            base_model=str(raw["base_model"]),
            base_version=int(raw["base_version"]),
            base_directory=Path(raw["base_directory"]),
            dataset_file=Path(raw["dataset_file"]),
            dataset=dataset,
            format=dataset.report.format,
            label=dataset.options.get(LABEL_OPTION),
            repository=Path(raw["repository"]),
            recipe=dict(raw["recipe"]),
            current=Path(raw["current"]) if raw.get("current") else None,
        )
    except OSError as error:
        raise BadTask(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, InvalidInput) as error:
        raise BadTask(f"{path} is not a task: {error!r}") from error


def _dataset(raw: Mapping[str, Any]) -> Dataset:
    return Dataset(
        id=str(raw["id"]),
        report=DatasetReport.from_dict(raw["report"]),
        filename=str(raw["filename"]),
        size_bytes=int(raw["size_bytes"]),
        created=float(raw["created"]),
        options=dict(raw["options"]),
    )
