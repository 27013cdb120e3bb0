"""What becomes of a fitted head: its exported files, its report and cards, its manifest, and the last event."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.artifact import (
    EXTRA,
    KERAS_MODEL,
    LINEAGE,
    MODEL_CARD,
    REPORT,
    BaseRef,
    Manifest,
    ModelKind,
    Route,
)
from service.domain.heads import AnswerForm, Head
from service.domain.progress import Finished
from training import gate, report, report_page
from training.bases.keras_head import write_keras_head
from training.export.extras import make_room, stored_ratio, write_golden, write_head, write_warmup
from training.export.head_model import export_head
from training.head_state import HeadState
from training.publish import Candidate, provenance, publish

REPORT_PAGE = EXTRA / "report.html"


def fitted_head(run: HeadState) -> Head:
    """The head as it will answer: standardisation and temperature in its weights."""
    return run.linear("candidate").folded(run.labels, run.found["calibrate"]["temperature"])


def export(run: HeadState, directory: Path) -> dict[str, Any]:
    """Write all files of the version that decide its answers; returns what was measured on the way."""
    spec, cut, head = run.base_manifest.input, run.found["probe"]["cut"], fitted_head(run)
    exported = export_head(run.base.loaded, cut, head, spec, directory)
    make_room(directory)
    sample = run.area.arrays("sample")
    answered = write_golden(directory, sample["inputs"], spec.name)
    write_warmup(directory, run.task.head, sample["inputs"], spec.name)
    write_head(directory, head)
    expected = head.answer(run.cache.rows(cut, sample["items"]), AnswerForm.PREDICT)["probabilities"]
    found = {
        "routes": {name: {"via": route.via, "form": str(route.form)} for name, route in exported.routes.items()},
        "head_and_graph": float(np.abs(answered["probabilities"] - expected).max()),
        "stored_ratio": stored_ratio(directory, exported.weights),
    }
    keras_base = run.task.base_directory / KERAS_MODEL
    if keras_base.exists():
        found["head_and_keras"] = write_keras_head(
            keras_base, cut, head, directory / KERAS_MODEL, sample["inputs"], expected
        )
    return found


def parity_checks(exported: Mapping[str, Any]) -> list[gate.Check]:
    """What the gate asks about the export."""
    return [
        gate.same_in_fresh_process(exported["fresh_process"]["largest_difference"]),
        gate.head_equals_graph(exported["head_and_graph"]),
        gate.stored_once(exported["stored_ratio"]),
    ]


def resolved_recipe(run: HeadState) -> dict[str, Any]:
    """The recipe with every ``auto`` replaced by what it became."""
    raw = run.recipe.model_dump(mode="json")
    raw["name"] = run.task.head
    raw["base"] = {
        "kind": "version",
        "ref": f"{run.task.base_model}@{run.task.base_version}",
        "cut": run.found["probe"]["cut"],
    }
    raw["head"]["l2"] = 1.0 / run.found["probe"]["C"]
    return raw


def publish_head(run: HeadState, verify: Callable[[Path], object]) -> int:
    """Publish the exported candidate; its number."""
    document = head_report(run)
    manifest = Manifest(
        kind=ModelKind.HEAD,
        task=run.recipe.head.task,
        labels=run.labels,
        input=run.base_manifest.input,
        digest="",
        files={},
        base=BaseRef(run.task.base_model, run.task.base_version, run.base_manifest.digest),
        cut=run.found["probe"]["cut"],
        routes={
            name: Route(route["via"], AnswerForm(route["form"]))
            for name, route in run.found["export"]["routes"].items()
        },
        temperature=run.found["calibrate"]["temperature"],
        provenance=provenance(
            run.task.job_id,
            dataset=run.found["validate"]["report"]["digest"],
            recipe=resolved_recipe(run),
            seed=run.recipe.seed,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        ),
    )
    documents = {
        REPORT: _json(document),
        REPORT_PAGE: report_page.page(document).encode(),
        MODEL_CARD: _json(report.model_card(document, manifest)),
        LINEAGE: _json(report.lineage(document, manifest, split=run.found["split"])),
    }
    candidate = Candidate(run.task.head, run.area.directory / "export", manifest, documents)
    return publish(run.task.repository, candidate, verify)


def head_report(run: HeadState) -> dict[str, Any]:
    """The report's document."""
    evaluated, probe = run.found["evaluate"], run.found["probe"]
    return report.document(
        model=run.task.head,
        labels=run.labels,
        evaluated=evaluated,
        decision=run.found["gate"],
        recipe=resolved_recipe(run),
        dataset=run.found["validate"]["report"],
        timings={phase: cost["seconds"] for phase, cost in run.costs.items()},
        notes=[*run.found["validate"]["notes"], *filter(None, [evaluated.get("current_skipped")])],
        base={"model": run.task.base_model, "version": run.task.base_version, "digest": run.base_manifest.digest},
        peak_memory_mb=max(cost["peak_memory_mb"] for cost in run.costs.values()),
        probe=probe,
        calibration=run.found["calibrate"],
        export={key: value for key, value in run.found["export"].items() if key != "routes"},
    )


def finished(run: HeadState) -> Finished:
    """The last event of a run that ended well."""
    evaluated = run.found["evaluate"]
    return Finished(
        model=run.task.head,
        version=run.found["publish"]["version"],
        metrics=report.metrics(evaluated, run.found["probe"]["configs_tried"]),
        gate=run.found["gate"],
        recipe=resolved_recipe(run),
        headline=report.headline(run.task.head, evaluated),
    )


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, sort_keys=False).encode()
