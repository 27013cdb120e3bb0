"""A head with hidden layers, dropout or label smoothing: a small network on cached features, through the compiled loop.

The cut and the penalty are the linear probe's choice, which costs one solve a configuration; this is fitted once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from service.domain.artifact import ModelKind
from training.bases.surgery.reusing import with_hidden, with_output
from training.candidates.candidate import Cost, Doubles, Items
from training.candidates.from_current import take_over
from training.finetune.batches import batches
from training.finetune.inputs import Predictor
from training.finetune.loop import Schedule
from training.finetune.loop import run as train
from training.finetune.material import Material
from training.probe.scaling import Scaling
from training.seeds import child_seed

if TYPE_CHECKING:
    from training.head_state import HeadState
    from training.recipe import HeadChoice

NETWORK_FILE = "network.keras"
PATIENCE = 10
"""Looks at the watched items without a better one; the best state is restored."""


def is_wanted(choice: HeadChoice) -> bool:
    """Whether the recipe asks for what a linear solver cannot do."""
    return bool(choice.hidden or choice.dropout or choice.label_smoothing)


def network(width: int, choice: HeadChoice, outputs: int, scaling: Scaling, seed: int) -> Any:
    """A Keras model from features [n, width], standardised inside, to logits [n, outputs]."""
    import keras

    inputs = keras.Input((width,), name="features")
    standardise = keras.layers.Normalization(mean=scaling.mean, variance=scaling.spread**2, name="standardise")
    tensor = standardise(inputs)
    if not choice.hidden and choice.dropout:
        tensor = keras.layers.Dropout(choice.dropout, seed=child_seed(seed, "dropout"), name="dropout")(tensor)
    model = keras.Model(inputs, tensor, name="head")
    model = with_hidden(model, choice.hidden, seed, activation=choice.activation, dropout=choice.dropout)
    return with_output(model, outputs, seed)


def fit_network(run: HeadState, C: float, told: Callable[[int, int], None]) -> dict[str, Any]:
    """Fit on the features at the chosen cut; the model and its logits of the watched items are left in the work area.

    Args:
        C: the probe's penalty, on all kernels here.
    """
    import keras

    began = time.monotonic()
    choice, seed = run.recipe.probe, child_seed(run.recipe.seed, "network")
    material = Material(
        objective=run.objective,
        inputs=run.features(run.fitting),
        wanted=run.wanted[run.fitting],
        weights=run.loss_weights(run.fitting),
        held_inputs=run.features(run.watched),
        held_wanted=run.wanted[run.watched],
    )
    inputs = material.inputs
    model = network(inputs.shape[1], run.recipe.head, run.objective.outputs, Scaling.of(inputs), seed)
    if run.recipe.head.init == "from_current":
        take_over(run, model)
    predictor = Predictor(model)
    kernels = [weight for weight in model.trainable_weights if len(weight.shape) == 2]
    penalty = 0.5 / (C * len(inputs))

    def loss(logits: Any, wanted: Any) -> Any:
        squares = sum(keras.ops.sum(keras.ops.square(kernel)) for kernel in kernels)
        return run.objective.keras_loss(logits, wanted) + penalty * squares

    schedule = Schedule(
        steps=choice.max_steps, learning_rate=choice.learning_rate, batch=choice.batch, patience=PATIENCE
    )
    data = batches(inputs, material.wanted, material.weights, choice.batch, seed)
    history = train(model, model.trainable_variables, data, loss, schedule, lambda: material.watched(predictor), told)
    partial = run.area.directory / f".{NETWORK_FILE}.part.keras"
    keras.saving.save_model(model, partial)
    partial.replace(run.area.directory / NETWORK_FILE)
    unseen = predictor(material.held_inputs) if len(run.watched) else np.zeros((0, run.objective.outputs))
    run.area.save_arrays("network_watched", logits=unseen)
    return {
        "hidden": list(run.recipe.head.hidden),
        "steps": history.steps,
        "seconds": round(time.monotonic() - began, 3),
        "trainable_parameters": sum(int(np.prod(weight.shape)) for weight in model.trainable_variables),
        "history": history.to_dict(),
        "configs_tried": 1,
    }


class NetworkCandidate:
    """The fitted network."""

    def __init__(self, run: HeadState) -> None:
        import keras

        self._run = run
        self.model = keras.saving.load_model(run.area.directory / NETWORK_FILE, compile=False, safe_mode=True)
        self._predictor = Predictor(self.model)

    @property
    def kind(self) -> ModelKind:
        """Its layers are more than the one product a shared base is followed by."""
        return ModelKind.FULL

    @property
    def cost(self) -> Cost:
        """One training."""
        found = self._run.found["probe"]["network"]
        return Cost(float(found["seconds"]), int(found["steps"]), int(found["trainable_parameters"]))

    def logits(self, items: Items) -> Doubles:
        """[n, outputs]."""
        return self._predictor(self._run.features(items))

    def unseen(self) -> tuple[Doubles, Items]:
        """The watched items."""
        logits = self._run.area.arrays("network_watched")["logits"]
        return (logits[None] if len(logits) else logits.reshape(0, 0, logits.shape[1])), self._run.watched
