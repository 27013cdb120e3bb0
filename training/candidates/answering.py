"""From what a model was trained to give, logits on the objective's scale, to what it answers with: folded into its last
layer, so that nothing happens behind it but the answer's form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.domain.tensors import Array, farthest
from training.objectives import Objective


def fold(model: Any, objective: Objective, temperature: float) -> None:
    """Divide the logits of a Keras model that ends in a dense layer by the temperature, and give values their units,
    in place.
    """
    kernel, bias = model.layers[-1].get_weights()
    scale = np.full(len(bias), 1.0 / temperature)
    offset = np.zeros(len(bias))
    if objective.loss == "squared":
        offset = np.asarray(objective.in_units(np.zeros(len(bias))), dtype=np.float64)
        scale = np.asarray(objective.in_units(np.ones(len(bias))), dtype=np.float64) - offset
    folded = [kernel * scale, bias * scale + offset]
    model.layers[-1].set_weights([array.astype(np.float32) for array in folded])


def with_answer(model: Any, objective: Objective) -> Any:
    """The folded model with the answer as its output, as Keras models of published versions have it: probabilities
    [n, K], or values [n, M] as they are.
    """
    import keras

    match objective.loss:
        case "softmax":
            last = keras.layers.Softmax(dtype="float32", name="probabilities")
        case "sigmoid":
            last = keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")
        case "squared":
            return model
    return keras.Model(model.inputs[0], last(model.outputs[0]), name=model.name)


def largest_gap(expected: Mapping[str, Array], graph: Mapping[str, Array]) -> float:
    """Between two answers to the same items: of probabilities as they are, of values in units of their spread.

    The unit is a hundredth of the values' size at least: years around 2000 cannot be told apart any finer in float32.
    """
    if "probabilities" in graph:
        return float(np.abs(graph["probabilities"] - expected["probabilities"]).max())
    gaps = []
    for name, values in graph.items():
        spread, size = float(values.std()), float(np.abs(values).max())
        unit = max(spread, size / 100)
        gaps.append(farthest(values, expected[name]) * ((spread or size or 1.0) / (unit or 1.0)))
    return max(gaps)
