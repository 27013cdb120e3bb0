"""Where jobs are worked on: a directory each, with the task that the trainer is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.application.ports import TrainerTask
from service.domain.work_area import TASK, write_whole


@dataclass(frozen=True, slots=True)
class KnownFeatures:
    """Where jobs keep what a base made of their items, for the next ones, in so many bytes at most."""

    directory: Path
    most_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """As the trainer is told."""
        return {"directory": str(self.directory), "most_bytes": self.most_bytes}


class WorkAreas:
    """The work areas of all jobs. What works in them is its callers' to know."""

    def __init__(self, directory: Path, known_features: KnownFeatures | None = None) -> None:
        self._directory = directory.resolve()
        self._known_features = known_features
        directory.mkdir(parents=True, exist_ok=True)

    def of(self, job_id: str) -> Path:
        """A job's own, which need not be there."""
        return self._directory / job_id

    def prepared(self, task: TrainerTask) -> Path:
        """A job's own, with its task in it. Blocks.

        Raises:
            OSError: it cannot be written.
        """
        directory = self.of(task.job_id)
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(directory / TASK, json.dumps(_as_json(task, self._known_features), indent=1))
        return directory

    def discard(self, job_id: str) -> None:
        """Remove a job's own, if it is there. Blocks."""
        directory = self.of(job_id)
        if directory.is_dir():
            shutil.rmtree(directory)

    def left_behind(self) -> Collection[str]:
        """The jobs that have something here. Blocks."""
        return [entry.name for entry in self._directory.iterdir() if entry.is_dir()]


def _as_json(task: TrainerTask, known: KnownFeatures | None) -> Mapping[str, Any]:
    dataset = task.dataset
    return {
        "job_id": task.job_id,
        "head": task.head,
        "base_model": task.base_model,
        "base_version": task.base_version,
        "base_directory": str(task.base_directory),
        "dataset_file": str(task.dataset_file),
        "dataset": {
            "id": dataset.id,
            "report": dataset.report.to_dict(),
            "filename": dataset.filename,
            "size_bytes": dataset.size_bytes,
            "created": dataset.created,
            "options": dict(dataset.options),
        },
        "repository": str(task.repository),
        "recipe": dict(task.recipe),
        "current": str(task.current) if task.current else None,
        "outbox": str(task.outbox) if task.outbox else None,
        "known_features": known.to_dict() if known else None,
    }
