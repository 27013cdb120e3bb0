"""From single runs to the figures of a study: one size and one choice of classes, all sources and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.evaluation.intervals import wilson
from training.experiment.arms import ClassicalArm, NetworkArm
from training.experiment.schema import Experiment
from training.experiment.statistics import FEW, correlation, error_ratio, gap, in_order, summary
from training.experiment.verdict import sentences

Run = Mapping[str, Any]
"""One repeat, as the runner writes it: ``source``, ``seed``, ``size``, ``classes``, ``source_score``, ``arms``."""


Key = tuple[tuple[str, ...], int | None]


def key_of(run: Run) -> Key:
    """The study a run belongs to: its classes and its labelled items a class."""
    return tuple(run["classes"]), run["size"]


def studies(experiment: Experiment, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The figures of every study, in the order they were run."""
    keys: dict[Key, list[Run]] = {}
    for run in runs:
        keys.setdefault(key_of(run), []).append(run)
    return [{"classes": list(classes), "size": size, **study(experiment, own)} for (classes, size), own in keys.items()]


def study(experiment: Experiment, runs: Sequence[Run]) -> dict[str, Any]:
    """The figures of the runs of one study, and what they say."""
    sources = [run["source"] for run in runs]
    scores = {arm.name: [run["arms"][arm.name]["score"] for run in runs] for arm in experiment.arms}
    scratch, linear = experiment.compare.scratch, experiment.compare.linear
    arms = {
        arm.name: {
            "text": arm.text,
            "network": not isinstance(arm, ClassicalArm),
            "transfers": not isinstance(arm, ClassicalArm) and arm.weights == "source",
            "own_budget": isinstance(arm, NetworkArm) and bool(arm.stages),
            "summary": summary(scores[arm.name], sources, experiment.seed).to_dict(),
            **_typical([run["arms"][arm.name] for run in runs]),
        }
        for arm in experiment.arms
    }
    transfers = [name for name, arm in arms.items() if arm["transfers"]]
    found: dict[str, Any] = {
        "arms": arms,
        "scratch": scratch,
        "linear": linear,
        "sources": len(set(sources)),
        "repeats": len(runs),
        "test_items": len(next(iter(runs[0]["arms"].values()))["right"]),
        "gaps_scratch": _gaps(scores, scratch, sources, experiment.seed),
        "error_ratios": _ratios(transfers, scores, scratch, sources, experiment.seed),
        "gaps_linear": _gaps(scores, linear, sources, experiment.seed) if linear else {},
        "unlearned": _unlearned(experiment, scores, sources),
        "below_linear": _below(runs, transfers, linear) if linear else {},
        "ordering": _ordering(experiment, runs, scores),
        "source_spread": _spread(transfers, scores, sources),
        "source_correlation": _source_correlation(transfers, runs, scores),
    }
    return {**found, "verdict": sentences(found)}


