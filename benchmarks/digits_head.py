"""Does a head on a base for other classes learn from few labels? Digits 5-9 on a base trained on 0-4.

For each of five seeds: 50 labelled images a class, the cut and the penalty chosen by cross-validation on them, and all
other images of those classes as the test. Prints a table, and ends with status 1 unless the mean accuracy is at least
0.95.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.domain.learning import LearningTask
from training.base_graph import BaseGraph, read_base_manifest
from training.base_run import run_base
from training.builtin import digits, materialise
from training.data.targets import Classes
from training.evaluation.intervals import wilson
from training.objectives import objective_for
from training.presets import BASE, preset
from training.probe.selection import C_GRID, select
from training.probe.solve import fit
from training.recipe import HeadChoice
from training.seeds import generator

LABELS_A_CLASS = 50
SEEDS = range(5)
TARGET = 0.95
RAW = "raw pixels"


def features_of_digits(directory: Path) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.int64]]:
    """Train the preset's base; its features of digits 5-9 at every cut, the raw pixels, and the classes."""
    recipe = preset("digits", BASE)
    assert recipe.dataset is not None
    file = materialise(recipe.dataset.uri, directory)
    finished = run_base(recipe, file, directory / "models", directory, lambda event: None)
    print(finished.headline)
    version = directory / "models" / finished.model / str(finished.version)
    images, target = digits(5, 9)
    inputs = images.astype(np.float32)
    features = dict(BaseGraph(version).features(inputs))
    assert features.keys() == read_base_manifest(version).features.keys()
    return {**features, RAW: inputs.reshape(len(inputs), -1)}, target - 5


def draw(target: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Items to learn from, the same number of each class, and all others."""
    random = generator(seed, "benchmark")
    chosen = [random.permutation(np.flatnonzero(target == label))[:LABELS_A_CLASS] for label in np.unique(target)]
    train = np.concatenate(chosen)
    return train, np.setdiff1d(np.arange(len(target)), train)


def main() -> int:
    """Print the table; 0 when the target is met."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as directory:
        features, target = features_of_digits(Path(directory))
    print(f"{'seed':>4} {'cut':>10} {'C':>6} {'head':>7} {'95 % interval':>15} {RAW:>11} {'test':>5} {'seconds':>8}")
    labels = Classes(tuple("56789"))
    objective = objective_for(LearningTask.MULTICLASS, labels, labels=None, choice=HeadChoice())
    accuracies, raw_accuracies = [], []
    for seed in SEEDS:
        train, test = draw(target, seed)
        known, began = target[train], time.perf_counter()
        scores = {}
        for name, cuts in (("head", [cut for cut in features if cut != RAW]), (RAW, [RAW])):
            rows = {cut: features[cut][train] for cut in cuts}
            chosen = select(objective, rows, known, C_GRID, seed, lambda done, total: None)
            linear = fit(objective, rows[chosen.cut], known, chosen.C)
            right = linear.logits(features[chosen.cut][test]).argmax(axis=1) == target[test]
            scores[name] = (int(right.sum()), chosen, time.perf_counter() - began)
        (right_head, chosen, seconds), (right_raw, _, _) = scores["head"], scores[RAW]
        interval = wilson(right_head, len(test))
        accuracies.append(right_head / len(test))
        raw_accuracies.append(right_raw / len(test))
        between = f"{interval.low:.3f}-{interval.high:.3f}"
        print(
            f"{seed:>4} {chosen.cut:>10} {chosen.C:>6g} {accuracies[-1]:>7.4f} "
            f"{between:>15} {raw_accuracies[-1]:>11.4f} {len(test):>5} {seconds:>8.2f}"
        )
    mean, spread = float(np.mean(accuracies)), float(np.std(accuracies))
    print(f"mean accuracy {mean:.4f} (std {spread:.4f}), raw pixels {np.mean(raw_accuracies):.4f}; target {TARGET}")
    return 0 if mean >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
