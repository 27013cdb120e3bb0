"""Training of a network from a builder: one compiled step, repeated.

No ``fit``: its cost per epoch is more than the work itself on small data. The order of the items is drawn outside of
the graph, since a seed inside a traced function is baked in once and for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.bases.builders import LOGITS
from training.errors import Diverged
from training.recipe import FitParams
from training.seeds import generator

LOOK_EVERY = 25
"""Steps between two looks at the loss, each of which waits for the computation."""


def fit(
    model: Any,
    inputs: NDArray[np.float32],
    targets: NDArray[np.int64],
    params: FitParams,
    seed: int,
    told: Callable[[int, int], None],
) -> float:
    """Train in place with Adam on cross-entropy; the mean loss of the last steps.

    Args:
        told: called with steps done and steps in all.

    Raises:
        Diverged: the loss is not finite.
    """
    import keras
    import tensorflow as tf

    to_logits = keras.Model(model.inputs[0], model.get_layer(LOGITS).output)
    variables = [variable.value for variable in model.trainable_variables]
    optimizer = keras.optimizers.Adam(params.learning_rate)
    optimizer.build(model.trainable_variables)

    def step(batch: Any, wanted: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = to_logits(batch, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=wanted, logits=logits)
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, variables), model.trainable_variables)
        return loss

    compiled = tf.function(step, reduce_retracing=True)
    total = 0.0
    batches = _batches(len(inputs), params.batch, seed)
    for done in range(1, params.steps + 1):
        rows = next(batches)
        loss = compiled(tf.constant(inputs[rows]), tf.constant(targets[rows]))
        if done % LOOK_EVERY == 0 or done == params.steps:
            total = float(loss)
            if not np.isfinite(total):
                raise Diverged(f"the loss became {total} by step {done}; a smaller learning rate may help")
            told(done, params.steps)
    return total


def _batches(items: int, size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Endless batches of one size: each pass over the items in a new order, the rest of a pass left out."""
    draw = generator(seed, "batches")
    size = min(size, items)
    while True:
        order = draw.permutation(items)
        for start in range(0, items - size + 1, size):
            yield order[start : start + size]
