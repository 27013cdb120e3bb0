"""Where a base comes from: a network trained on data, or a finished Keras model. Either way it comes out as one value,
with all that its publication needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind, InputSpec
from service.domain.dataset import DatasetFormat
from training import grading
from training.bases.builders import build_cnn, build_mlp
from training.bases.cuts import MOST_CUTS, cut_tensors
from training.bases.fit import fit
from training.bases.keras_file import file_digest, load_keras_file
from training.data.check import check
from training.data.contents import Contents, in_label_order
from training.errors import BadBase, BadData, BadRecipe
from training.events import Announcer
from training.export.extras import GOLDEN_ROWS
from training.export.graph import decode_images
from training.features import inputs_of
from training.recipe import CnnBase, KerasFileBase, MlpBase, Recipe
from training.seeds import child_seed, generator
from training.split import SealedTest, divide

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


def from_builder(
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
        names = [f"dense_{place}" for place in range(1, len(choice.params.hidden) + 1)][-MOST_CUTS:]

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


def from_file(choice: KerasFileBase, seed: int, scratch: Path) -> BaseModel:
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
