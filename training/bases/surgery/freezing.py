"""Which layers are trained: chosen by name, count or share, set as flags, and kept as names.

Numbers count the layers that have weights to learn, in the order of the graph; batch normalisation is not counted, it
goes with the layer below it. What is stored is always names: container flags do not survive a file, and counts mean
another layer in another network.

Batch normalisation has three modes. ``frozen``: it keeps scale, shift and statistics. ``gamma_beta``: scale and shift
are trained, statistics are not, which flags alone cannot say: train on ``training_graph``. ``train``: all of it.
A call with ``training=False`` is no protection: Keras 3 overrides it once the layer is unfrozen.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from training.bases.surgery.inputs import ADAPTER
from training.bases.surgery.layers import leaves, resolve
from training.bases.surgery.replaying import replay
from training.errors import BadRecipe
from training.recipe import Unfreeze

BatchNorm = Literal["frozen", "gamma_beta", "train"]
EVERYTHING = Unfreeze(fraction=1.0)


def freeze(model: Any, unfreeze: Unfreeze = EVERYTHING, batch_norm: BatchNorm = "frozen") -> tuple[str, ...]:
    """Set every layer's flag in place; the addresses of the layers that are trained, in the order of the graph.

    Args:
        model: a base, without the head: what is put on top is no part of the count.

    Raises:
        BadRecipe: it would leave nothing to train, or names no layer there is.
    """
    found = list(leaves(model))
    # A container's flag hides those inside; a layer's weights are known only while it is unfrozen.
    model.trainable = True
    for _, layer in found:
        layer.trainable = True
    learnable = [
        address
        for address, layer in found
        # An adapter selects; only one that projects is trained, and it is named.
        if layer.trainable_weights and not is_batch_norm(layer) and not layer.name.startswith(ADAPTER)
    ]
    chosen = set(_chosen(model, learnable, unfreeze))
    trained: list[str] = []
    below_is_trained = False
    for address, layer in found:
        if is_batch_norm(layer):
            wanted = address in chosen if unfreeze.names is not None else below_is_trained
            layer.trainable = wanted and batch_norm != "frozen"
        else:
            layer.trainable = address in chosen and bool(layer.trainable_weights)
            if layer.weights:
                below_is_trained = layer.trainable
        if layer.trainable and layer.trainable_weights:
            trained.append(address)
    if not trained:
        said = unfreeze.model_dump(exclude_none=True)
        raise BadRecipe(
            f"finetune.unfreeze {said} leaves nothing of the base to train: it has {len(learnable)} layers with "
            f"weights to learn, the last ones {', '.join(learnable[-3:])}"
        )
    return tuple(trained)


def freeze_all(model: Any) -> None:
    """Freeze every layer in place."""
    model.trainable = True
    for _, layer in leaves(model):
        layer.trainable = False


def training_graph(model: Any, batch_norm: BatchNorm = "frozen") -> Any:
    """The model to train: for ``gamma_beta`` a second graph over the same layers in which every batch normalisation
    reads its stored statistics, else the model itself. What it learns is in ``model``, whose layers are stock.
    """
    if batch_norm != "gamma_beta":
        return model
    import keras

    class FixedStatistics(keras.layers.Layer):
        """A batch normalisation that is always called as in inference. Never saved."""

        def __init__(self, inner: Any) -> None:
            super().__init__(name=f"{inner.name}_fixed")
            self.inner = inner

        def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
            return self.inner(inputs, training=False, mask=mask)

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    def fixed(address: str, layer: Any) -> Any:
        return FixedStatistics(layer) if is_batch_norm(layer) else layer

    start = model.inputs[0]
    return keras.Model(start, replay(model, start, fixed), name=model.name)


def names_from(model: Any, index: int) -> tuple[str, ...]:
    """The addresses of ``model.layers[index:]``, the way tutorials count: every layer, with or without weights.

    Empty when the model has no more than ``index`` layers.
    """
    return tuple(address for address, _ in list(leaves(model))[index:])


def is_batch_norm(layer: Any) -> bool:
    """Whether its call in training changes statistics that inference reads."""
    import keras

    return isinstance(layer, keras.layers.BatchNormalization)


def _chosen(model: Any, learnable: list[str], unfreeze: Unfreeze) -> list[str]:
    if unfreeze.names is not None:
        return list(resolve(model, unfreeze.names))
    if unfreeze.last_n is not None:
        return learnable[-unfreeze.last_n :]
    if unfreeze.first_n_frozen is not None:
        return learnable[unfreeze.first_n_frozen :]
    assert unfreeze.fraction is not None
    count = math.ceil(unfreeze.fraction * len(learnable))
    return learnable[-count:]
