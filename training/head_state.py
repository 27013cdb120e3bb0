"""What the phases of a head job share: the task, what they have found so far, and what they all look at.

Each thing looked at is made when first asked for, so that a run which goes on after a crash loads only what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import KERAS_MODEL, Manifest
from service.domain.dataset import DatasetReport, misfits
from service.domain.learning import LearningTask
from training.base_graph import BaseGraph, read_base_manifest
from training.bases.fitting import fitting_base
from training.data.check import examine
from training.data.contents import Contents
from training.data.joined import join
from training.data.targets import Targets
from training.errors import BadData, BadRecipe, BadTask
from training.features import FeatureCache
from training.objectives import Encoded, Objective, objective_for
from training.probe.scaling import Linear, Scaling
from training.recipe import Overrides
from training.seeds import child_seed
from training.split import SealedTest, Split
from training.target_record import from_plain
from training.task import Task
from training.workarea import WorkArea


class HeadState:
    """One head job under way."""

    def __init__(self, task: Task, recipe: Overrides, area: WorkArea, cut: str | Sequence[str] = "auto") -> None:
        """``cut``: ``auto``, a cut of the base, or several whose features are to stand side by side."""
        self.task = task
        self.recipe = recipe
        self.area = area
        self.cut = cut
        self.found: dict[str, dict[str, Any]] = {}
        """What each finished phase found."""
        self.costs: dict[str, dict[str, float]] = {}
        """Seconds and peak memory of each phase."""

    @cached_property
    def base_directory(self) -> Path:
        """Where the base lies: the version of the task, or one derived from it that suits the data."""
        contents, seed = self._examined[1], child_seed(self.recipe.seed, "base")
        return fitting_base(self.task.base_directory, contents, self.recipe.input, seed, self.area.directory / "base")

    @cached_property
    def base_manifest(self) -> Manifest:
        """What the base says of itself."""
        return read_base_manifest(self.base_directory)

    @cached_property
    def base(self) -> BaseGraph:
        """The base, loaded at the first phase that needs it."""
        return BaseGraph(self.base_directory)

    @cached_property
    def _examined(self) -> tuple[DatasetReport, Contents | None]:
        try:
            return examine(self.task.dataset_file, self.task.reading)
        except OSError as error:
            raise BadTask(f"cannot read {self.task.dataset_file}: {error.strerror}") from error

    @cached_property
    def keras_base(self) -> Any:
        """The base's Keras model, None where it has none. Not to be changed: whoever trains it clones it."""
        import keras

        file = self.base_directory / KERAS_MODEL
        return keras.saving.load_model(file, compile=False, safe_mode=True) if file.exists() else None

    @cached_property
    def contents(self) -> Contents:
        """The data, read and checked again."""
        report, contents = self._examined
        faults = [*report.faults, *misfits(report, self.base_manifest.input)]
        if faults or contents is None:
            raise BadData(faults, max(report.fault_count, len(faults)))
        self._report = report
        return contents if self.recipe.head.classes.mode == "new" else join(contents, self.replayed)

    @cached_property
    def replayed(self) -> Contents:
        """The data of old classes.

        Raises:
            BadRecipe: the job cannot have any.
        """
        if self.task.replay is None:
            raise BadRecipe("head.classes.replay names data by its place, which a tuning job cannot: train it offline")
        reading = replace(self.task.reading, format=None, digest=None)
        try:
            report, contents = examine(self.task.replay, reading)
        except OSError as error:
            raise BadTask(f"cannot read {self.task.replay}: {error.strerror}") from error
        faults = [*report.faults, *misfits(report, self.base_manifest.input)]
        if faults or contents is None:
            raise BadData(faults, max(report.fault_count, len(faults)))
        return contents

    @cached_property
    def targets(self) -> Targets:
        """What is to be learned of every item, in the data's own words."""
        return from_plain(self.found["validate"]["targets"])

    @cached_property
    def objective(self) -> Objective:
        """What is learned: scaled, where it is numbers, by the training items."""
        training = self.targets.take(self.split.train.tolist())
        task, labels = LearningTask(self.recipe.head.task), self.found["validate"]["labels"]
        return objective_for(task, training, labels=labels, choice=self.recipe.head)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes or labels in order; the names of the values for regression."""
        return self.objective.labels

    @cached_property
    def wanted(self) -> Encoded:
        """The encoded target of every item."""
        return self.objective.targets(self.targets)

    @cached_property
    def split(self) -> Split:
        """Training items, and the test under seal."""
        raw = self.found["split"]
        return Split(np.asarray(raw["train"], dtype=np.int64), SealedTest(raw["test"]))

    @cached_property
    def cache(self) -> FeatureCache:
        """The features of all items."""
        return FeatureCache(self.area.directory / "features", list(self.base_manifest.features))

    @cached_property
    def fitting(self) -> NDArray[np.int64]:
        """The training items that training by gradient learns from: those that are not watched."""
        return np.asarray(self.found["split"]["fitting"], dtype=np.int64)

    @cached_property
    def watched(self) -> NDArray[np.int64]:
        """The training items that training by gradient is watched on; none where there are too few items.

        Linear heads learn from them too: they have cross-validation instead.
        """
        return np.asarray(self.found["split"]["watched"], dtype=np.int64)

    def decode(self, encoded: Sequence[bytes]) -> NDArray[np.float32]:
        """Image files as the base takes them, by the function that serves them."""
        return self.base.pixels(encoded)

    def features_at(self, cuts: Sequence[str], items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cached features [n, width] at some cuts, side by side."""
        return np.concatenate([self.cache.rows(cut, items) for cut in cuts], axis=1)

    @property
    def cuts(self) -> tuple[str, ...]:
        """The cuts that the probe chose: one, unless several were asked for."""
        return tuple(self.found["probe"]["cuts"])

    def features(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cached features [n, width] where the head begins."""
        return self.features_at(self.cuts, items)

    def data_weights(self, items: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """What the data says each item counts [n]; None: all the same."""
        given = self.found["validate"]["weights"]
        return None if given is None else np.asarray(given, dtype=np.float32)[items]

    def loss_weights(self, items: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """What each item counts in the loss, [n] or [n, outputs], by the data and by its class; None: all the same."""
        by_class, own = self.objective.weights(self.wanted[items]), self.data_weights(items)
        if own is None:
            return by_class
        own = own / own.mean()
        if by_class is None:
            return own
        return by_class * (own if by_class.ndim == 1 else own[:, None])

    def fewest_of_a_kind(self, items: NDArray[np.int64]) -> int:
        """Items of the smallest class, or with the rarest label; of regression, of the smallest band of values."""
        wanted = self.wanted[items]
        if self.objective.loss == "sigmoid":
            return int(wanted.sum(axis=0).min())
        _, counts = np.unique(self.objective.strata(wanted), return_counts=True)
        return int(counts.min())

    @property
    def seconds_an_item(self) -> float:
        """What one item took through the base."""
        return float(self.found["features"]["seconds_an_item"])

    def linear(self, name: str) -> Linear:
        """A fitted classifier: the candidate, or the baseline on raw input."""
        arrays = self.area.arrays(name)
        return Linear(arrays["weights"], arrays["bias"], Scaling(arrays["mean"], arrays["spread"]))
