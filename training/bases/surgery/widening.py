"""Wider layers that compute the same: Net2Wider (Chen, Goodfellow, Shlens 2016).

New units copy old ones, and what the old unit gave to the next layer is shared out among the copies. The shares are
drawn, not equal: equal ones would give copies equal gradients, and they would stay copies for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.bases.surgery.cloning import copy_state, rebuilt
from training.bases.surgery.layers import leaves, resolve
from training.bases.surgery.replaying import nodes_in_order
from training.errors import BadRecipe
from training.seeds import generator

UNITS = {"Dense": "units", "Conv2D": "filters"}
"""Layers that can be widened, and what their width is called."""
ELEMENTWISE = frozenset(
    {"relu", "gelu", "tanh", "sigmoid", "linear", "elu", "selu", "silu", "swish", "leaky_relu", "relu6"}
)
"""Activations that treat each unit by itself; softmax does not."""
CHANNELWISE = frozenset(
    {"ReLU", "LeakyReLU", "ELU", "Dropout", "SpatialDropout2D", "MaxPooling2D", "AveragePooling2D", "ZeroPadding2D"}
    | {"GlobalAveragePooling2D", "GlobalMaxPooling2D", "UpSampling2D"}
)
"""Layers without weights that leave a channel a channel."""


@dataclass(frozen=True, slots=True)
class _Copies:
    """Which old entry each new one copies, and its share of what the old one gave on: both [new width]."""

    of: NDArray[np.int64]
    share: NDArray[np.float64]

    def flattened(self, places: int) -> _Copies:
        """The same for maps of so many places, flattened with the channel last."""
        old = int(self.of.max()) + 1
        offsets = np.arange(places)[:, np.newaxis] * old
        return _Copies((offsets + self.of).ravel(), np.tile(self.share, places))


def widen(model: Any, units: Mapping[str, int], seed: int) -> Any:
    """A copy in which some layers have more units, and whose outputs are equal up to rounding.

    Args:
        units: layers (Dense or Conv2D) by name, and how many units each is to have.

    Raises:
        BadRecipe: no such layer; not a wider one; or what follows it is not known to keep units apart.
    """
    by_address = dict(leaves(model))
    wanted = {resolve(model, [name])[0]: width for name, width in units.items()}
    for address, width in wanted.items():
        _check(address, by_address[address], width)

    def wider(address: str, layer: Any, config: dict[str, Any]) -> dict[str, Any]:
        return {**config, UNITS[type(layer).__name__]: wanted[address]} if address in wanted else config

    copy, pairs = rebuilt(model, wider)
    weights = {new.name: [np.array(weight) for weight in old.get_weights()] for old, new in pairs}
    for address, width in wanted.items():
        (name,) = [new.name for old, new in pairs if old is by_address[address]]
        _split(copy, name, width, weights, generator(seed, "widen", address))
    for old, new in pairs:
        copy_state(old, new, weights[new.name])
    return copy


def _check(address: str, layer: Any, width: int) -> None:
    kind = type(layer).__name__
    if kind not in UNITS:
        raise BadRecipe(f"layer {address!r} is a {kind}; Dense and Conv2D can be widened")
    have = int(getattr(layer, UNITS[kind]))
    if width <= have:
        raise BadRecipe(f"layer {address!r} has {have} units; {width} is not wider")
    if layer.activation.__name__ not in ELEMENTWISE:
        raise BadRecipe(f"layer {address!r} ends in {layer.activation.__name__}, which mixes its units")
    if int(getattr(layer, "groups", 1)) != 1:
        raise BadRecipe(f"layer {address!r} has groups of channels; those cannot be widened")


def _split(model: Any, name: str, width: int, weights: dict[str, list[Any]], draw: np.random.Generator) -> None:
    """Widen the weights of one layer, and share out those of whoever reads it."""
    kernel = weights[name][0]
    have = int(kernel.shape[-1])
    of = np.concatenate([np.arange(have), draw.integers(0, have, width - have)])
    parts = draw.uniform(0.5, 1.5, width)
    totals = np.zeros(have)
    np.add.at(totals, of, parts)
    copies = _Copies(of, parts / totals[of])
    weights[name] = [array[..., of] for array in weights[name]]
    nodes = nodes_in_order(model)
    waiting = [(node.output_tensors[0], copies) for node in nodes if node.operation.name == name]
    if len(waiting) != 1:
        raise BadRecipe(f"layer {name!r} is called {len(waiting)} times; it cannot be widened")
    while waiting:
        tensor, known = waiting.pop()
        readers = [node for node in nodes if any(one is tensor for one in node.input_tensors)]
        if tensor is model.outputs[0] or not readers:
            raise BadRecipe(f"layer {name!r} reaches the model's output, whose width would change")
        for node in readers:
            further = _read_by(node, known, tensor, name, weights)
            if further is not None:
                waiting.append((node.output_tensors[0], further))


def _read_by(node: Any, copies: _Copies, tensor: Any, widened: str, weights: dict[str, list[Any]]) -> _Copies | None:
    """What one reader of a widened tensor does: its weights are adjusted, and the copies it gives on, if it does."""
    layer = node.operation
    kind, held = type(layer).__name__, weights.get(layer.name, [])
    match kind:
        case "Dense" if len(tensor.shape) == 2:
            held[0] = _shared_out(held[0], copies, 0)
            return None
        case "Conv2D" if layer.groups == 1:
            held[0] = _shared_out(held[0], copies, 2)
            return None
        case "BatchNormalization":
            weights[layer.name] = [array[copies.of] for array in held]
            return copies
        case "Activation" if layer.activation.__name__ in ELEMENTWISE:
            return copies
        case "Flatten":
            places = int(np.prod([int(size) for size in tensor.shape[1:-1]]))
            return copies.flattened(places)
        case _ if kind in CHANNELWISE:
            return copies
    raise BadRecipe(f"layer {widened!r} is read by {layer.name!r} ({kind}), which is not known to keep units apart")


def _shared_out(kernel: NDArray[Any], copies: _Copies, axis: int) -> NDArray[Any]:
    share = copies.share.reshape([-1 if at == axis else 1 for at in range(kernel.ndim)])
    return (np.take(kernel, copies.of, axis=axis).astype(np.float64) * share).astype(kernel.dtype)
