"""A base from recipe to published version: trained by a builder, or taken from a finished Keras model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import KERAS_MODEL, LINEAGE, MODEL_CARD, REPORT, InputKind, InputSpec, Manifest, ModelKind
from service.domain.dataset import DatasetFormat
from service.domain.progress import Finished
from training import gate, grading, report, report_page
from training.bases.builders import build_cnn, build_mlp
from training.bases.cuts import cut_tensors
from training.bases.fit import fit
from training.bases.keras_file import file_digest, load_keras_file
from training.data.check import check
from training.data.contents import Contents, in_label_order
from training.errors import BadBase, BadData, BadRecipe
from training.events import Announcer, Emit
from training.export.base_model import export_base
from training.export.extras import GOLDEN_ROWS, make_room, stored_ratio, write_golden, write_warmup
from training.export.graph import decode_images
from training.features import inputs_of
from training.head_version import REPORT_PAGE
from training.publish import Candidate, provenance, publish
from training.recipe import CnnBase, KerasFileBase, MlpBase, Recipe
from training.seeds import child_seed, generator
from training.split import SealedTest, divide
from training.verify import FreshProcess

SHARES = {"validate": 2, "split": 1, "fit": 60, "evaluate": 2, "export": 30, "gate": 1, "publish": 4}
Floats = NDArray[np.float32]


@dataclass(slots=True)
class BaseModel:
    """A base on its way to being published."""

    model: Any
    spec: InputSpec
    labels: tuple[str, ...]
    cuts: Mapping[str, Any]
    sample: Floats
    evaluated: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


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
            base = _from_file(choice, recipe.seed, scratch)
        case MlpBase() | CnnBase() as choice:
            if file is None:
                raise BadRecipe("a base from a builder is trained on data: give dataset.uri")
            base = _from_builder(choice, recipe, file, phase, announcer)
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


def _from_builder(
    choice: MlpBase | CnnBase, recipe: Recipe, file: Path, phase: Callable[[str, str], None], announcer: Announcer
) -> BaseModel:
    """Train a network on data and evaluate it on its own sealed test."""
    found, contents = _read(recipe, file)
    spec = _input_of(choice, contents)
    labels = tuple(in_label_order(contents.labels))
    places = {label: place for place, label in enumerate(labels)}
    targets = np.array([places[label] for label in contents.labels], dtype=np.int64)
    inputs = inputs_of(contents, range(len(contents)), spec, lambda encoded: _decode(encoded, spec))
    phase("split", "sealing the test")
    seed = child_seed(recipe.seed, "split")
    train, held = divide(contents.digests, contents.labels, recipe.split.test, seed)
    test = SealedTest(held)
    phase("fit", "training")
    fit_seed = child_seed(recipe.seed, "fit")
    if isinstance(choice, CnnBase):
        try:
            model = build_cnn(choice.params, len(labels), spec.shape, fit_seed)
        except ValueError as error:
            raise BadBase(f"this network does not fit images of {list(spec.shape)}: {error}") from error
        names = ["flatten", "dense"]
    else:
        model = build_mlp(choice.params, len(labels), inputs[train], fit_seed)
        names = [f"dense_{place}" for place in range(1, len(choice.params.hidden) + 1)][-4:]

    def told(done: int, total: int) -> None:
        announcer.progress("fit", f"step {done} of {total}", done, total)

    loss = fit(model, inputs[train], targets[train], choice.fit, fit_seed, told)
    phase("evaluate", "opening the test")
    items = test.open()
    probabilities = np.asarray(model.predict(inputs[items], verbose=0), dtype=np.float64)
    majority = int(np.bincount(targets[train], minlength=len(labels)).argmax())
    answers = {"candidate": probabilities.argmax(axis=1), "majority": np.full(len(items), majority)}
    evaluated = grading.grade(answers, probabilities, targets[items], len(labels), child_seed(recipe.seed, "evaluate"))
    return BaseModel(
        model=model,
        spec=spec,
        labels=labels,
        cuts=cut_tensors(model, names),
        sample=inputs[train[:GOLDEN_ROWS]],
        evaluated=evaluated,
        dataset=found,
        notes=[f"{note['place']}: {note['message']}" for note in found["warnings"]],
        facts={"last_loss": loss},
    )


def _from_file(choice: KerasFileBase, seed: int, scratch: Path) -> BaseModel:
    """Take a finished model as it is; there is no data, so its golden inputs are drawn."""
    source = Path(choice.ref)
    model = load_keras_file(source, choice.params, scratch)
    shape = tuple(int(size) for size in model.inputs[0].shape[1:])
    classes = int(model.outputs[0].shape[1])
    labels = tuple(choice.params.labels or map(str, range(classes)))
    if len(labels) != classes:
        raise BadRecipe(f"base.params.labels names {len(labels)} classes, the model has {classes}")
    kind = InputKind.VECTOR if len(shape) == 1 else InputKind.IMAGE
    columns = tuple(choice.params.columns or ())
    if columns and (kind is InputKind.IMAGE or len(columns) != shape[0]):
        raise BadRecipe(f"base.params.columns names {len(columns)} columns, the model takes {list(shape)}")
    cuts = cut_tensors(model)
    if not cuts:
        raise BadBase(f"{source.name} has no layer before its output to cut after")
    draw = generator(seed, "golden")
    sample = (
        draw.normal(size=(GOLDEN_ROWS, *shape))
        if kind is InputKind.VECTOR
        else draw.uniform(0, 255, size=(GOLDEN_ROWS, *shape))
    )
    return BaseModel(
        model=model,
        spec=InputSpec(kind, shape, columns=columns),
        labels=labels,
        cuts=cuts,
        sample=sample.astype(np.float32),
        notes=["taken from a Keras file as it is; there was no data to judge it by"],
        facts={"source": source.name, "source_digest": file_digest(source)},
    )


def _read(recipe: Recipe, file: Path) -> tuple[dict[str, Any], Contents]:
    choice = recipe.dataset
    format = DatasetFormat(choice.format) if choice and choice.format else None
    found, contents = check(file, format, choice.label if choice else None)
    if contents is None:
        raise BadData(found.faults, found.fault_count)
    return found.to_dict(), contents


def _input_of(choice: MlpBase | CnnBase, contents: Contents) -> InputSpec:
    """What the network takes, given what the data is."""
    shape = contents.shape
    if isinstance(choice, MlpBase):
        if shape is None:
            raise BadRecipe("an mlp takes numbers, and this data is images; take base.name cnn")
        return InputSpec(InputKind.VECTOR, (int(np.prod(shape)),), columns=contents.columns)
    wanted = tuple(choice.params.shape) if choice.params.shape else shape
    if wanted is None:
        raise BadRecipe("encoded images have many sizes: give base.params.shape, [height, width, channels]")
    wanted = (*wanted, 1) if len(wanted) == 2 else wanted
    if len(wanted) != 3 or (shape is not None and np.prod(shape) != np.prod(wanted)):
        raise BadRecipe(f"a cnn takes images, and items of this data have the shape {list(shape or ())}")
    return InputSpec(InputKind.IMAGE, wanted)


def _decode(encoded: Any, spec: InputSpec) -> Floats:
    import tensorflow as tf

    try:
        pixels: Floats = decode_images(tf.constant(list(encoded)), spec).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(error.message) from error
    return pixels


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
