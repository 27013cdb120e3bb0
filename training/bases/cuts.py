"""Where a Keras model can be cut: which of its inner tensors are offered as features, and as what width.

A cut is named after the layer that ends there. Its tensor is [n, width]: maps are flattened up to ``WIDEST_FLAT``
values and averaged over their area beyond, sequences are averaged over time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

MOST_CUTS = 4
WIDEST_FLAT = 16_384
PASSIVE = (
    "InputLayer",
    "Dropout",
    "SpatialDropout2D",
    "Rescaling",
    "Normalization",
    "Reshape",
    "ActivityRegularization",
)
"""Layers that neither end a stage nor are worth cutting after."""


def cut_tensors(model: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The model's cuts as flat Keras tensors by layer name, in the order of the graph.

    Args:
        model: a Keras model with one input and one output.
        names: the layers to cut after; None chooses at most ``MOST_CUTS`` ends of stages, those nearest the output. A
            stage is a run of layers whose outputs have one shape.
    """
    found = list(reversed(list(_walk(model))))
    if names is not None:
        chosen = [(name, tensor) for name, tensor in found if name in names]
    else:
        chosen = _stage_ends(model, found)[-MOST_CUTS:]
    return {name: flat(tensor, name) for name, tensor in chosen}


def flat(tensor: Any, name: str) -> Any:
    """A tensor of any rank as [n, width]."""
    import keras

    sizes = [int(size) for size in tensor.shape[1:]]
    if len(sizes) == 1:
        return tensor
    if len(sizes) == 2 and int(np.prod(sizes)) > WIDEST_FLAT:
        return keras.layers.GlobalAveragePooling1D(name=f"{name}_mean")(tensor)
    if len(sizes) == 3 and int(np.prod(sizes)) > WIDEST_FLAT:
        return keras.layers.GlobalAveragePooling2D(name=f"{name}_mean")(tensor)
    return keras.layers.Flatten(name=f"{name}_flat")(tensor)


def _walk(model: Any) -> Iterator[tuple[str, Any]]:
    """Every layer's name and output tensor as this model calls it, from the output back to the input.

    A layer's own ``output`` would not do: for a model nested in another it belongs to the inner graph.
    """
    waiting, seen = [model.outputs[0]], set()
    while waiting:
        tensor = waiting.pop(0)
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        layer, node_index, _ = tensor._keras_history
        yield layer.name, tensor
        waiting.extend(layer._inbound_nodes[node_index].input_tensors)


def _stage_ends(model: Any, found: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    output = model.outputs[0]
    # What computes the answer itself is no feature: the last layer with weights, and what follows it.
    weighted = {layer.name for layer in model.layers if layer.weights}
    last_weighted = max((at for at, (name, _) in enumerate(found) if name in weighted), default=len(found))
    inner = [(name, tensor) for name, tensor in found[:last_weighted] if tensor is not output and _is_usable(tensor)]
    ends: list[tuple[str, Any]] = []
    for name, tensor in inner:
        same_numbers = ends and _width(ends[-1][1]) == _width(tensor) <= WIDEST_FLAT
        same_shape = ends and tuple(ends[-1][1].shape) == tuple(tensor.shape)
        if same_numbers or same_shape:
            ends.pop()
        ends.append((name, tensor))
    return ends


def _is_usable(tensor: Any) -> bool:
    if type(tensor._keras_history.operation).__name__ in PASSIVE:
        return False
    sizes = tensor.shape[1:]
    return 1 <= len(sizes) <= 3 and None not in sizes and str(tensor.dtype).startswith(("float", "bfloat"))


def _width(tensor: Any) -> int:
    return int(np.prod([int(size) for size in tensor.shape[1:]]))
