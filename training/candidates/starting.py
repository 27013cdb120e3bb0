"""Where fine-tuning begins: from the probe's own best solution, or from the version that answers now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from training.bases.surgery.cloning import copy_state
from training.bases.surgery.replaying import replay
from training.bases.surgery.reusing import with_output
from training.candidates.candidate import Doubles
from training.candidates.from_current import current_linear
from training.candidates.network import NetworkCandidate, network
from training.candidates.probing import fit_linear
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
    start = LinearStart(*current_linear(run)) if choice.init == "from_current" else linear_start(run)
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
