"""A base from recipe to published version."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.domain.artifact import KERAS_MODEL, LINEAGE, MODEL_CARD, REPORT, Manifest, ModelKind
from service.domain.progress import Finished
from training import gate, grading, report, report_page
from training.base_sources import BaseModel, from_builder, from_file
from training.errors import BadRecipe
from training.events import Announcer, Emit
from training.export.base_model import export_base
from training.export.extras import make_room, stored_ratio, write_golden, write_warmup
from training.head_version import REPORT_PAGE
from training.publish import Candidate, provenance, publish
from training.recipe import CnnBase, KerasFileBase, MlpBase, Recipe
from training.verify import FreshProcess

SHARES = {"validate": 2, "split": 1, "fit": 60, "evaluate": 2, "export": 30, "gate": 1, "publish": 4}


def run_base(recipe: Recipe, file: Path | None, repository: Path, scratch: Path, emit: Emit) -> Finished:
    """Make and publish a base.

    Args:
        file: the data, for a builder.
        scratch: an empty directory.

    Raises:
        TrainingFailed: running again would end the same way.
    """
    announcer = Announcer(SHARES, emit)
    timings: dict[str, float] = {}
    began = time.monotonic()

    def phase(name: str, message: str) -> None:
        nonlocal began
        now = time.monotonic()
        if timings:
            timings[list(timings)[-1]] = round(now - began, 3)
        timings[name], began = 0.0, now
        announcer.progress(name, message)

    phase("validate", "looking at the data")
    match recipe.base:
        case KerasFileBase() as choice:
            base = from_file(choice, recipe.seed, scratch)
        case MlpBase() | CnnBase() as choice:
            if file is None:
                raise BadRecipe("a base from a builder is trained on data: give dataset.uri")
            base = from_builder(choice, recipe, file, phase, announcer)
        case _:
            raise BadRecipe("this recipe describes a head, not a base")
    with FreshProcess() as checker:
        phase("export", "writing the model")
        directory = scratch / "export"
        exported = _export(base, recipe.name, directory)
        verification = checker.verify(directory)
        phase("gate", "deciding")
        decision = _decide(base, recipe, exported, verification.largest_difference).to_dict()
        phase("publish", "publishing")
        version = None
        if decision["publish"]:
            found = {**exported, "fresh_process": asdict(verification)}
            candidate = _candidate(base, recipe, directory, found, decision, timings)
            version = publish(repository, candidate, checker.verify)
    document = _document(base, recipe, {}, decision, timings)
    return Finished(
        model=recipe.name,
        version=version,
        metrics=report.metrics(base.evaluated, 1) if base.evaluated else {},
        gate=decision,
        recipe=recipe.model_dump(mode="json"),
        headline=document["headline"],
    )


def _export(base: BaseModel, name: str, directory: Path) -> dict[str, Any]:
    exported = export_base(base.model, base.cuts, base.spec, base.labels, directory)
    make_room(directory)
    write_golden(directory, base.sample, base.spec.name)
    write_warmup(directory, name, base.sample, base.spec.name)
    base.model.save(directory / KERAS_MODEL)
    return {"features": dict(exported.features), "stored_ratio": stored_ratio(directory, exported.weights)}


def _decide(base: BaseModel, recipe: Recipe, exported: Mapping[str, Any], difference: float) -> gate.Decision:
    checks = [gate.same_in_fresh_process(difference), gate.stored_once(exported["stored_ratio"])]
    if base.evaluated:
        items = base.evaluated["arms"]["candidate"]["items"]
        checks = [
            *grading.quality_checks(base.evaluated, recipe.gate.margin),
            *checks,
            *gate.enough_test_items(items, base.evaluated["fewest_of_a_class"]),
        ]
    else:
        checks += gate.enough_test_items(0, 0)
    return gate.decide(checks, recipe.gate.mode)


def _document(
    base: BaseModel,
    recipe: Recipe,
    exported: Mapping[str, Any],
    decision: Mapping[str, Any],
    timings: Mapping[str, float],
) -> dict[str, Any]:
    return report.document(
        model=recipe.name,
        labels=base.labels,
        evaluated=base.evaluated,
        decision=decision,
        recipe=recipe.model_dump(mode="json"),
        dataset=base.dataset,
        timings=timings,
        notes=base.notes,
        base=base.facts,
        export=dict(exported),
    )


def _candidate(
    base: BaseModel,
    recipe: Recipe,
    directory: Path,
    exported: Mapping[str, Any],
    decision: Mapping[str, Any],
    timings: Mapping[str, float],
) -> Candidate:
    document = _document(base, recipe, exported, decision, timings)
    manifest = Manifest(
        kind=ModelKind.BASE,
        task=recipe.head.task,
        labels=base.labels,
        input=base.spec,
        digest="",
        files={},
        features=exported["features"],
        provenance=provenance(
            None,
            dataset=base.dataset["digest"] if base.dataset else None,
            recipe=recipe.model_dump(mode="json"),
            seed=recipe.seed,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            **base.facts,
        ),
    )
    documents = {
        REPORT: json.dumps(document, indent=1).encode(),
        REPORT_PAGE: report_page.page(document).encode(),
        MODEL_CARD: json.dumps(report.model_card(document, manifest), indent=1).encode(),
        LINEAGE: json.dumps(report.lineage(document, manifest), indent=1).encode(),
    }
    return Candidate(recipe.name, directory, manifest, documents)
