"""Several answerers on the same items: the figures of each, and what the first is better or worse by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.contributions import balanced_accuracy
from training.evaluation.intervals import CONFIDENCE, DRAWS, paired_differences, paired_share
from training.objectives.objective import Encoded, Objective
from training.seeds import child_seed

Doubles = NDArray[np.float64]
OF_THE_CANDIDATE = ("classes", "confusion", "probabilities", "reliability", "values")
"""Figures too long for every arm."""


def grade(
    objective: Objective,
    answers: Mapping[str, Doubles],
    encoded: Encoded,
    seed: int,
    *,
    draws: int = DRAWS,
    confidence: float = CONFIDENCE,
    costs: Mapping[str, Mapping[str, Any]] | None = None,
    objectives: Mapping[str, Objective] | None = None,
) -> dict[str, Any]:
    """Figures of every arm, and paired differences of the first, the candidate, from each other.

    Args:
        answers: logits [n, outputs] by arm; the first is the candidate.
        costs: what else is known of an arm, such as ``seconds``, ``steps`` and ``trainable_parameters``.
        objectives: of arms that decide by thresholds of their own.

    Returns:
        ``arms`` and ``differences`` (gains of the headline metric: above 0 the candidate is better) by name; of the
        candidate what ``OF_THE_CANDIDATE`` says; ``task``, ``metric``, ``fewest_of_a_class``; ``beyond_chance``, the
        gain over the arm ``majority`` in a metric where guessing gains nothing; and against the arm ``current``
        ``recall_drops`` and ``loss_gain`` (None for values, whose metric is their loss).
    """
    costs, own = costs or {}, {name: (objectives or {}).get(name, objective) for name in answers}
    candidate, *others = answers
    figures = {
        name: own[name].figures(logits, encoded, seed=seed, draws=draws, confidence=confidence)
        for name, logits in answers.items()
    }
    scores = {name: own[name].score(logits, encoded) for name, logits in answers.items()}
    differences = paired_differences(
        scores[candidate], {name: scores[name] for name in others}, seed, draws, confidence
    )
    known = {key: value for key, value in figures[candidate].items() if key in OF_THE_CANDIDATE}
    arms = {
        name: {**{k: v for k, v in each.items() if k not in OF_THE_CANDIDATE}, **costs.get(name, {})}
        for name, each in figures.items()
    }
    return {
        "task": str(objective.task),
        "metric": objective.metric,
        "greater_is_better": objective.greater_is_better,
        "confidence": confidence,
        "arms": arms,
        "differences": {name: asdict(difference) for name, difference in differences.items()},
        **known,
        "fewest_of_a_class": _fewest(objective, encoded),
        "beyond_chance": _beyond_chance(objective, answers, encoded, seed, draws) if "majority" in answers else None,
        **(_against_current(own, answers, encoded, seed, draws) if "current" in answers else {}),
    }


def _beyond_chance(
    objective: Objective, answers: Mapping[str, Doubles], encoded: Encoded, seed: int, draws: int
) -> dict[str, Any]:
    """Of classes the gain in balanced accuracy: macro-F1 grows by guessing at random, accuracy by not trying at all."""
    first = next(iter(answers))
    metric = objective.metric
    if objective.loss == "softmax":
        metric = "balanced_accuracy"
        ours, theirs = (
            balanced_accuracy(encoded, objective.decide(answers[name]), objective.outputs)
            for name in (first, "majority")
        )
    else:
        ours, theirs = (objective.score(answers[name], encoded) for name in (first, "majority"))
    gap = paired_differences(ours, {"majority": theirs}, seed, draws)["majority"]
    return {"metric": metric, **asdict(gap)}


def _against_current(
    own: Mapping[str, Objective], answers: Mapping[str, Doubles], encoded: Encoded, seed: int, draws: int
) -> dict[str, Any]:
    first = next(iter(answers))
    drops = recall_drops(own[first], own["current"], answers[first], answers["current"], encoded, seed, draws)
    if own[first].loss == "squared":
        return {"recall_drops": drops, "loss_gain": None}
    ours, theirs = (-own[name].losses(answers[name], encoded) for name in (first, "current"))
    gap = paired_differences(ours, {"current": theirs}, seed, draws)["current"]
    return {"recall_drops": drops, "loss_gain": asdict(gap)}


def recall_drops(
    objective: Objective,
    other: Objective,
    candidate: Doubles,
    current: Doubles,
    encoded: Encoded,
    seed: int,
    draws: int = DRAWS,
) -> list[dict[str, Any]]:
    """How much less of each class or label the candidate recalls than the current version, on the class's items.

    Each: ``label``, ``items``, ``value`` (gain; below 0 it recalls less) and one-sided 95 % ``upper_bound``.
    """
    if objective.loss == "squared":
        return []
    wanted = _membership(objective, encoded)
    ours = _membership(objective, objective.decide(candidate))
    theirs = _membership(objective, other.decide(current))
    found = []
    for place, label in enumerate(objective.labels):
        own = wanted[:, place]
        if not own.any():
            continue
        gap = paired_share(ours[own, place], theirs[own, place], child_seed(seed, "recall", place), draws)
        found.append({"label": label, "items": int(own.sum()), "value": gap.value, "upper_bound": gap.upper_bound})
    return found


def _membership(objective: Objective, encoded: Encoded) -> NDArray[np.bool_]:
    if objective.loss == "softmax":
        return np.eye(objective.outputs, dtype=bool)[encoded]
    result: NDArray[np.bool_] = np.asarray(encoded) > 0
    return result


def _fewest(objective: Objective, encoded: Encoded) -> int:
    """Test items of the rarest class or label; of regression, all of them."""
    if objective.loss == "squared":
        return len(encoded)
    return int(_membership(objective, encoded).sum(axis=0).min())
