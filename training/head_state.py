"""What the phases of a head job share: the task, what they have found so far, and what they all look at.

Each thing looked at is made when first asked for, so that a run which goes on after a crash loads only what it needs.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import Manifest
from service.domain.dataset import misfits
from training.base_graph import BaseGraph, read_base_manifest
from training.data.check import check
from training.data.contents import Contents
from training.errors import BadData, BadTask
from training.features import FeatureCache
from training.probe.scaling import Linear, Scaling
from training.recipe import Overrides
from training.split import SealedTest, Split
from training.task import Task
from training.workarea import WorkArea


class HeadState:
    """One head job under way."""

    def __init__(self, task: Task, recipe: Overrides, area: WorkArea) -> None:
        self.task = task
        self.recipe = recipe
        self.area = area
        self.found: dict[str, dict[str, Any]] = {}
        """What each finished phase found."""
        self.costs: dict[str, dict[str, float]] = {}
        """Seconds and peak memory of each phase."""

    @cached_property
    def base_manifest(self) -> Manifest:
        """What the base says of itself."""
        return read_base_manifest(self.task.base_directory)

    @cached_property
    def base(self) -> BaseGraph:
        """The base, loaded at the first phase that needs it."""
        return BaseGraph(self.task.base_directory)

    @cached_property
    def contents(self) -> Contents:
        """The data, read and checked again."""
        try:
            report, contents = check(self.task.dataset_file, self.task.format, self.task.label)
        except OSError as error:
            raise BadTask(f"cannot read {self.task.dataset_file}: {error.strerror}") from error
        faults = [*report.faults, *misfits(report, self.base_manifest.input)]
        if faults or contents is None:
            raise BadData(faults, max(report.fault_count, len(faults)))
        self._report = report
        return contents

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in order."""
        return tuple(self.found["validate"]["classes"])

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """The class of every item, as its place in ``labels``."""
        places = {label: place for place, label in enumerate(self.labels)}
        return np.array([places[label] for label in self.found["validate"]["labels"]], dtype=np.int64)

    @cached_property
    def split(self) -> Split:
        """Training items, and the test under seal."""
        raw = self.found["split"]
        return Split(np.asarray(raw["train"], dtype=np.int64), SealedTest(raw["test"]))

    @cached_property
    def cache(self) -> FeatureCache:
        """The features of all items."""
        return FeatureCache(self.area.directory / "features", list(self.base_manifest.features))

    def linear(self, name: str) -> Linear:
        """A fitted classifier: the candidate, or the baseline on raw input."""
        arrays = self.area.arrays(name)
        return Linear(arrays["weights"], arrays["bias"], Scaling(arrays["mean"], arrays["spread"]))
