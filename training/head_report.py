"""The report of a head job, from what its phases found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import (
    LINEAGE,
    MODEL_CARD,
    REPORT,
    REPORT_PAGE,
    InputKind,
    Manifest,
    ModelKind,
)
from training import report
from training.bases.surgery.layers import layer_table
from training.features import inputs_of
from training.fitted_state import FittedState
from training.report.lineage import merkle_root
from training.report.observed.directions import MOST_ITEMS, plane
from training.report.observed.thumbnails import thumbnails
from training.seeds import child_seed, generator

MOST_ASKED = 500
"""Items that a model of its own answers again, only to be reported."""
MOST_READ = 2_000
"""Items whose cached features are read again for it: of wide cuts all of them would not fit into memory."""


def head_report(run: FittedState, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The report's document. ``recipe``: with every ``auto`` replaced by what it became."""
    found = run.found
    return report.document(
        model=run.task.head,
        labels=run.labels,
        evaluated=found["evaluate"],
        decision=found["gate"],
        recipe=recipe,
        dataset=found["validate"]["report"],
        timings={phase: cost["seconds"] for phase, cost in run.costs.items()},
        notes=found["validate"]["notes"],
        base={
            "model": run.task.base_model,
            "version": run.task.base_version,
            "digest": run.base_manifest.digest,
            "licence": run.base_manifest.provenance.get("licence"),
        },
        kind=str(run.candidate.kind),
        phase_memory_mb={phase: cost["peak_memory_mb"] for phase, cost in run.costs.items()},
        peak_memory_mb=max(cost["peak_memory_mb"] for cost in run.costs.values()),
        split=_split(run),
        probe={key: value for key, value in found["probe"].items() if key != "network"},
        finetune=_finetune(run),
        baselines=_without_histories(found["finetune"].get("baselines") or {}),
        histories=histories(found),
        layers=_layers(run),
        calibration=found["calibrate"],
        scores=_scores(run),
        repeats=_repeats(run),
        units=_units(run),
        preview=_preview(run),
        export={key: value for key, value in found["export"].items() if key not in {"routes", "files"}},
        configs_tried=configs_tried(found),
    )


def documents(run: FittedState, recipe: Mapping[str, Any], manifest: Manifest) -> dict[PurePosixPath, bytes]:
    """Report, page, card and lineage as files of the version."""
    document = head_report(run, recipe)
    card = report.model_card(document, manifest)
    origin = report.lineage(document, manifest, digests=run.found["validate"]["digests"], split=_sides(run))
    return {
        REPORT: report.to_json(document),
        REPORT_PAGE: report.page(document, card).encode(),
        MODEL_CARD: report.to_json(card),
        LINEAGE: report.to_json(origin),
    }


def configs_tried(found: Mapping[str, Mapping[str, Any]]) -> int:
    """Everything that was fitted in order to choose, baselines included."""
    fitted = [found["probe"], found["probe"].get("network") or {}, found["finetune"]]
    fitted += (found["finetune"].get("baselines") or {}).values()
    return sum(int(each.get("configs_tried", 0)) for each in fitted)


