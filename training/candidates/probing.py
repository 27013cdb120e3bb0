"""The probe phase: which cut and which penalty, by cross-validation, and the linear models that come of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from training.candidates.copies import copied_features
from training.candidates.extending import align, is_extending
from training.features import RAW
from training.probe.scaling import Linear
from training.probe.selection import Selection, grid_of, select
from training.probe.solve import fit
from training.seeds import child_seed

if TYPE_CHECKING:
    from training.candidates.candidate import Items
    from training.head_state import HeadState

CANDIDATE, BASELINE = "candidate", "linear_raw"
JOINED = "+"
"""Between the names of cuts whose features stand side by side."""


def probe(run: HeadState, told: Callable[[int, int], None]) -> dict[str, Any]:
    """Choose and fit; the fitted arrays and the out-of-fold logits are left in the work area.

    Args:
        told: called with configurations tried and configurations in all.
    """
    train = run.split.train
    wanted = (run.cut,) if isinstance(run.cut, str) else tuple(run.cut)
    cuts = run.cache.cuts if wanted == ("auto",) else (JOINED.join(wanted),)
    chosen, seconds = _select(run, {cut: run.features_at(cut.split(JOINED), train) for cut in cuts}, told)
    tried, times = [*chosen.trials], {CANDIDATE: seconds}
    factor = _save_candidate(run, chosen)
    run.area.save_arrays("out_of_fold", logits=chosen.logits)
    baseline: tuple[Any, ...] = ()
    if BASELINE in run.recipe.baselines:
        raw = run.cache.rows(RAW, train)
        found, times[BASELINE] = _select(run, {RAW: raw}, lambda done, total: None)
        save_linear(run, BASELINE, raw, train, found.C)
        baseline = found.trials
    return {
        "cut": chosen.cut,
        "cuts": chosen.cut.split(JOINED),
        "C": chosen.C,
        "folds": chosen.folds,
        "repeats": chosen.repeats,
        "trials": [asdict(trial) for trial in tried],
        "baseline_trials": [asdict(trial) for trial in baseline],
        "configs_tried": len(tried) + len(baseline),
        "new_class_factor": factor,
        "seconds": times,
    }


def _save_candidate(run: HeadState, chosen: Selection) -> float | None:
    """Fit at the chosen cut, with the copies where there are any; the factor of new classes' weights, if there are
    old ones.
    """
    train, cuts = run.split.train, tuple(chosen.cut.split(JOINED))
    features, copies = run.features_at(cuts, train), run.recipe.augment.cached_copies
    if copies:
        features = np.concatenate([features, copied_features(run, cuts)])
    # So many times the items: the penalty means the same only when each counts so much less.
    linear = fit_linear(run, features, np.tile(train, copies + 1), chosen.C / (copies + 1))
    factor = None
    if is_extending(run):
        linear, factor = align(run, linear)
    _save(run, CANDIDATE, linear)
    return factor


def fit_linear(run: HeadState, features: NDArray[np.float32], items: Items, C: float) -> Linear:
    """One linear model on features [n, D] of these items, to convergence."""
    return fit(run.objective, features, run.wanted[items], C, run.data_weights(items))


def save_linear(run: HeadState, name: str, features: NDArray[np.float32], items: Items, C: float) -> None:
    """Fit, and leave the arrays in the work area under a name."""
    _save(run, name, fit_linear(run, features, items, C))


def _save(run: HeadState, name: str, linear: Linear) -> None:
    statistics = {"mean": linear.scaling.mean, "spread": linear.scaling.spread}
    run.area.save_arrays(name, weights=linear.weights, bias=linear.bias, **statistics)


def choose_penalty(run: HeadState, name: str, features: NDArray[np.float32]) -> tuple[float, int]:
    """The best penalty for features [n, D] of the training items: C, and how many were tried."""
    found, _ = _select(run, {name: features}, lambda done, total: None)
    return found.C, len(found.trials)


def _select(
    run: HeadState, features: dict[str, NDArray[np.float32]], told: Callable[[int, int], None]
) -> tuple[Selection, float]:
    l2, train = run.recipe.head.l2, run.split.train
    grid = grid_of(run.objective) if l2 == "auto" else (1.0 / l2,)
    began = time.monotonic()
    seed = child_seed(run.recipe.seed, "probe")
    chosen = select(run.objective, features, run.wanted[train], grid, seed, told, run.data_weights(train))
    return chosen, round(time.monotonic() - began, 3)
