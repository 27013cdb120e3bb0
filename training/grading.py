"""The evaluate phase of a head: the candidate, everything beside it, and the version that answers now, on one test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from training import gate, ood, sealed_use
from training.current import Current, current_version
from training.evaluation.arms import grade
from training.evaluation.suspects import suspects
from training.fitted_state import FittedState
from training.objectives import Objective
from training.seeds import child_seed

REFERENCE_ARRAYS = "reference.npz"


def settled(run: FittedState) -> Objective:
    """The objective with the thresholds and intervals that calibration found."""
    found = run.found["calibrate"]
    return run.objective.settled(thresholds=tuple(found["thresholds"]), half_widths=tuple(found["half_widths"]))


def grade_head(run: FittedState) -> dict[str, Any]:
    """Open the test and let everyone answer it."""
    objective, choice = settled(run), run.recipe.evaluate
    current, skipped = _current(run)
    unseen = _of_training_items(run, objective)
    test = run.split.test.open()
    encoded = run.wanted[test]
    candidate = run.candidate
    answers = {"candidate": candidate.logits(test) / run.found["calibrate"]["temperature"]}
    costs = {"candidate": candidate.cost.to_dict()}
    constant = objective.constant(run.wanted[run.split.train])
    answers["majority"] = np.tile(constant, (len(test), 1))
    for name, arm in run.arms.items():
        answers[name], costs[name] = arm.logits(test), arm.cost.to_dict()
    others: dict[str, Objective] = {}
    if current is not None:
        answers["current"] = current.logits(run, test)
        others["current"] = current.objective
    found = grade(
        objective,
        answers,
        encoded,
        child_seed(run.recipe.seed, "evaluate"),
        draws=choice.bootstrap,
        confidence=choice.confidence,
        costs=costs,
        objectives=others,
    )
    digests = run.found["validate"]["digests"]
    digest = sealed_use.digest_of(digests[item] for item in test)
    return {
        **found,
        **unseen,
        "ood": _strangeness(run, test),
        "test": {
            "digest": digest,
            "items": len(test),
            "uses": sealed_use.uses(run.task.repository / run.task.head, digest),
        },
        **({"current_skipped": skipped} if skipped else {}),
    }


def quality_checks(evaluated: Mapping[str, Any], margin: float, require: str = "proven") -> list[gate.Check]:
    """What the gate asks about quality, given the figures of ``grade_head``.

    The margin is in the headline metric; of an absolute error it is a share of the error of always the same answer.
    """
    arms, differences, metric = evaluated["arms"], evaluated["differences"], evaluated["metric"]
    if not evaluated["greater_is_better"]:
        margin *= float(arms["majority"]["value"])
    checks = [gate.better_than_majority(evaluated["beyond_chance"], evaluated["beyond_chance"]["metric"])]
    if "current" in differences:
        checks.append(gate.against_current(differences["current"], metric, margin, require, evaluated["test"]["items"]))
        if evaluated["recall_drops"]:
            checks.append(gate.no_class_forgotten(evaluated["recall_drops"]))
        if evaluated["loss_gain"]:
            ours, theirs = (float(arms[name]["loss"]) for name in ("candidate", "current"))
            checks.append(gate.loss_not_worse(ours, theirs, evaluated["loss_gain"]))
    elif "linear_raw" in differences:
        checks.append(gate.not_worse_than_linear(differences["linear_raw"], metric, margin))
    checks.append(gate.fresh_test(int(evaluated["test"]["uses"])))
    return checks


def reference_file(run: FittedState) -> Path | None:
    """The bank of training features in the work area; None where none was wanted."""
    path = run.area.directory / REFERENCE_ARRAYS
    return path if path.exists() else None


def _current(run: FittedState) -> tuple[Current | None, str | None]:
    """The version that answers now, if it was asked for and can be compared; else why not."""
    if run.task.current is None or "current" not in run.recipe.baselines:
        return None, None
    return current_version(run.task.current, run.base_manifest, run.objective)


def _of_training_items(run: FittedState, objective: Objective) -> dict[str, Any]:
    """What heads that had not seen them say of training items: labels that may be wrong, and the bank of features."""
    logits, items = run.candidate.unseen()
    logits = logits / run.found["calibrate"]["temperature"]
    listed = suspects(objective, logits, run.wanted[items], items)
    if run.recipe.ood.method == "knn" and len(run.split.train) > 1:
        features = run.features(run.split.train)
        answers = objective.answers(logits.mean(axis=0) if len(logits) else np.zeros((0, objective.outputs)))
        found = ood.reference(features, run.recipe.ood.quantile, child_seed(run.recipe.seed, "ood"))
        ood.write_reference(run.area.directory / REFERENCE_ARRAYS, found, features, next(iter(answers.values())))
    return {"suspects": [{**entry, "place": run.contents.place(entry.pop("item"))} for entry in listed]}


def _strangeness(run: FittedState, test: Any) -> dict[str, Any] | None:
    """How the test's items look beside the training items': the summary, and the strangest of them."""
    path = reference_file(run)
    if path is None:
        return None
    found = ood.read_reference(path)
    features = run.features(test)
    scores = found.scores(features)
    strangest = [at for at in np.argsort(-scores, kind="stable")[: ood.MOST_LISTED] if scores[at] > found.threshold]
    outliers = [{"place": run.contents.place(int(test[at])), "score": float(scores[at])} for at in strangest]
    return {**ood.summary(found, scores), "outliers": outliers}
