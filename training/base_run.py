"""A base from recipe to published version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.artifact import LINEAGE, MODEL_CARD, REPORT, REPORT_PAGE, Manifest
from service.domain.progress import Finished
from training import gate, report
from training.bases.base_model import BaseModel
from training.bases.publishing import base_manifest, write_base
from training.bases.surgery.layers import layer_table
from training.errors import BadRecipe
from training.events import Announcer, Emit
from training.phase_costs import PhaseCosts
from training.publish import Candidate, provenance, publish
from training.recipe import (
    ApplicationBase,
    BilstmBase,
    CnnBase,
    EnsembleBase,
    KerasFileBase,
    MlpBase,
    Recipe,
    SavedModelBase,
)
from training.verify import FreshProcess, digests, hold_copy

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
    costs = PhaseCosts()

    def phase(name: str, message: str) -> None:
        costs.begin(name)
        announcer.progress(name, message)

    with FreshProcess() as checker:
        phase("validate", "looking at the data" if file else "looking at the model")
        base = _base(recipe, file, repository, scratch, phase, announcer)
        phase("export", "writing the model")
        directory = scratch / "export"
        exported = write_base(base, recipe.name, directory)
        announcer.progress("export", "a fresh process checks the export", 1, 2)
        verification = checker.verify(directory)
        verified = digests(directory)
        phase("gate", "deciding")
        decision = _decide(base, recipe, exported, verification.largest_difference).to_dict()
        phase("publish", "publishing")
        version = None
        if decision["publish"]:
            found = {**exported, "fresh_process": asdict(verification)}
            candidate = _candidate(base, recipe, directory, found, decision, costs)
            version = publish(repository, candidate, lambda staged: hold_copy(staged, verified))
    document = _document(base, recipe, {}, decision, costs)
    return Finished(
        model=recipe.name,
        version=version,
        metrics=report.metrics(base.evaluated, 1) if base.evaluated else {},
        gate=decision,
        recipe=recipe.model_dump(mode="json"),
        headline=document["headline"],
    )


def _base(
    recipe: Recipe,
    file: Path | None,
    repository: Path,
    scratch: Path,
    phase: Callable[[str, str], None],
    announcer: Announcer,
) -> BaseModel:
    match recipe.base:
        case MlpBase() | CnnBase() | BilstmBase() as choice:
            from training.bases.sources.built import from_builder

            if file is None:
                raise BadRecipe("a base from a builder is trained on data: give dataset.uri")
            return from_builder(choice, recipe, file, phase, announcer)
        case KerasFileBase() as choice:
            from training.bases.sources.keras_file import from_keras_file

            return from_keras_file(choice, recipe.head.task, recipe.seed, scratch)
        case ApplicationBase() as choice:
            from training.bases.sources.application import from_application

            return from_application(choice, recipe.seed, scratch)
        case SavedModelBase() as choice:
            from training.bases.sources.saved_model import from_saved_model

            return from_saved_model(choice, recipe.seed)
        case EnsembleBase() as choice:
            from training.bases.sources.ensemble import from_ensemble

            return from_ensemble(choice, repository, recipe.seed)
        case _:
            raise BadRecipe("this recipe describes a head, not a base")


def _decide(base: BaseModel, recipe: Recipe, exported: Mapping[str, Any], difference: float) -> gate.Decision:
    checks = [gate.same_in_fresh_process(difference), gate.stored_once(exported["stored_ratio"])]
    if base.evaluated:
        items = base.evaluated["arms"]["candidate"]["items"]
        checks = [
            _better_than_constant(base.evaluated),
            *checks,
            *gate.enough_test_items(items, base.evaluated["fewest_of_a_class"]),
        ]
    else:
        checks += gate.enough_test_items(0, 0)
    return gate.decide(checks, recipe.gate.mode)


def _better_than_constant(evaluated: Mapping[str, Any]) -> gate.Check:
    """The least that is asked of anything: not to be worse than the best answer that does not look at the item."""
    arms, gap = evaluated["arms"], evaluated["differences"]["majority"]
    value, limit = float(arms["candidate"]["value"]), float(arms["majority"]["value"])
    passed = gap["value"] > 0 and gap["interval"]["high"] >= 0
    word = "is" if passed else "is not"
    reason = f"{evaluated['metric']} {value:.3f} {word} better than that of always the same answer, {limit:.3f}"
    return gate.Check("better_than_majority", passed, value, limit, reason)


def _document(
    base: BaseModel, recipe: Recipe, exported: Mapping[str, Any], decision: Mapping[str, Any], costs: PhaseCosts
) -> dict[str, Any]:
    return report.document(
        model=recipe.name,
        labels=base.labels,
        evaluated=base.evaluated,
        decision=decision,
        recipe=recipe.model_dump(mode="json"),
        dataset=base.dataset,
        timings=costs.seconds(),
        notes=base.notes,
        base=base.facts,
        kind="base",
        histories={"fit": base.history} if base.history else None,
        inputs=_inputs(base, recipe),
        layers=_layers(base),
        export=dict(exported),
        phase_memory_mb={phase: cost["peak_memory_mb"] for phase, cost in costs.each().items()},
        peak_memory_mb=costs.peak_memory_mb(),
    )


def _inputs(base: BaseModel, recipe: Recipe) -> dict[str, Any] | None:
    """How large the numbers are that come in, where it is known whether anything scales them."""
    if not isinstance(recipe.base, MlpBase):
        return None
    return {"largest": float(np.abs(base.sample).max()), "scaled": recipe.base.params.standardise}


def _layers(base: BaseModel) -> list[dict[str, Any]] | None:
    """The layer table, of a base that has layers."""
    if base.model is None:
        return None
    trained = base.history is not None
    return [
        {"name": row.name, "kind": row.kind, "parameters": row.parameters, "trainable": trained and row.trainable > 0}
        for row in layer_table(base.model)
        if row.parameters
    ]


def _candidate(
    base: BaseModel,
    recipe: Recipe,
    directory: Path,
    exported: Mapping[str, Any],
    decision: Mapping[str, Any],
    costs: PhaseCosts,
) -> Candidate:
    document = _document(base, recipe, exported, decision, costs)
    origin = provenance(
        None,
        dataset=base.dataset["digest"] if base.dataset else None,
        recipe=recipe.model_dump(mode="json"),
        seed=recipe.seed,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    manifest = base_manifest(base, exported["features"], origin)
    return Candidate(recipe.name, directory, manifest, _documents(document, manifest))


def _documents(document: Mapping[str, Any], manifest: Manifest) -> dict[Any, bytes]:
    card = report.model_card(document, manifest)
    return {
        REPORT: report.to_json(document),
        REPORT_PAGE: report.page(document, card).encode(),
        MODEL_CARD: report.to_json(card),
        LINEAGE: report.to_json(report.lineage(document, manifest)),
    }
