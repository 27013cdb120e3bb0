"""Training of a network from a builder, through the one compiled loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.bases.builders import LOGITS
from training.finetune.batches import batches
from training.finetune.history import History
from training.finetune.loop import Schedule, run
from training.recipe import FitParams


def fit(
    model: Any,
    inputs: NDArray[Any],
    wanted: NDArray[Any],
    params: FitParams,
    seed: int,
    told: Callable[[int, int], None],
    loss: Callable[[Any, Any], Any] | None = None,
    weights: NDArray[np.float32] | None = None,
) -> History:
    """Train in place.

    Args:
        inputs: [n, ...] as the network takes them.
        wanted: [n, ...] as ``loss`` understands it; by default classes [n] under cross-entropy.
        told: called with steps done and steps in all.

    Raises:
        Diverged: the loss is not finite.
    """
    import keras

    to_logits = keras.Model(model.inputs[0], model.get_layer(LOGITS).output)
    schedule = Schedule(
        steps=params.steps,
        learning_rate=params.learning_rate,
        optimizer=params.optimizer,
        momentum=params.momentum,
        batch=params.batch,
    )
    data = batches(inputs, wanted, weights, params.batch, seed)
    return run(to_logits, to_logits.trainable_variables, data, loss or cross_entropy, schedule, None, told)


def cross_entropy(logits: Any, wanted: Any) -> Any:
    """Of logits [n, K] and classes [n]: [n]."""
    import keras

    return keras.ops.sparse_categorical_crossentropy(wanted, logits, from_logits=True)
