"""Data of another width than the base takes, through a trained projection in front of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.base_run import run_base
from training.errors import BadRecipe
from training.pipeline import HeadRun
from training.recipe import parse_overrides, parse_recipe
from training.task import Task
from training.workarea import WorkArea


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of three numbers, as a published base."""
    import keras

    place = tmp_path_factory.mktemp("narrow")
    layers = [keras.layers.Dense(8, "tanh", name="first"), keras.layers.Dense(8, "tanh", name="second")]
    keras.Sequential([keras.Input((3,), name="inputs"), *layers, keras.layers.Dense(2, "softmax")]).save(
        place / "narrow.keras"
    )
    raw = {"kind": "keras_file", "ref": str(place / "narrow.keras")}
    recipe = parse_recipe({"apiVersion": "transfer/v1", "name": "narrow", "base": raw})
    run_base(recipe, None, place / "repo", place, lambda event: None)
    return place / "repo" / "narrow" / "1"


def run(base: Path, place: Path, **finetune: Any) -> HeadRun:
    """A job on five columns, of which the second tells the classes apart."""
    x = np.random.default_rng(0).normal(size=(240, 5)).astype(np.float32)
    np.savez(place / "wide.npz", x=x, y=(x[:, 1] > 0).astype(np.int64))
    task = Task("wide", "narrow", 1, base, place / "wide.npz", place / "repo", job_id="wide")
    recipe = parse_overrides(
        {
            "input": {"adapter": "project"},
            "baselines": ["majority"],
            "gate": {"mode": "record"},
            "finetune": {"learning_rate": 0.01, "steps": 300, "mode": "full", **finetune},
        }
    )
    job = HeadRun(task, recipe, WorkArea(place / "work", task.identity()), lambda event: None)
    job.run()
    return job


@pytest.mark.parametrize("enabled", ["never", "auto"])
def test_weights_that_nothing_is_sure_to_train_are_refused(base: Path, tmp_path: Path, enabled: str) -> None:
    with pytest.raises(BadRecipe, match="'project' puts weights in front of the base"):
        run(base, tmp_path, enabled=enabled)


def test_the_projection_is_trained_and_published_with_the_rest(base: Path, tmp_path: Path) -> None:
    job = run(base, tmp_path, enabled="always")
    assert job.found["finetune"]["kept"], job.found["finetune"]["reason"]
    assert job.found["evaluate"]["arms"]["candidate"]["accuracy"] > 0.9
    assert job.found["publish"]["version"] == 1
