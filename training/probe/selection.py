"""Choosing where to cut the base and how strongly to hold the weights back, by cross-validation on the training items.

The score decides as far as it can tell configurations apart, and the loss does the rest. Everything that was tried is
counted and returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.objectives.objective import Encoded, Objective
from training.probe.logistic import Lesson, fit_many, logits_of_many
from training.probe.ridge import held_out
from training.probe.scaling import Doubles
from training.probe.solve import lesson_for
from training.probe.span import Span
from training.seeds import generator

C_GRID = (1e-2, 1e-1, 1.0, 10.0, 100.0)
RIDGE_GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Squared error is steeper than cross-entropy, so that the same C holds it less."""
DEFAULT_C = 1.0
FOLDS, REPEATS = 5, 3
SMALL_CLASS = 50
"""Below this many training items of the smallest class one division into folds decides too little."""
SEARCH_ITERATIONS, FINAL_ITERATIONS = 100, 200
MOST_SEARCHED = 4_000
"""Training items that configurations are compared on; the chosen one then meets them all."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration and how it did out of fold: means, and the standard error of the mean score.

    ``score`` is the objective's ``choice_score``: accuracy of several classes, else the headline metric, greater
    better; ``log_loss`` is the mean loss, which for regression is a squared error.
    """

    cut: str
    C: float
    score: float
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
    """[repeats, n, outputs] out of fold; empty where there were no folds."""


def grid_of(objective: Objective) -> tuple[float, ...]:
    """The penalties that ``l2: auto`` tries, as values of C."""
    return RIDGE_GRID if objective.loss == "squared" else C_GRID


