"""What one head job is told, read from ``task.json`` in its working directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.domain.dataset import LABEL, Dataset, DatasetReport
from service.domain.errors import InvalidInput
from service.domain.jobs import check_head_name
from service.domain.learning import LearningTask
from training.data.reading import Reading, label_columns
from training.errors import BadTask
from training.known_features import KnownFeatures

FILE = "task.json"


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
    reading: Reading = Reading()
    """How the dataset's file is read; the task in it is the recipe's to say."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    current: Path | None = None
    outbox: Path | None = None
    """Where to publish, when that is not in the repository."""
    known_features: KnownFeatures | None = None
    """What earlier jobs computed, and where this one leaves what it computes."""
    replay: Path | None = None
    """Data of old classes, for a head that keeps them; a person's runs only."""

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
    | {"recipe", "current", "known_features", "outbox"}
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
        recipe = with_task(raw["recipe"], dataset.report.task)
        check_head_name(str(raw["head"]))
        return Task(
            job_id=str(raw["job_id"]),
            head=str(raw["head"]),
            base_model=str(raw["base_model"]),
            base_version=int(raw["base_version"]),
            base_directory=Path(raw["base_directory"]),
            dataset_file=Path(raw["dataset_file"]),
            dataset=dataset,
            reading=reading_of(dataset, recipe),
            repository=Path(raw["repository"]),
            recipe=recipe,
            current=Path(raw["current"]) if raw.get("current") else None,
            known_features=_known_features(raw.get("known_features")),
            outbox=Path(raw["outbox"]) if raw.get("outbox") else None,
        )
    except OSError as error:
        raise BadTask(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, InvalidInput) as error:
        raise BadTask(f"{path} is not a task: {error!r}") from error


def reading_of(dataset: Dataset, recipe: Mapping[str, Any]) -> Reading:
    """How a dataset in the service's keeping is read: as it was when it was accepted, for what the recipe teaches."""
    said = recipe["head"].get("task") if isinstance(recipe.get("head"), Mapping) else None
    return Reading(
        format=dataset.report.format,
        # A task that there is not is told when the recipe is read.
        task=LearningTask(said) if said in list(LearningTask) else dataset.report.task,
        label=label_columns(dataset.options.get(LABEL)),
    )


def with_task(recipe: Mapping[str, Any], task: LearningTask) -> dict[str, Any]:
    """A recipe that leaves its task open is meant for what its data was accepted for."""
    head = recipe.get("head", {})
    if task is LearningTask.MULTICLASS or not isinstance(head, Mapping) or "task" in head:
        return dict(recipe)
    return {**recipe, "head": {**head, "task": str(task)}}


def _known_features(raw: Mapping[str, Any] | None) -> KnownFeatures | None:
    return KnownFeatures(Path(raw["directory"]), int(raw["most_bytes"])) if raw else None


def _dataset(raw: Mapping[str, Any]) -> Dataset:
    return Dataset(
        id=str(raw["id"]),
        report=DatasetReport.from_dict(raw["report"]),
        filename=str(raw["filename"]),
        size_bytes=int(raw["size_bytes"]),
        created=float(raw["created"]),
        options=dict(raw["options"]),
    )
