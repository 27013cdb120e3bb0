"""What the version that answers now gives a new one to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from service.domain.artifact import KERAS_MODEL
from training.candidates.candidate import Doubles
from training.current import current_version
from training.errors import BadRecipe

if TYPE_CHECKING:
    from training.head_state import HeadState


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


def current_linear(run: HeadState) -> tuple[Doubles, Doubles]:
    """Kernel [D, outputs] and bias [outputs] of the current version's linear head, on the objective's scale.

    Raises:
        BadRecipe: there is no such head on this base, cut where this one is.
    """
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
    return kernel, bias


def _current(run: HeadState) -> Any:
    if run.task.current is None:
        raise BadRecipe("head.init from_current: there is no current version of this head")
    _, problem = current_version(run.task.current, run.base_manifest, run.objective)
    if problem is not None:
        raise BadRecipe(f"head.init from_current: {problem}")
    return run.task.current
