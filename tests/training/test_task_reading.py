"""How a job reads its data: as it was accepted, for what the recipe teaches."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.artifact import InputKind
from service.domain.dataset import Dataset, DatasetFormat, DatasetReport
from service.domain.learning import LearningTask
from training.data.reading import Reading, label_columns
from training.recipe import DatasetChoice
from training.task import reading_of, with_task

NUMBERS = DatasetReport(DatasetFormat.CSV, InputKind.VECTOR, 9, {}, (2,), task=LearningTask.REGRESSION, digest="d")


def dataset(**options: str) -> Dataset:
    return Dataset("ds-1", NUMBERS, "a.csv", 1, 0.0, options)


@pytest.mark.parametrize(
    ("recipe", "task"),
    [
        ({}, LearningTask.REGRESSION),
        ({"head": {"l2": 0.1}}, LearningTask.REGRESSION),
        ({"head": {"task": "multiclass"}}, LearningTask.MULTICLASS),
        ({"head": "odd"}, LearningTask.REGRESSION),
    ],
)
def test_the_recipe_decides_and_else_the_data(recipe: dict[str, Any], task: LearningTask) -> None:
    assert reading_of(dataset(label="price"), recipe) == Reading(DatasetFormat.CSV, task, ("price",))


def test_a_recipe_without_a_task_gets_that_of_its_data() -> None:
    assert with_task({"head": {"l2": 0.1}}, LearningTask.REGRESSION) == {"head": {"l2": 0.1, "task": "regression"}}
    assert with_task({"head": {"task": "binary"}}, LearningTask.REGRESSION) == {"head": {"task": "binary"}}
    assert with_task({}, LearningTask.MULTICLASS) == {}


@pytest.mark.parametrize(
    ("text", "columns"), [(None, ()), ("", ()), ("kind", ("kind",)), ("p, q", ("p", "q")), ('"a, b", c', ("a, b", "c"))]
)
def test_label_columns(text: str | None, columns: tuple[str, ...]) -> None:
    assert label_columns(text) == columns


def test_everything_a_recipe_says_of_its_data_is_read() -> None:
    said: dict[str, Any] = {
        "uri": "a.parquet",
        "format": "parquet",
        "label": ["u", "v"],
        "features": ["a"],
        "group": "g",
        "time": "t",
        "side": "s",
        "weight": "w",
        "labels": ["x", "y"],
        "filter": {"labels": ["x"]},
        "digest": "0" * 64,
        "on_bad": "quarantine",
        "max_bad": 0.1,
    }
    reading = Reading.of(DatasetChoice.model_validate(said), "multilabel")
    assert reading == Reading(
        format=DatasetFormat.PARQUET,
        task=LearningTask.MULTILABEL,
        label=("u", "v"),
        features=("a",),
        group="g",
        time="t",
        side="s",
        weight="w",
        labels=("x", "y"),
        only=("x",),
        digest="0" * 64,
        on_bad="quarantine",
        max_bad=0.1,
    )
