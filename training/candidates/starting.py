"""Where training begins: from the probe's own best solution, or from the version that answers now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import KERAS_MODEL
from training.bases.surgery.cloning import copy_state
from training.bases.surgery.replaying import replay
from training.bases.surgery.reusing import with_output
from training.candidates.candidate import Doubles
from training.candidates.network import NetworkCandidate, network
from training.candidates.probing import fit_linear
from training.current import current_version
from training.errors import BadRecipe
from training.probe.scaling import Scaling

if TYPE_CHECKING:
    from training.head_state import HeadState


@dataclass(frozen=True, slots=True)
class LinearStart:
    """A head on raw features: kernel [D, outputs] and bias [outputs]."""

    kernel: Doubles
    bias: Doubles

    def logits(self, features: NDArray[Any]) -> Doubles:
        """Features [n, D] to logits [n, outputs]."""
        result: Doubles = features.astype(np.float64) @ self.kernel + self.bias
        return result


def linear_start(run: HeadState) -> LinearStart:
    """The probe's solution on the items to fit on, without those that are watched, folded into one dense layer."""
    linear = fit_linear(run, run.features(run.fitting), run.fitting, run.found["probe"]["C"])
    weights = linear.weights / linear.scaling.spread
    return LinearStart(weights.T, linear.bias - weights @ linear.scaling.mean)


def probe_logits(run: HeadState) -> Doubles:
    """What the watched items are answered [n, outputs] without fine-tuning, by something that has not seen them."""
    if run.found["probe"]["network"]:
        return NetworkCandidate(run).unseen()[0][0]
    return linear_start(run).logits(run.features(run.watched))


def start_model(run: HeadState, features: Any, seed: int) -> tuple[Any, list[NDArray[Any]]]:
    """The base's layers with a fitted head on top, sharing their weights; and random weights for that head.

    Raises:
        BadRecipe: ``head.init`` asks for the current head, and there is none that fits.
    """
    outputs, choice = run.objective.outputs, run.recipe.head
    if run.found["probe"]["network"]:
        head = NetworkCandidate(run).model
        width = int(features.outputs[0].shape[1])
        plain = Scaling(np.zeros(width), np.ones(width))
        fresh = network(width, choice, outputs, plain, seed)
        return stacked(features, head), [weight.numpy() for weight in fresh.trainable_weights]
    model = with_output(features, outputs, seed)
    random = model.layers[-1].get_weights()
    start = _current_start(run) if choice.init == "from_current" else linear_start(run)
    model.layers[-1].set_weights([start.kernel.astype(np.float32), start.bias.astype(np.float32)])
    return model, random


def stacked(features: Any, head: Any) -> Any:
    """A head, from features to logits, on the layers that give the features; where a name is taken, the head's layer
    gets another.
    """
    import keras

    taken = {layer.name for layer in features.layers}

    def renamed(address: str, layer: Any) -> Any:
        if layer.name not in taken:
            return layer
        number = next(n for n in range(2, len(taken) + 3) if f"{layer.name}_{n}" not in taken)
        copy = type(layer).from_config({**layer.get_config(), "name": f"{layer.name}_{number}"})
        copy.build_from_config(layer.get_build_config())
        copy_state(layer, copy)
        return copy

    return keras.Model(features.inputs[0], replay(head, features.outputs[0], renamed))


def take_over(run: HeadState, model: Any) -> None:
    """Give a network on features the head layers of the current version, in place.

    Raises:
        BadRecipe: there is no current version with the same labels on this base whose layers are of these shapes.
    """
    import keras

    current = _current(run)
    file = current / KERAS_MODEL
    if not file.exists():
        raise BadRecipe("head.init from_current: the current version has no Keras model to take layers from")
    known = {layer.name: layer for layer in keras.saving.load_model(file, compile=False, safe_mode=True).layers}
    for layer in model.layers:
        if not layer.weights:
            continue
        old = known.get(layer.name)
        if old is None or [w.shape for w in old.weights] != [w.shape for w in layer.weights]:
            raise BadRecipe(f"head.init from_current: the current version's head has no layer like {layer.name!r}")
        layer.set_weights(old.get_weights())


def _current_start(run: HeadState) -> LinearStart:
    """The current version's linear head, with values on the objective's scale."""
    directory = _current(run)
    found, _ = current_version(directory, run.base_manifest, run.objective)
    if found is None or found.head is None or found.cut != run.found["probe"]["cut"]:
        raise BadRecipe(
            "head.init from_current: the current version is no linear head on this base, cut where this one is"
        )
    kernel, bias = found.head.weights.T.astype(np.float64), found.head.bias.astype(np.float64)
    if run.objective.loss == "squared":
        zero = run.objective.in_units(np.zeros(len(bias)))
        unit = run.objective.in_units(np.ones(len(bias))) - zero
        kernel, bias = kernel / unit, (bias - zero) / unit
    return LinearStart(kernel, bias)


def _current(run: HeadState) -> Any:
    if run.task.current is None:
        raise BadRecipe("head.init from_current: there is no current version of this head")
    _, problem = current_version(run.task.current, run.base_manifest, run.objective)
    if problem is not None:
        raise BadRecipe(f"head.init from_current: {problem}")
    return run.task.current
