"""The evaluate phase of a head: the candidate, its baselines and the version that answers now, on one sealed test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import HEAD, Manifest
from service.domain.heads import Head
from training import gate
from training.base_graph import read_manifest
from training.errors import BadBase
from training.evaluate import Integers, arm, class_figures, confusion, paired_difference, probability_figures
from training.features import RAW
from training.head_state import HeadState
from training.seeds import child_seed


def grade(
    answers: Mapping[str, Integers], probabilities: NDArray[np.float64], targets: Integers, classes: int, seed: int
) -> dict[str, Any]:
    """Figures of every arm, and of the first arm, whose ``probabilities`` are given, against each of the others.

    Args:
        answers: predicted classes [n] by arm; the first is the candidate.
    """
    candidate, *others = answers
    counts = confusion(targets, answers[candidate], classes)
    right = {name: predicted == targets for name, predicted in answers.items()}
    present = np.bincount(targets, minlength=classes)
    return {
        "arms": {name: arm(targets, predicted, classes) for name, predicted in answers.items()},
        "differences": {
            other: asdict(paired_difference(right[candidate], right[other], child_seed(seed, other)))
            for other in others
        },
        "probabilities": probability_figures(probabilities, targets),
        "classes": {name: figures.tolist() for name, figures in class_figures(counts).items()},
        "confusion": counts.tolist(),
        "fewest_of_a_class": int(present.min()),
    }


def quality_checks(evaluated: Mapping[str, Any], margin: float) -> list[gate.Check]:
    """What the gate asks about quality, given the figures of ``grade``."""
    arms, differences = evaluated["arms"], evaluated["differences"]
    candidate = next(iter(arms.values()))
    checks = [gate.better_than_majority(candidate, arms["majority"])]
    if "current" in differences:
        checks.append(gate.not_worse_than_current(differences["current"], margin))
    return checks


def grade_head(run: HeadState) -> dict[str, Any]:
    """Open the test and let everyone answer it."""
    cut, labels = run.found["probe"]["cut"], run.labels
    current, skipped = _current_head(run.task.current, run.base_manifest.digest, labels)
    test = run.split.test.open()
    targets = run.targets[test]
    head = run.linear("candidate").folded(labels, run.found["calibrate"]["temperature"])
    logits = head.logits(run.cache.rows(cut, test)).astype(np.float64)
    majority = int(np.bincount(run.targets[run.split.train], minlength=len(labels)).argmax())
    answers = {
        "candidate": logits.argmax(axis=1),
        "majority": np.full(len(test), majority),
        "linear_raw": run.linear("linear_raw").logits(run.cache.rows(RAW, test)).argmax(axis=1),
    }
    if current is not None:
        answers["current"] = current[0].logits(run.cache.rows(current[1], test)).argmax(axis=1)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    found = grade(answers, probabilities, targets, len(labels), child_seed(run.recipe.seed, "evaluate"))
    return {**found, **({"current_skipped": skipped} if skipped else {})}


def _current_head(
    directory: Path | None, base_digest: str, labels: tuple[str, ...]
) -> tuple[tuple[Head, str] | None, str | None]:
    """The head that answers now and its cut, if it can be compared; else why not."""
    if directory is None:
        return None, None
    try:
        manifest = read_manifest(directory)
        problem = _incomparable(manifest, base_digest, labels)
        if problem:
            return None, f"not compared with the current version: {problem}"
        with np.load(directory / HEAD) as file:
            head = Head(file["weights"], file["bias"], manifest.labels)
    except (BadBase, OSError, KeyError, ValueError) as error:
        # The service may have removed it since the job was made; the candidate is still worth having.
        return None, f"not compared with the current version: {error}"
    return (head, str(manifest.cut)), None


def _incomparable(manifest: Manifest, base_digest: str, labels: tuple[str, ...]) -> str | None:
    if manifest.base is None or manifest.base.digest != base_digest:
        return "it stands on another base"
    if manifest.labels != labels:
        return "it answers with other classes"
    return None