def _typical(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over the repeats of what a run costs, and how soon it was nearly there."""
    found: dict[str, Any] = {"seconds": float(np.median([run["seconds"] for run in runs]))}
    for key in ("steps", "parameters", "start_score", "train_score", "items", "configurations"):
        known = [run[key] for run in runs if key in run]
        if known:
            found[key] = float(np.median(known))
    reached = [run["reach"] for run in runs if "reach" in run]
    if reached:
        found["reach"] = {
            share: {what: float(np.median([one[share][what] for one in reached])) for what in ("step", "seconds")}
            for share in reached[0]
        }
    cuts = [run["cut"] for run in runs if "cut" in run]
    if cuts:
        found["cuts"] = {cut: cuts.count(cut) for cut in dict.fromkeys(cuts)}
    diverged = sum("diverged" in run for run in runs)
    return {**found, "diverged": diverged} if diverged else found


def _gaps(
    scores: Mapping[str, Sequence[float]], other: str, sources: Sequence[Any], seed: int
) -> dict[str, dict[str, Any]]:
    return {name: gap(own, scores[other], sources, seed).to_dict() for name, own in scores.items() if name != other}


def _ratios(
    transfers: Sequence[str], scores: Mapping[str, Sequence[float]], other: str, sources: Sequence[Any], seed: int
) -> dict[str, dict[str, float]]:
    found = {name: error_ratio(scores[name], scores[other], sources, seed) for name in transfers}
    return {
        name: {"value": one.value, "low": one.low, "high": one.high} for name, one in found.items() if one is not None
    }


def _unlearned(
    experiment: Experiment, scores: Mapping[str, Sequence[float]], sources: Sequence[Any]
) -> dict[str, Any] | None:
    """The arms that are not proven better than always answering the most frequent class, where that is an arm too."""
    always = [arm.name for arm in experiment.arms if isinstance(arm, ClassicalArm) and arm.model == "majority"]
    if not always:
        return None
    others = [name for name in scores if name != always[0]]
    gaps = {name: gap(scores[name], scores[always[0]], sources, experiment.seed) for name in others}
    if any(one.units < FEW for one in gaps.values()):
        return None
    return {"arms": [name for name in others if gaps[name].sign <= 0], "of": len(others)}


def _below(runs: Sequence[Run], transfers: Sequence[str], linear: str) -> dict[str, str]:
    """In how many single runs an arm was below the linear model; every such run carries a flag of its own too."""
    found = {}
    for name in transfers:
        below = sum(run["arms"][name]["score"] < run["arms"][linear]["score"] for run in runs)
        if below:
            found[name] = f"{below} of {len(runs)} runs"
    return found


def _ordering(
    experiment: Experiment, runs: Sequence[Run], scores: Mapping[str, Sequence[float]]
) -> dict[str, Any] | None:
    order = experiment.compare.ordering
    if order is None:
        return None
    means: dict[Any, dict[str, float]] = {}
    for source in dict.fromkeys(run["source"] for run in runs):
        own = [place for place, run in enumerate(runs) if run["source"] == source]
        means[source] = {name: float(np.mean([scores[name][place] for place in own])) for name in order}
    # The arm from scratch owes nothing to the source: its mean over everything is the one to be compared with.
    scratch = experiment.compare.scratch
    if scratch in order:
        overall = float(np.mean(scores[scratch]))
        means = {source: {**own, scratch: overall} for source, own in means.items()}
    return {"arms": list(order), "sources": in_order(means, order), "of": len(means)}


def _spread(
    transfers: Sequence[str], scores: Mapping[str, Sequence[float]], sources: Sequence[Any]
) -> dict[str, Any] | None:
    if not transfers or len(set(sources)) < 2:
        return None
    name = transfers[0]
    groups = [
        [score for score, own in zip(scores[name], sources, strict=True) if own == source]
        for source in dict.fromkeys(sources)
    ]
    within = [float(np.std(own, ddof=1)) for own in groups if len(own) > 1]
    return {
        "arm": name,
        "between": float(np.std([np.mean(own) for own in groups], ddof=1)),
        "within": float(np.mean(within)) if within else None,
    }


def _source_correlation(
    transfers: Sequence[str], runs: Sequence[Run], scores: Mapping[str, Sequence[float]]
) -> dict[str, Any] | None:
    if not transfers or any(run["source_score"] is None for run in runs):
        return None
    name = transfers[0]
    by_source: dict[Any, tuple[float, list[float]]] = {}
    for run, score in zip(runs, scores[name], strict=True):
        by_source.setdefault(run["source"], (run["source_score"], []))[1].append(score)
    r = correlation([own for own, _ in by_source.values()], [float(np.mean(all_)) for _, all_ in by_source.values()])
    return None if r is None else {"arm": name, "r": r, "of": len(by_source)}


def flags(experiment: Experiment, arms: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """What one run must not keep silent about, by arm: a transfer arm that a linear model on the input beats."""
    linear = experiment.compare.linear
    found: dict[str, list[str]] = {}
    for arm in experiment.arms:
        if linear is None or isinstance(arm, ClassicalArm) or arm.weights != "source":
            continue
        own, other = arms[arm.name], arms[linear]
        if own["score"] < other["score"]:
            items = len(own["right"])
            interval = wilson(own["right"].count("1"), items)
            found[arm.name] = [
                f"below the linear model on the input: {own['score']:.3f} ({interval.low:.3f} to {interval.high:.3f}) "
                f"against {other['score']:.3f} on {items} items"
            ]
    return found
