"""What a run found, as documents: the report, the model card, the lineage, and the sentence that sums it up.

Every sentence is made from the figures; no figure is written by hand.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from service.domain.artifact import Manifest

FORMAT = "graft-report/v1"


def comparison(difference: Mapping[str, Any]) -> str:
    """What a paired difference against a simpler answerer proves."""
    if difference["interval"]["low"] > 0:
        return "transfer helps"
    if difference["interval"]["high"] < 0:
        return "the linear model on raw input is better"
    return "no reliable difference"


def headline(model: str, evaluated: Mapping[str, Any]) -> str:
    """The result in one sentence."""
    arms = evaluated["arms"]
    candidate = arms["candidate"]
    sentence = (
        f"{model} answers {candidate['accuracy']:.3f} of {candidate['items']} sealed items right "
        f"(95 % interval {candidate['accuracy_low']:.2f}-{candidate['accuracy_high']:.2f})"
    )
    if "linear_raw" in arms:
        sentence += f", linear model on raw input {arms['linear_raw']['accuracy']:.2f}"
    sentence += f", majority {arms['majority']['accuracy']:.2f}"
    if "current" in arms:
        sentence += f", current version {arms['current']['accuracy']:.2f}"
    if "linear_raw" in arms:
        sentence += f": {comparison(evaluated['differences']['linear_raw'])}"
    return sentence + "."


def metrics(evaluated: Mapping[str, Any], configs_tried: int) -> dict[str, Any]:
    """The figures a job shows."""
    arms = evaluated["arms"]
    return {
        **arms["candidate"],
        **evaluated["probabilities"],
        "baselines": {name: arm["accuracy"] for name, arm in arms.items() if name != "candidate"},
        "differences": evaluated["differences"],
        "configs_tried": configs_tried,
    }


def document(
    *,
    model: str,
    labels: Sequence[str],
    evaluated: Mapping[str, Any],
    decision: Mapping[str, Any],
    recipe: Mapping[str, Any],
    dataset: Mapping[str, Any] | None,
    timings: Mapping[str, float],
    notes: Sequence[str],
    **more: Any,
) -> dict[str, Any]:
    """The report: what a person wants to know first comes first."""
    return {
        "format": FORMAT,
        "model": model,
        "headline": headline(model, evaluated) if evaluated else f"{model} was taken as it is and not evaluated.",
        "verdict": decision["verdict"],
        "gate": dict(decision),
        "labels": list(labels),
        **evaluated,
        **more,
        "dataset": dict(dataset) if dataset else None,
        "notes": list(notes),
        "recipe": dict(recipe),
        "timings_s": dict(timings),
    }


def model_card(report: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    """What someone who is to use the model has to know."""
    dataset = report["dataset"]
    return {
        "model": report["model"],
        "purpose": f"classifies one {manifest.input.kind} as one of {len(manifest.labels)} classes",
        "labels": list(manifest.labels),
        "input": {"kind": str(manifest.input.kind), "shape": list(manifest.input.shape)},
        "summary": report["headline"],
        "verdict": report["verdict"],
        "metrics": report["arms"]["candidate"] if "arms" in report else None,
        "data": {key: dataset[key] for key in ("items", "classes", "digest")} if dataset else None,
        "limits": [
            "Figures hold for data like the sealed test's; other data was not tried.",
            "It always answers with one of its classes, also for items of none of them.",
            *report["gate"]["reasons"],
        ],
    }


def lineage(
    report: Mapping[str, Any], manifest: Manifest, split: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Any]:
    """Where the model comes from."""
    return {
        "base": report.get("base"),
        "cut": manifest.cut,
        "dataset": report["dataset"]["digest"] if report["dataset"] else None,
        "split": {side: len(split[side]) for side in ("train", "test")} if split else None,
        "provenance": dict(manifest.provenance),
        "machine": {"python": platform.python_version(), "processor": platform.machine(), "system": platform.system()},
    }
