"""What becomes of a fitted head: its exported files, its report and cards, its manifest, and the last event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.domain.artifact import (
    KERAS_MODEL,
    BaseRef,
    Manifest,
    ModelKind,
    Route,
)
from service.domain.heads import AnswerForm, Head
from service.domain.progress import Finished
from training import gate, head_report, report
from training.bases.keras_head import write_keras_head
from training.bases.publishing import pooling_of
from training.candidates.answering import largest_gap
from training.export.extras import (
    make_room,
    stored_ratio,
    write_golden,
    write_head,
    write_reference,
    write_warmup,
)
from training.export.head_model import export_head
from training.fitted_state import FittedState
from training.full_version import write_full
from training.grading import reference_file, settled
from training.publish import Candidate, provenance, publish
from training.thin import write_thin
from training.verify import digests, hold_copy

THIN = "thin"
"""Where, beside the export, what a thin version holds is written."""


def fitted_head(run: FittedState) -> Head:
    """The head as it will answer: standardisation, temperature and the scale of values in its weights."""
    return run.linear("candidate").folded(settled(run), run.found["calibrate"]["temperature"])


def export(run: FittedState, directory: Path, ready: Callable[[], None]) -> dict[str, Any]:
    """Write all files of the version that decide its answers; returns what was measured on the way.

    Args:
        ready: called once SavedModel and golden pair are whole and can be checked while the rest is written.
    """
    if run.candidate.kind is ModelKind.HEAD:
        return _export_head(run, directory, ready)
    found = write_full(run, settled(run), directory, ready)
    if not run.found["finetune"]["kept"]:
        # The features that a fine-tuned model gives are others than those the bank would be made of.
        write_reference(directory, reference_file(run))
    return found


def _export_head(run: FittedState, directory: Path, ready: Callable[[], None]) -> dict[str, Any]:
    spec, cut, head = run.base_manifest.input, run.found["probe"]["cut"], fitted_head(run)
    exported = export_head(run.base.loaded, cut, head, spec, directory)
    make_room(directory)
    sample = run.area.arrays("sample")
    answered = write_golden(directory, sample["inputs"], spec.name, exported.answer)
    ready()
    write_warmup(directory, run.task.head, sample["inputs"], spec.name)
    write_head(directory, head)
    write_reference(directory, reference_file(run))
    if is_thin(run):
        with run.area.fresh_directory(THIN) as thin:
            write_thin(thin, head, run.base_directory, run.base_manifest, exported.answer)
    answers = head.answer(run.features(sample["items"]), AnswerForm.PREDICT)
    expected = answers["probabilities" if "probabilities" in answers else "values"]
    found = {
        "routes": {name: {"via": route.via, "form": str(route.form)} for name, route in exported.routes.items()},
        "head_and_graph": largest_gap(answers, answered),
        "stored_ratio": stored_ratio(directory, exported.weights),
    }
    if run.keras_base is not None:
        found["head_and_keras"] = write_keras_head(
            run.keras_base,
            cut,
            head,
            directory / KERAS_MODEL,
            sample["inputs"],
            expected,
            pooling_of(run.base_manifest),
        )
    return found


def is_thin(run: FittedState) -> bool:
    """Whether the candidate is published without a graph: asked for, and possible, for a linear head on a base that
    servers find in the repository.
    """
    possible = run.candidate.kind is ModelKind.HEAD and run.base_directory == run.task.base_directory
    return run.recipe.publish.form == "thin" and possible


def parity_checks(exported: Mapping[str, Any]) -> list[gate.Check]:
    """What the gate asks about the export."""
    return [
        gate.same_in_fresh_process(exported["fresh_process"]["largest_difference"]),
        gate.head_equals_graph(exported["head_and_graph"]),
        gate.stored_once(exported["stored_ratio"]),
    ]


def resolved_recipe(run: FittedState) -> dict[str, Any]:
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


def publish_head(run: FittedState) -> int:
    """Publish the exported candidate; its number."""
    manifest = Manifest(
        kind=run.candidate.kind,
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
            replay=run.found["validate"]["replay"],
            unfrozen=run.found["finetune"]["layers"] if run.found["finetune"]["kept"] else [],
        ),
    )
    documents = head_report.documents(run, resolved_recipe(run), manifest)
    files = run.area.directory / (THIN if is_thin(run) else "export")
    verified = digests(files) if is_thin(run) else run.found["export"]["files"]
    candidate = Candidate(run.task.head, files, manifest, documents)
    return publish(run.task.outbox or run.task.repository, candidate, lambda staged: hold_copy(staged, verified))


def finished(run: FittedState) -> Finished:
    """The last event of a run that ended well."""
    evaluated = run.found["evaluate"]
    return Finished(
        model=run.task.head,
        version=run.found["publish"]["version"],
        metrics=report.metrics(evaluated, head_report.configs_tried(run.found)),
        gate=run.found["gate"],
        recipe=resolved_recipe(run),
        headline=report.headline(run.task.head, evaluated),
    )