def histories(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Every training by gradient, by name."""
    trainings = {
        "head": found["probe"].get("network"),
        "finetune": found["finetune"],
        "scratch": (found["finetune"].get("baselines") or {}).get("scratch"),
    }
    return {name: each["history"] for name, each in trainings.items() if each and "history" in each}


def _split(run: FittedState) -> dict[str, Any]:
    sides, digests = _sides(run), run.found["validate"]["digests"]
    roots = {side: merkle_root(digests[item] for item in items) for side, items in sides.items()}
    return {
        "method": run.recipe.split.method,
        **{side: len(items) for side, items in sides.items()},
        "digests": roots,
    }


def _sides(run: FittedState) -> dict[str, list[int]]:
    return {"train": run.fitting.tolist(), "validation": run.watched.tolist(), "test": run.found["split"]["test"]}


def _finetune(run: FittedState) -> dict[str, Any]:
    found = {key: value for key, value in run.found["finetune"].items() if key not in {"history", "baselines"}}
    return {**found, "mode": run.recipe.finetune.mode, "unfrozen": found.pop("layers", [])}


def _without_histories(baselines: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: {k: v for k, v in each.items() if k != "history"} for name, each in baselines.items()}


def _layers(run: FittedState) -> list[dict[str, Any]] | None:
    """The layer table of what answers: the fine-tuned model, else the base, which nothing has touched."""
    tuned = run.found["finetune"]["kept"]
    model = run.candidate.model if tuned else run.keras_base  # type: ignore[attr-defined]
    if model is None:
        return None
    trained = frozenset(run.found["finetune"].get("layers", ())) if tuned else frozenset()
    moved = run.found["finetune"].get("displacement", {}) if tuned else {}
    rows = layer_table(model)
    return [
        {
            "name": row.name,
            "kind": row.kind,
            "parameters": row.parameters,
            "trainable": row.name in trained or (tuned and row is rows[-1]),
            "displacement": moved.get(row.name),
        }
        for row in rows
        if row.parameters
    ]


def _scores(run: FittedState) -> dict[str, Any]:
    """How well training items are answered beside held-out ones, by what cuts and rates were chosen by."""
    objective, found = run.objective, run.found
    items = _some(run, run.fitting, MOST_ASKED if run.candidate.kind is ModelKind.FULL else MOST_READ)
    train = float(objective.choice_score(run.candidate.logits(items), run.wanted[items]).mean())
    held_out = None
    if found["finetune"]["kept"]:
        held_out = found["finetune"]["score"]
    elif not found["probe"].get("network"):
        chosen = (found["probe"]["cut"], found["probe"]["C"])
        scores = [trial["score"] for trial in found["probe"]["trials"] if (trial["cut"], trial["C"]) == chosen]
        held_out = scores[0] if scores else None
    return {"metric": _chosen_by(run), "train": _positive(run, train), "held_out": _positive(run, held_out)}


def _repeats(run: FittedState) -> dict[str, Any] | None:
    """The score of each repeat of the cross-validation; None where it was done once."""
    train = run.split.train
    unseen = run.area.arrays("out_of_fold")["logits"]
    wanted = run.wanted[train]
    scores = [_positive(run, float(run.objective.choice_score(logits, wanted).mean())) for logits in unseen]
    return {"metric": _chosen_by(run), "groups": {"cross-validation": scores}} if len(scores) > 1 else None


def _chosen_by(run: FittedState) -> str:
    """The metric that cuts, penalties and rates are chosen by."""
    return "accuracy" if str(run.objective.task) == "multiclass" else run.objective.metric


def _positive(run: FittedState, score: float | None) -> float | None:
    """A score as its metric is read: errors are scored with a minus."""
    return score if score is None or run.objective.greater_is_better else -score


def _units(run: FittedState) -> dict[str, Any]:
    features = run.features(_some(run, run.fitting, MOST_ASKED))
    dead = int((features == features[:1]).all(axis=0).sum())
    return {"cut": run.found["probe"]["cut"], "width": features.shape[1], "dead": dead}


def _preview(run: FittedState) -> dict[str, Any]:
    spec, train = run.base_manifest.input, _some(run, run.split.train, MOST_READ)
    names, groups = _groups(run, run.objective.strata(run.wanted)[train])
    shown_items = train[:MOST_ITEMS]
    two = run.contents.numbers if run.contents.shape == (2,) else None
    shown = run.features(shown_items) if two is None else two[shown_items]
    preview = plane(shown, groups[: len(shown)], names, child_seed(run.recipe.seed, "preview"), run.contents.columns)
    if spec.kind is InputKind.IMAGE and run.objective.loss == "softmax":
        members = {label: train[groups == place].tolist() for place, label in enumerate(run.labels)}
        preview["thumbnails"] = thumbnails(members, lambda items: inputs_of(run.contents, items, spec, run.base.pixels))
    return preview


def _some(run: FittedState, items: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of the items, drawn: files are often in the order of their classes."""
    drawn: NDArray[np.int64] = generator(run.recipe.seed, "report").permutation(items)[:most]
    return drawn


def _groups(run: FittedState, strata: Any) -> tuple[list[str], Any]:
    """Names for the kinds of items [n]: classes, rarest labels, or bands of the first value."""
    match run.objective.loss:
        case "softmax":
            return list(run.labels), strata
        case "sigmoid":
            return [*run.labels, "no label"], strata
        case _:
            bands = int(strata.max()) + 1
            return [f"{run.labels[0]}, band {band + 1} of {bands}" for band in range(bands)], strata
