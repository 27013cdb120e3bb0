"""Reports as a run writes them, made in a moment: real figures of made-up answers, for every task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from service.domain.learning import LearningTask
from training.data.targets import Classes, LabelSets, Values
from training.evaluation.arms import grade
from training.gate import Check, Verdict, decide
from training.objectives import objective_for
from training.recipe import HeadChoice
from training.report import document

SKILL = {"candidate": 3.2, "majority": 0.0, "linear_raw": 2.6, "random_features": 2.0, "scratch": 2.9, "current": 2.9}
COSTS = {
    "candidate": {"seconds": 4.21, "steps": 500, "trainable_parameters": 66_954},
    "linear_raw": {"seconds": 0.08, "trainable_parameters": 325},
    "random_features": {"seconds": 0.61, "trainable_parameters": 1_285},
    "scratch": {"seconds": 11.9, "steps": 500, "trainable_parameters": 14_781_642},
}
TIMINGS = {"validate": 0.31, "split": 0.01, "features": 2.4, "probe": 1.9, "finetune": 16.2, "calibrate": 0.02,
           "evaluate": 0.7, "export": 4.6, "gate": 0.0, "publish": 0.3}  # fmt: skip


def multiclass(
    classes: int = 5, items: int = 240, names: Sequence[str] | None = None, seed: int = 0, **more: Any
) -> dict[str, Any]:
    """Arms of different skill on one test, fine-tuned, everything known."""
    labels = tuple(names or (f"class {n}" for n in range(classes)))
    draw = np.random.default_rng(seed)
    true = np.concatenate([np.arange(classes), draw.integers(classes, size=items - classes)])
    objective = objective_for(
        LearningTask.MULTICLASS, Classes(tuple(labels[n] for n in true)), labels=labels, choice=HeadChoice()
    )
    noise = draw.normal(size=(items, classes))
    logits = {arm: skill * np.eye(classes)[true] + noise for arm, skill in SKILL.items()}
    logits["majority"] = np.tile(np.eye(classes)[0], (items, 1))
    counts = {label: int(n) for label, n in zip(labels, np.bincount(true, minlength=classes) * 5, strict=True)}
    return whole(objective, logits, true, dataset=dataset(counts), labels=labels, **fitted(draw), **more)


def multilabel(items: int = 300, seed: int = 1) -> dict[str, Any]:
    """Seven labels of different frequency."""
    labels = ("indoor", "outdoor", "people", "animal", "vehicle", "text", "night")
    draw = np.random.default_rng(seed)
    marks = draw.random((items, len(labels))) < np.array([0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05])
    sets = tuple(tuple(label for label, mark in zip(labels, row, strict=True) if mark) for row in marks)
    head = HeadChoice(task="multilabel")
    objective = objective_for(LearningTask.MULTILABEL, LabelSets(sets, labels), labels=labels, choice=head)
    noise = draw.normal(size=marks.shape)
    logits = {arm: 1.4 * skill * (marks - 0.5) + noise for arm, skill in SKILL.items() if arm != "current"}
    counts = {label: int(n) for label, n in zip(labels, marks.sum(axis=0), strict=True)}
    recipe = {"seed": 0, "head": {"task": "multilabel"}}
    return whole(objective, logits, marks.astype(np.float32), dataset=dataset(counts), labels=labels, recipe=recipe)


def regression(items: int = 400, seed: int = 2) -> dict[str, Any]:
    """One number, its unit in its name."""
    draw = np.random.default_rng(seed)
    values = draw.gamma(4, 20, size=(items, 1))
    objective = objective_for(
        LearningTask.REGRESSION, Values(values, ("price (k€)",)), labels=None, choice=HeadChoice(task="regression")
    )
    true = objective.targets(Values(values, ("price (k€)",)))
    noise = draw.normal(size=true.shape)
    errors = {"candidate": 0.35, "linear_raw": 0.5, "scratch": 0.45, "random_features": 0.6}
    logits = {arm: true + size * noise * (1 + 0.3 * true) for arm, size in errors.items()}
    logits["majority"] = np.zeros_like(true)
    pairs = np.concatenate([values, objective.in_units(logits["candidate"])], axis=1).tolist()
    found = {**dataset({}), "values": {"price (k€)": {"min": 3.1, "mean": 80.2, "max": 310.0}}}
    recipe = {"seed": 0, "head": {"task": "regression"}}
    report = whole(objective, logits, true, dataset=found, labels=objective.labels, recipe=recipe)
    report["values"] |= {"pairs": [pairs], "coverage": [0.943], "half_width": [31.2]}
    return report


def whole(
    objective: Any,
    logits: dict[str, Any],
    encoded: Any,
    *,
    labels: Sequence[str],
    dataset: dict[str, Any],
    recipe: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A report around graded answers."""
    evaluated = grade(objective, logits, encoded, 0, draws=200, costs=COSTS)
    enough = evaluated["arms"]["candidate"]["items"] >= 100
    reason = f"{evaluated['arms']['candidate']['items']} test items; 100 are needed for a sure verdict"
    checks = [
        Check("better_than_majority", True, 0.9, 0.2, "the score is above the majority's"),
        Check("test_items", enough, len(encoded), 100, reason, Verdict.INSUFFICIENT),
    ]
    calibration = {"temperature": 1.31, "reason": "improves the log loss on items it was not fitted on", "items": 960,
                   "log_loss_before": 0.241, "log_loss_after": 0.228}  # fmt: skip
    return document(
        model="defects",
        labels=labels,
        evaluated=evaluated,
        decision=decide(checks, "enforce").to_dict(),
        recipe=recipe or {"seed": 7, "head": {"task": str(objective.task), "l2": 0.1}, "finetune": {"steps": 500}},
        dataset=dataset,
        timings=TIMINGS,
        notes=["the columns have other names than the base's and are taken in their order"],
        base={"model": "mobilenet", "version": 3, "digest": "ab" * 32},
        phase_memory_mb={phase: 600.0 + 90 * n for n, phase in enumerate(TIMINGS)},
        peak_memory_mb=1410.0,
        calibration=calibration,
        split={"method": "stratified", "train": 960, "validation": 120, "test": len(encoded)},
        **more,
    )


