"""Choosing where to cut the base and how strongly to hold the weights back, by cross-validation on the training items.

The best mean accuracy over all folds wins; penalties of the winning cut that are within one standard error of it count
as equal, and the strongest of those is taken. Everything that was tried is counted and returned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.probe.logistic import Integers, Span, fit_many, log_losses, logits_of_many, span
from training.probe.scaling import Doubles, Scaling
from training.seeds import generator

C_GRID = (1e-2, 1e-1, 1.0, 10.0, 100.0)
DEFAULT_C = 1.0
FOLDS, REPEATS = 5, 3
SMALL_CLASS = 50
"""Below this many training items of the smallest class one division into folds decides too little."""
SEARCH_ITERATIONS, FINAL_ITERATIONS = 100, 200


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration and how it did: means over folds, and the standard error of the mean accuracy."""

    cut: str
    C: float
    accuracy: float
    error: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class Selection:
    """What was chosen, everything that was tried, and the chosen one's logits for items it had not seen."""

    cut: str
    C: float
    trials: tuple[Trial, ...]
    folds: int
    repeats: int
    logits: Doubles
    """[repeats, n, K] out of fold; empty where there were no folds."""


def plan(targets: Integers, seed: int) -> NDArray[np.int64]:
    """Which fold each item is left out in: [repeats, n], each class spread evenly over the folds.

    No repeat at all when a class has a single item: then nothing can be left out.
    """
    smallest = int(np.bincount(targets).min())
    folds = min(FOLDS, smallest)
    repeats = 0 if folds < 2 else REPEATS if smallest < SMALL_CLASS else 1
    assigned = np.zeros((repeats, len(targets)), dtype=np.int64)
    for repeat in range(repeats):
        draw = generator(seed, "folds", repeat)
        for label in np.unique(targets):
            members = draw.permutation(np.flatnonzero(targets == label))
            assigned[repeat, members] = (np.arange(len(members)) + draw.integers(folds)) % folds
    return assigned


def select(
    features: Mapping[str, NDArray[np.float32]],
    targets: Integers,
    classes: int,
    grid: Sequence[float],
    seed: int,
    told: Callable[[int, int], None],
) -> Selection:
    """Try every cut with every penalty.

    Args:
        features: training features [n, D] by cut.
        grid: the values of C.
        told: called with configurations tried and configurations in all.
    """
    assigned = plan(targets, seed)
    if not len(assigned):
        middle = DEFAULT_C if DEFAULT_C in grid else grid[0]
        return Selection(next(iter(features)), middle, (), 0, 0, np.zeros((0, len(targets), classes)))
    folds = int(assigned.max()) + 1
    members = assigned[:, None, :] != np.arange(folds)[None, :, None]
    members = members.reshape(-1, len(targets))
    trials: list[Trial] = []
    fitted: dict[tuple[str, float], Doubles] = {}
    spans: dict[str, Span] = {}
    for cut, values in features.items():
        spans[cut] = span(Scaling.of(values).apply(values))
        weights = None
        # From the strongest penalty to the weakest, each starting where the one before ended.
        for C in sorted(grid):
            told(len(trials), len(features) * len(grid))
            weights = fit_many(spans[cut], targets, classes, members, C, SEARCH_ITERATIONS, weights)
            fitted[cut, C] = weights
            trials.append(_trial(cut, C, _out_of_fold(spans[cut], weights, assigned), targets, assigned))
    told(len(trials), len(trials))
    chosen = choose(trials)
    best, start = spans[chosen.cut], fitted[chosen.cut, chosen.C]
    final = fit_many(best, targets, classes, members, chosen.C, FINAL_ITERATIONS, start)
    logits = _out_of_fold(best, final, assigned)
    return Selection(chosen.cut, chosen.C, tuple(trials), folds, len(assigned), logits)


def choose(trials: Sequence[Trial]) -> Trial:
    """The best trial, or the most strongly penalised one of its cut that is within one standard error of it."""
    best = max(trials, key=lambda trial: (trial.accuracy, -trial.log_loss))
    level = [t for t in trials if t.cut == best.cut and t.C <= best.C and t.accuracy >= best.accuracy - best.error]
    return min(level, key=lambda trial: trial.C)


def _out_of_fold(spanned: Span, weights: Doubles, assigned: NDArray[np.int64]) -> Doubles:
    """Logits [repeats, n, K], each item's from the classifier that did not see it."""
    repeats, n = assigned.shape
    logits = logits_of_many(spanned, weights)
    by_repeat = logits.reshape(repeats, len(logits) // repeats, n, logits.shape[2])
    index = np.broadcast_to(assigned[:, None, :, None], (repeats, 1, n, logits.shape[2]))
    result: Doubles = np.take_along_axis(by_repeat, index, axis=1)[:, 0]
    return result


def _trial(cut: str, C: float, logits: Doubles, targets: Integers, assigned: NDArray[np.int64]) -> Trial:
    right = logits.argmax(axis=2) == targets
    folds = int(assigned.max()) + 1
    by_fold = [right[r][assigned[r] == f].mean() for r in range(len(assigned)) for f in range(folds)]
    error = float(np.std(by_fold, ddof=1) / np.sqrt(len(by_fold))) if len(by_fold) > 1 else 0.0
    losses = log_losses(logits, np.broadcast_to(targets, logits.shape[:2]))
    return Trial(cut, C, float(right.mean()), error, float(losses.mean()))
