"""The model card: what someone who is to use the model has to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.domain.artifact import Manifest
from training.evaluation.intervals import CONFIDENCE
from training.report.arms import headline_of
from training.report.notation import plural

FORMAT = "graft-model-card/v1"
UNKNOWN_LICENCE = "not stated; it is the base's and its data's, and whoever publishes the model has to know it"
EXTRA_FIGURES = ("probabilities", "coverage")


def model_card(report: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    """The card of a version, from its report and its manifest."""
    dataset = report["dataset"]
    facts = report.get("base") or {}
    return {
        "format": FORMAT,
        "model": report["model"],
        "purpose": _purpose(manifest, report["labels"]),
        "task": str(manifest.task),
        "labels": list(manifest.labels),
        "input": {"kind": str(manifest.input.kind), "shape": list(manifest.input.shape)},
        "summary": report["headline"],
        "verdict": report["verdict"],
        "manner": report.get("manner"),
        "metric": _metric(report),
        "metrics": report["arms"]["candidate"] if "arms" in report else None,
        **{key: report[key] for key in EXTRA_FIGURES if key in report},
        "data": _data(dataset),
        "base": {key: facts[key] for key in ("model", "version", "digest") if key in facts} or None,
        "licence": facts.get("licence") or UNKNOWN_LICENCE,
        "configs_tried": report.get("configs_tried"),
        "limits": _limits(report, manifest),
    }


def _purpose(manifest: Manifest, labels: list[str]) -> str:
    kind = manifest.input.kind
    match str(manifest.task):
        case "regression":
            return f"estimates {_listed(labels)} of one {kind}"
        case "multilabel":
            return f"says which of {len(labels)} labels hold for one {kind}"
        case "binary":
            return (
                f"tells whether one {kind} is {labels[1]} or {labels[0]}" if len(labels) == 2 else f"judges one {kind}"
            )
        case _:
            return f"classifies one {kind} as one of {len(labels)} classes"


def _metric(report: Mapping[str, Any]) -> dict[str, Any] | None:
    if "arms" not in report:
        return None
    own, confidence = headline_of(report["arms"]["candidate"]), report.get("confidence", CONFIDENCE)
    return {"name": own.metric.key, "value": own.value, "low": own.low, "high": own.high, "confidence": confidence}


def _data(dataset: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not dataset:
        return None
    keys = ("items", "classes", "values", "digest", "quarantined_count")
    return {key: dataset[key] for key in keys if dataset.get(key)}


def _limits(report: Mapping[str, Any], manifest: Manifest) -> list[str]:
    limits = ["Figures hold for data like the sealed test's; other data was not tried."]
    match str(manifest.task):
        case "regression":
            limits.append("It always gives a number, also for items unlike any it has seen.")
        case "multilabel":
            limits.append(f"It knows {plural(len(manifest.labels), 'label')}; what else an item may be, it cannot say.")
        case _:
            limits.append("It always answers with one of its classes, also for items of none of them.")
    said = [caution["message"] for caution in report.get("warnings", ())]
    return [*limits, *report["gate"]["reasons"], *said]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "numbers"