def plan(strata: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Which fold each item is left out in: [repeats, n], each stratum spread evenly over the folds.

    No repeat at all when there are fewer than two items of some stratum: then nothing can be left out.
    """
    smallest = int(np.unique(strata, return_counts=True)[1].min())
    folds = min(FOLDS, smallest)
    repeats = 0 if folds < 2 else REPEATS if smallest < SMALL_CLASS else 1
    assigned = np.zeros((repeats, len(strata)), dtype=np.int64)
    for repeat in range(repeats):
        draw = generator(seed, "folds", repeat)
        for stratum in np.unique(strata):
            members = draw.permutation(np.flatnonzero(strata == stratum))
            assigned[repeat, members] = (np.arange(len(members)) + draw.integers(folds)) % folds
    return assigned


def folds_for(objective: Objective, encoded: Encoded, seed: int) -> NDArray[np.int64]:
    """``plan`` for an objective: of sets of labels and of values no stratum has to be in every fold."""
    strata = objective.strata(encoded)
    if objective.loss != "softmax":
        # Strata that are too small are thrown together; what they had in common was to be rare.
        names, counts = np.unique(strata, return_counts=True)
        strata = np.where(np.isin(strata, names[counts < FOLDS]), -1, strata)
        if 0 < (strata == -1).sum() < FOLDS:
            strata = np.where(strata == -1, names[counts.argmax()], strata)
    return plan(strata, seed)


def select(
    objective: Objective,
    features: Mapping[str, NDArray[np.float32]],
    encoded: Encoded,
    grid: Sequence[float],
    seed: int,
    told: Callable[[int, int], None],
    item_weights: NDArray[np.float32] | None = None,
) -> Selection:
    """Try every cut with every penalty.

    Args:
        features: training features [n, D] by cut.
        encoded: the objective's targets of those items.
        grid: the values of C.
        told: called with configurations tried and configurations in all.
        item_weights: of the data [n].
    """
    assigned = folds_for(objective, encoded, seed)
    if not len(assigned):
        middle = DEFAULT_C if DEFAULT_C in grid else sorted(grid)[len(grid) // 2]
        return Selection(next(iter(features)), middle, (), 0, 0, np.zeros((0, len(encoded), objective.outputs)))
    lesson = lesson_for(objective, encoded, item_weights)
    some = _some(assigned, seed)
    part = Lesson(lesson.loss, lesson.wanted[some], lesson.weights[some])
    trials: list[Trial] = []
    whole = len(some) == len(encoded)
    spans: dict[str, Span] = {}
    for cut, values in features.items():
        spanned = Span.of(values if whole else values[some], part.item_weights)
        for C, logits in _out_of_fold(spanned, part, assigned[:, some], sorted(grid), SEARCH_ITERATIONS):
            told(len(trials), len(features) * len(grid))
            trials.append(_trial(objective, cut, C, logits, encoded[some], assigned[:, some]))
        if whole:
            spans[cut] = spanned
    told(len(trials), len(trials))
    chosen = choose(trials)
    best = spans[chosen.cut] if whole else Span.of(features[chosen.cut], lesson.item_weights)
    # Up to the chosen penalty again: weak penalties need a start that is nearly right.
    path = [C for C in sorted(grid) if C <= chosen.C]
    *_, (_, logits) = _out_of_fold(best, lesson, assigned, path, SEARCH_ITERATIONS, FINAL_ITERATIONS)
    folds = int(assigned.max()) + 1
    return Selection(chosen.cut, chosen.C, tuple(trials), folds, len(assigned), logits)


def choose(trials: Sequence[Trial]) -> Trial:
    """Of all trials within one standard error of the best score, the one of least loss.

    On few items scores are coarse and many trials are level; the loss still tells them apart. On digits with 2, 5, 10
    and 50 labels a class this is right for 1 point of accuracy more, on average, than the strongest penalty would be.
    """
    best = max(trials, key=lambda trial: (trial.score, -trial.log_loss))
    return min((t for t in trials if t.score >= best.score - best.error), key=lambda trial: (trial.log_loss, trial.C))


def _some(assigned: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """All items, or as many as are searched, in their order and evenly of the first division's folds."""
    n = assigned.shape[1]
    if n <= MOST_SEARCHED:
        return np.arange(n)
    draw = generator(seed, "searched").permutation(n)
    return np.sort(draw[np.argsort(assigned[0, draw], kind="stable")][:: max(1, n // MOST_SEARCHED)][:MOST_SEARCHED])


def _out_of_fold(
    spanned: Span,
    lesson: Lesson,
    assigned: NDArray[np.int64],
    grid: Sequence[float],
    iterations: int,
    last: int | None = None,
) -> Iterator[tuple[float, Doubles]]:
    """For each C, the strongest penalty first: logits [repeats, n, outputs], each item's from the head that did not see
    it. ``last`` are more iterations for the weakest penalty.
    """
    if lesson.loss == "squared":
        for C in grid:
            yield C, held_out(spanned, lesson.wanted, assigned, C)
        return
    folds = np.arange(int(assigned.max()) + 1)
    members = (assigned[:, None, :] != folds[None, :, None]).reshape(-1, assigned.shape[1])
    weights = None
    for C in grid:
        weights = fit_many(spanned, lesson, members, C, iterations, weights)
        if last is not None and grid[-1] == C:
            weights = fit_many(spanned, lesson, members, C, last, weights)
        yield C, _own_fold(logits_of_many(spanned, weights), assigned)


def _own_fold(logits: Doubles, assigned: NDArray[np.int64]) -> Doubles:
    """From [repeats * folds, n, K] to [repeats, n, K]."""
    repeats, n = assigned.shape
    by_repeat = logits.reshape(repeats, len(logits) // repeats, n, logits.shape[2])
    index = np.broadcast_to(assigned[:, None, :, None], (repeats, 1, n, logits.shape[2]))
    result: Doubles = np.take_along_axis(by_repeat, index, axis=1)[:, 0]
    return result


def _trial(
    objective: Objective, cut: str, C: float, logits: Doubles, encoded: Encoded, assigned: NDArray[np.int64]
) -> Trial:
    scores = np.stack([objective.choice_score(each, encoded) for each in logits])
    folds = int(assigned.max()) + 1
    by_fold = [scores[r][assigned[r] == f].mean() for r in range(len(assigned)) for f in range(folds)]
    error = float(np.std(by_fold, ddof=1) / np.sqrt(len(by_fold))) if len(by_fold) > 1 else 0.0
    losses = np.stack([objective.losses(each, encoded) for each in logits])
    return Trial(cut, C, float(scores.mean()), error, float(losses.mean()))
