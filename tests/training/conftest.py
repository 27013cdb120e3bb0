"""Shared by the trainer's tests: one small base, trained once, and the job process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits
from trainer_job import JobProcess, started

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BASE_RECIPE: Mapping[str, Any] = {
    "apiVersion": "transfer/v1",
    "name": "digits",
    "base": {
        "kind": "builder",
        "name": "cnn",
        "params": {"filters": [8, 16], "dense": 32},
        "fit": {"steps": 150, "batch": 64, "learning_rate": 3e-3},
    },
    "dataset": {"uri": "builtin:digits:0-4"},
}


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with one small digits base in it."""

    root: Path
    base: Path


@pytest.fixture(scope="session", autouse=True)
def one_thread_a_product() -> Iterator[None]:
    """As in a job: two threads of one small product wait for each other where others work too."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def base_repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Trained once; tests that publish make a repository of their own and point at this base."""
    from training.base_run import run_base
    from training.builtin import materialise
    from training.recipe import parse_recipe

    root = tmp_path_factory.mktemp("base")
    scratch = tmp_path_factory.mktemp("scratch")
    recipe = parse_recipe(BASE_RECIPE)
    assert recipe.dataset is not None
    file = materialise(recipe.dataset.uri, scratch)
    finished = run_base(recipe, file, root, scratch, lambda event: None)
    assert finished.version == 1
    return Repository(root, root / "digits" / "1")


@pytest.fixture(scope="session")
def digits_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty images of each digit 5-9 as numbers."""
    from training.builtin import digits

    images, target = digits(5, 9)
    chosen = np.concatenate([np.flatnonzero(target == label)[:30] for label in range(5, 10)])
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, x=images[chosen], y=target[chosen])
    return path


@pytest.fixture
def start_job() -> Iterator[Callable[[Path], JobProcess]]:
    """Starts jobs, and ends those that a test has left."""
    jobs: list[JobProcess] = []

    def start(workdir: Path) -> JobProcess:
        jobs.append(started(workdir))
        return jobs[-1]

    yield start
    for job in jobs:
        job.end()
