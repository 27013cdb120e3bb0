"""Starting layers anew. An initialiser that is called again gives the same values again, so each weight of each layer
gets an initialiser with a seed of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from training.bases.surgery.layers import leaves, resolve
from training.errors import BadRecipe
from training.seeds import child_seed


def reinitialise(model: Any, names: Iterable[str], seed: int) -> tuple[str, ...]:
    """Give layers fresh weights in place, drawn by their own initialisers; the addresses of those layers.

    Raises:
        BadRecipe: there is no such layer, or it has no weights that are learned by gradient.
    """
    by_address = dict(leaves(model))
    chosen = resolve(model, names)
    for address in chosen:
        layer = by_address[address]
        # What is adapted to data has weights too, and no initialiser that could replace them.
        if not layer.weights or hasattr(layer, "adapt"):
            raise BadRecipe(f"layer {address!r} ({type(layer).__name__}) has no learned weights to start anew")
        for part, one in _parts(address, layer):
            _renew(one, child_seed(seed, "reinitialise", part))
    return chosen


def _parts(address: str, layer: Any) -> list[tuple[str, Any]]:
    """A layer, or the layers it wraps: the two directions of one would else start alike."""
    forward, backward = getattr(layer, "forward_layer", None), getattr(layer, "backward_layer", None)
    if forward is not None and backward is not None:
        return [(f"{address}.forward", forward), (f"{address}.backward", backward)]
    return [(address, layer)]


def _renew(layer: Any, seed: int) -> None:
    config = _seeded(layer.get_config(), seed, ())
    fresh = type(layer).from_config(config)
    fresh.build_from_config(layer.get_build_config())
    layer.set_weights(fresh.get_weights())


def _seeded(config: Any, seed: int, path: tuple[str, ...]) -> Any:
    """The configuration with a seed of its own for everything in it that draws."""
    if isinstance(config, Mapping):
        return {
            key: child_seed(seed, *path) if key == "seed" else _seeded(value, seed, (*path, key))
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_seeded(value, seed, (*path, str(at))) for at, value in enumerate(config))
    return config