def dataset(counts: dict[str, int]) -> dict[str, Any]:
    """What the check of the data found."""
    return {
        "format": "zip",
        "kind": "image",
        "items": sum(counts.values()) or 2000,
        "classes": counts,
        "shape": None,
        "digest": "cd" * 32,
        "warnings": [{"code": "duplicate", "message": "the same image as cats/1.png", "place": "cats/7.png"}],
        "quarantined": [{"code": "bad_image", "message": "is cut off", "place": "dogs/19.png"}],
        "quarantined_count": 1,
    }


def fitted(draw: np.random.Generator) -> dict[str, Any]:
    """Histories, layers, trials, repeats, suspects, preview."""
    steps = range(0, 501, 25)
    looks = [
        {
            "step": step,
            "seconds": step * 0.02,
            "loss": None if step == 0 else 0.2 + 1.4 * 0.99**step + 0.02 * float(draw.normal()),
            "score": 0.95 - 0.4 * 0.985**step - (0.0002 * max(0, step - 300)),
            "rate": 1e-4 * min(1, (step + 1) / 100),
        }
        for step in steps
    ]
    reach = {share: {"step": 50 * n, "seconds": n * 1.0} for n, share in enumerate(("90", "95", "99"), 1)}
    history = {"looks": looks, "steps": 500, "seconds": 10.1, "best_step": 300, "best_score": 0.946, "reach": reach,
               "stopped": "patience"}  # fmt: skip
    trials = [
        {"cut": cut, "C": 10.0**power, "accuracy": 0.9 - 0.02 * abs(power), "error": 0.011, "log_loss": 0.3 + 0.05 * n}
        for n, cut in enumerate(("block4_pool", "block5_pool"))
        for power in range(-2, 3)
    ]
    names = ("block5_conv1", "block5_conv2", "head")
    layers = [{"name": f"block{n}_conv1", "kind": "Conv2D", "parameters": 36_928, "trainable": False} for n in range(4)]
    layers += [
        {"name": name, "kind": "Conv2D", "parameters": 590_080, "trainable": True, "displacement": 0.013 * n}
        for n, name in enumerate(names, 1)
    ]
    points = [[float(draw.normal() + 3 * (n % 5)), float(draw.normal() + 2 * (n % 3)), n % 5] for n in range(300)]
    return {
        "histories": {"finetune": history, "scratch": {**history, "best_step": 450}},
        "finetune": {"kept": True, "mode": "partial", "unfrozen": list(names)},
        "probe": {"cut": "block5_pool", "C": 1.0, "trials": trials, "configs_tried": len(trials)},
        "configs_tried": len(trials) + 3,
        "layers": layers,
        "repeats": {
            "metric": "accuracy",
            "groups": {arm: draw.normal(at, 0.02, 12).tolist() for arm, at in (("candidate", 0.94), ("scratch", 0.91))},
        },
        "ood": {"threshold": 0.4, "quantile": 0.95, "items": 960, "nearest": 5, "share": 0.071,
                "outliers": [{"place": "dogs/3.png", "score": 0.61}]},
        "suspects": [{"place": "cats/12.png", "label": "cats", "answer": "dogs", "probability": 0.004}],
        "preview": {"points": points, "names": [f"class {n}" for n in range(5)], "axes": ["first", "second"],
                    "title": "training items, main directions of the features"},
        "scores": {"metric": "accuracy", "train": 0.999, "held_out": 0.94},
    }  # fmt: skip
