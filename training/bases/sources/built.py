"""A base from a network that is built on the spot, trained on data, and judged on its own sealed test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind, InputSpec
from service.domain.learning import LearningTask
from training.bases.base_model import BaseModel
from training.bases.builders import answering, build_bilstm, build_cnn, build_mlp
from training.bases.cuts import MOST_CUTS, cut_tensors
from training.bases.fit import fit
from training.bases.surgery.layers import parameter_counts
from training.data.check import examine
from training.data.contents import Contents
from training.data.reading import Reading
from training.errors import BadBase, BadData, BadRecipe
from training.evaluation.arms import grade
from training.events import Announcer
from training.export.base_model import keras_network
from training.export.extras import GOLDEN_ROWS
from training.export.graph import decode_images
from training.features import inputs_of
from training.objectives import Objective, objective_for
from training.recipe import BilstmBase, CnnBase, MlpBase, Recipe
from training.seeds import child_seed
from training.split import Divisible, SealedTest, partition

Network = MlpBase | CnnBase | BilstmBase
BATCH = 256


@dataclass(frozen=True, slots=True)
class _Data:
    """What the network learns from and is judged on."""

    found: dict[str, Any]
    inputs: NDArray[Any]
    encoded: NDArray[Any]
    train: NDArray[np.int64]
    test: SealedTest


def from_builder(
    choice: Network, recipe: Recipe, file: Path, phase: Callable[[str, str], None], announcer: Announcer
) -> BaseModel:
    """Train a network on data and evaluate it on its own sealed test.

    Raises:
        BadData: the data has faults.
        BadRecipe: the data is not what such a network takes, or not what the task needs.
        Diverged: training led to numbers that are not finite.
    """
    found, contents = _read(recipe, file)
    spec = _input_of(choice, contents)
    inputs = inputs_of(contents, range(len(contents)), spec, lambda encoded: _decode(encoded, spec))
    phase("split", "sealing the test")
    objective, data = _divided(recipe, found, contents, inputs)
    phase("fit", "training")
    fit_seed = child_seed(recipe.seed, "fit")
    network, cuts = _build(choice, objective.outputs, spec, inputs[data.train], fit_seed)
    model = _answering(network, objective)

    def told(done: int, total: int) -> None:
        announcer.progress("fit", f"step {done} of {total}", done, total)

    began = time.monotonic()
    wanted = data.encoded[data.train]
    weights = objective.weights(wanted)
    history = fit(model, inputs[data.train], wanted, choice.fit, fit_seed, told, objective.keras_loss, weights)
    costs = {
        "seconds": round(time.monotonic() - began, 3),
        "steps": history.steps,
        "trainable_parameters": parameter_counts(network).trainable,
    }
    phase("evaluate", "opening the test")
    evaluated = _evaluated(network, objective, data, recipe, costs)
    # Texts are of many lengths: the mean over a text's words says more than each word's place.
    pooling = "gap" if isinstance(choice, BilstmBase) else "auto"
    return BaseModel(
        network=keras_network(model, cut_tensors(model, cuts, pooling)),
        spec=spec,
        task=objective.task,
        labels=objective.labels,
        sample=inputs[data.train[:GOLDEN_ROWS]],
        model=model,
        pooling=pooling,
        history=history.to_dict(),
        evaluated=evaluated,
        dataset=data.found,
        notes=[f"{note['place']}: {note['message']}" for note in data.found["warnings"]],
        facts={"last_loss": history.last_loss, "parameters": parameter_counts(network).total, "fit": history.to_dict()},
    )


def _read(recipe: Recipe, file: Path) -> tuple[dict[str, Any], Contents]:
    reading = Reading.of(recipe.dataset, recipe.head.task) if recipe.dataset else Reading()
    found, contents = examine(file, reading)
    if contents is None:
        raise BadData(found.faults, found.fault_count)
    return found.to_dict(), contents


def _divided(
    recipe: Recipe, found: dict[str, Any], contents: Contents, inputs: NDArray[Any]
) -> tuple[Objective, _Data]:
    """The objective, which knows the training items only, and the data on its sides."""
    task, choice = LearningTask(recipe.head.task), recipe.head
    labels = recipe.dataset.labels if recipe.dataset else None
    whole = objective_for(task, contents.targets, labels=labels, choice=choice)
    seed = child_seed(recipe.seed, "split")
    train, held = partition(Divisible.of(contents), recipe.split.method, recipe.split.test, seed)
    # Classes are those of all items, so that none is unknown in the test; scales are the training items' own.
    known = None if task is LearningTask.REGRESSION else whole.labels
    objective = objective_for(task, contents.targets.take(train), labels=known, choice=choice)
    encoded = objective.targets(contents.targets)
    return objective, _Data(found, inputs, encoded, np.asarray(train, dtype=np.int64), SealedTest(held))


def _input_of(choice: Network, contents: Contents) -> InputSpec:
    """What the network takes, given what the data is."""
    kind, shape = contents.kind, contents.shape
    if isinstance(choice, BilstmBase):
        if kind is InputKind.TEXT:
            return InputSpec(InputKind.TEXT, ())
        if kind is InputKind.TOKENS:
            return InputSpec(InputKind.TOKENS, (choice.params.length,))
        raise BadRecipe(f"a bilstm takes texts or tokens, and this data is of kind {kind}")
    if kind in {InputKind.TEXT, InputKind.TOKENS}:
        raise BadRecipe(f"base.name {choice.name} takes numbers, and this data is {kind}; take base.name bilstm")
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


def _build(choice: Network, outputs: int, spec: InputSpec, train: NDArray[Any], seed: int) -> tuple[Any, list[str]]:
    """The network up to its logits, and the layers to cut after."""
    match choice:
        case MlpBase():
            model = build_mlp(choice.params, outputs, train, seed)
            return model, [f"dense_{place}" for place in range(1, len(choice.params.hidden) + 1)][-MOST_CUTS:]
        case CnnBase():
            try:
                model = build_cnn(choice.params, outputs, spec.shape, seed)
            except ValueError as error:
                raise BadBase(f"this network does not fit images of {list(spec.shape)}: {error}") from error
            return model, ["flatten", "dense"]
        case BilstmBase():
            return build_bilstm(choice.params, outputs, spec, list(train), seed), ["embedding", "bilstm"]


def _answering(network: Any, objective: Objective) -> Any:
    """The network with its objective's answer behind the logits."""
    if objective.loss != "squared":
        return answering(network, objective.loss)
    ends = np.stack([np.zeros(objective.outputs), np.ones(objective.outputs)])
    offset, scale = objective.in_units(ends)[0], objective.in_units(ends)[1] - objective.in_units(ends)[0]
    return answering(network, objective.loss, scale.tolist(), offset.tolist())


def _evaluated(
    network: Any, objective: Objective, data: _Data, recipe: Recipe, costs: dict[str, Any]
) -> dict[str, Any]:
    """Open the test: the figures of the network beside the best answer that does not look."""
    import tensorflow as tf

    items = data.test.open()
    rows = [data.inputs[items[start : start + BATCH]] for start in range(0, len(items), BATCH)]
    logits = np.concatenate([np.asarray(network(tf.constant(each), training=False)) for each in rows])
    constant = objective.constant(data.encoded[data.train])
    answers = {"candidate": logits.astype(np.float64), "majority": np.tile(constant, (len(items), 1))}
    return grade(
        objective,
        answers,
        data.encoded[items],
        child_seed(recipe.seed, "evaluate"),
        draws=recipe.evaluate.bootstrap,
        confidence=recipe.evaluate.confidence,
        costs={"candidate": costs},
    )


def _decode(encoded: Any, spec: InputSpec) -> NDArray[np.float32]:
    import tensorflow as tf

    try:
        pixels: NDArray[np.float32] = decode_images(tf.constant(list(encoded)), spec).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(error.message) from error
    return pixels
