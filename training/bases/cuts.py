"""Where a Keras model can be cut: which of its inner tensors are offered as features, and as what width.

A cut is named after the layer that ends there, and its tensor is [n, width]. By default maps are flattened up to
``WIDEST_FLAT`` values and averaged over their area beyond, sequences are averaged over time.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from training.bases.surgery.layers import near
from training.bases.surgery.replaying import SEPARATOR, nodes_in_order
from training.errors import BadRecipe

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
    "TextVectorization",
)
"""Layers that neither end a stage nor are worth cutting after."""


def cut_tensors(model: Any, names: Sequence[str] | None = None, pooling: str = "auto") -> dict[str, Any]:
    """The model's cuts as flat Keras tensors by layer name, in the order of the graph.

    Args:
        model: a Keras model with one input and one output.
        names: the layers to cut after; None chooses at most ``MOST_CUTS`` ends of stages, those nearest the output. A
            stage is a run of layers whose outputs have one shape. The nested name ``base/conv`` finds ``conv``.
        pooling: how maps and sequences become vectors, as ``pooled`` says.

    Raises:
        BadRecipe: there is no such layer, or the pooling does not suit its output.
    """
    found = _tensors(model)
    if names is None:
        chosen = _stage_ends(model, found)[-MOST_CUTS:]
    else:
        wanted = {_known(name, [one for one, _ in found]) for name in names}
        chosen = [(name, tensor) for name, tensor in found if name in wanted]
    taken = {name for name, _ in found}
    return {name: pooled(tensor, _free(name, taken), pooling) for name, tensor in chosen}


def penultimate(model: Any) -> str:
    """The layer whose output the last layer with weights reads.

    Raises:
        BadRecipe: that layer reads the input itself, or has several inputs.
    """
    last = _last_weighted(model)
    node = None if last is None else last.input_tensors[0]._keras_history.operation
    if last is None or node is None or not node._inbound_nodes[0].input_tensors:
        raise BadRecipe(f"{model.name} has no layer before its output to cut after")
    return str(node.name)


def pooled(tensor: Any, name: str, how: str = "auto") -> Any:
    """A tensor of rank 2 to 4 as [n, width].

    Args:
        how: ``auto`` flattens what is small and averages the rest, ``gap`` averages over the area of maps and the time
            of sequences, ``mean`` the same for sequences, ``last`` takes the last step, ``flatten`` flattens, ``none``
            takes vectors only.

    Raises:
        BadRecipe: it does not suit this tensor.
    """
    import keras

    sizes = [None if size is None else int(size) for size in tensor.shape[1:]]
    if len(sizes) == 1:
        return tensor
    width = None if None in sizes else int(np.prod([size for size in sizes if size is not None]))
    if how == "auto":
        how = "flatten" if width is not None and width <= WIDEST_FLAT else "gap"
    match how, len(sizes):
        case "flatten", _ if width is not None and width <= WIDEST_FLAT:
            return keras.layers.Flatten(name=f"{name}_flat")(tensor)
        case "gap" | "mean", 2:
            return keras.layers.GlobalAveragePooling1D(name=f"{name}_mean")(tensor)
        case "gap", 3:
            return keras.layers.GlobalAveragePooling2D(name=f"{name}_mean")(tensor)
        case "last", 2:
            only_last = keras.layers.Cropping1D((int(sizes[0]) - 1, 0), name=f"{name}_last") if sizes[0] else None
            if only_last is not None:
                return keras.layers.Flatten(name=f"{name}_last_flat")(only_last(tensor))
    what = f"{name!r} of shape {sizes}"
    if how == "flatten":
        raise BadRecipe(f"base.pooling flatten: {what} is more than {WIDEST_FLAT} numbers; take gap")
    raise BadRecipe(f"base.pooling {how} does not suit {what}")


def _free(name: str, taken: Container[str]) -> str:
    """What to call the layers behind a cut: a model that was itself built on a cut has layers of their usual names."""
    while any(f"{name}_{kind}" in taken for kind in ("flat", "mean", "last", "last_flat")):
        name += "_cut"
    return name


def _tensors(model: Any) -> list[tuple[str, Any]]:
    """Every layer's name and output tensor as this model calls it, inputs first.

    A layer's own ``output`` would not do: for a model nested in another it belongs to the inner graph.
    """
    return [(node.operation.name, tensor) for node in nodes_in_order(model) for tensor in node.output_tensors]


def _known(name: str, known: list[str]) -> str:
    for one in (name, name.replace(SEPARATOR, "__"), name.rsplit(SEPARATOR, 1)[-1]):
        if one in known:
            return one
    raise BadRecipe(f"there is no layer {name!r} to cut after; {near(name, known)}")


def _last_weighted(model: Any) -> Any:
    nodes = [node for node in nodes_in_order(model) if getattr(node.operation, "weights", None)]
    return nodes[-1] if nodes else None


def _stage_ends(model: Any, found: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    output = model.outputs[0]
    # What computes the answer itself is no feature: the last layer with weights, and what follows it.
    last = _last_weighted(model)
    places = {id(tensor): at for at, (_, tensor) in enumerate(found)}
    end = len(found) if last is None else places[id(last.output_tensors[0])]
    inner = [(name, tensor) for name, tensor in found[:end] if tensor is not output and _is_usable(tensor)]
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
