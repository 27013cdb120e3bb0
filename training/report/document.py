"""The report as data: ``report.json``. What a person wants to know first comes first, and the page is made from
it alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from training.report.arms import headline_of
from training.report.cautions import cautions
from training.report.diagnosis import diagnose
from training.report.manner import manner_of
from training.report.verdict import headline, transfer

FORMAT = "graft-report/v2"


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
    """The whole report.

    Args:
        evaluated: the figures of the sealed test; empty where nothing was evaluated.
        more: further sections by their keys; those that are None are left out.
    """
    sections = {key: value for key, value in more.items() if value is not None}
    raw: dict[str, Any] = {
        "format": FORMAT,
        "model": model,
        "task": recipe.get("head", {}).get("task", "multiclass"),
        "headline": headline(model, evaluated) if evaluated else f"{model} was taken as it is and not evaluated.",
        "verdict": decision["verdict"],
        "result": _result(evaluated),
        "transfer": transfer(evaluated["differences"]) if evaluated else None,
        "gate": dict(decision),
        "labels": list(labels),
        **evaluated,
        **sections,
        "dataset": dict(dataset) if dataset else None,
        "notes": list(notes),
        "recipe": dict(recipe),
        "timings_s": dict(timings),
    }
    raw["manner"] = manner_of(raw)
    raw["warnings"] = cautions(raw)
    raw["diagnoses"] = diagnose(raw)
    return raw


def metrics(evaluated: Mapping[str, Any], configs_tried: int) -> dict[str, Any]:
    """The figures a job shows."""
    arms = evaluated["arms"]
    return {
        **arms["candidate"],
        **evaluated.get("probabilities", {}),
        "baselines": {name: headline_of(arm).value for name, arm in arms.items() if name != "candidate"},
        "differences": evaluated["differences"],
        "configs_tried": configs_tried,
    }


def to_json(document: Mapping[str, Any]) -> bytes:
    """A document as a file: numpy's numbers as Python's own, and None for numbers that JSON does not know."""
    return json.dumps(_plain(document), indent=1).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _result(evaluated: Mapping[str, Any]) -> dict[str, Any] | None:
    if not evaluated:
        return None
    own = headline_of(evaluated["arms"]["candidate"])
    return {
        "key": own.metric.key,
        "name": own.metric.name,
        "greater_is_better": own.metric.greater_is_better,
        "value": own.value,
        "low": own.low,
        "high": own.high,
    }
