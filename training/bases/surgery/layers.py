"""A model's layers by address: ``base/block5_conv1`` is layer ``block5_conv1`` of the model ``base`` nested inside."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from training.bases.surgery.replaying import SEPARATOR
from training.errors import BadRecipe

SUGGESTIONS = 3


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One line of a model's layer table."""

    name: str
    kind: str
    shape: tuple[int | None, ...] | None
    """Of the output, with the batch; None for layers with several."""
    parameters: int
    trainable: int
    """How many of the parameters are trained now."""


@dataclass(frozen=True, slots=True)
class ParameterCounts:
    """Numbers a model holds, and of those how many are trained now."""

    total: int
    trainable: int


def leaves(model: Any) -> Iterator[tuple[str, Any]]:
    """Each layer's address and the layer, in the order of the graph; nested models as their layers."""
    for layer in model.layers:
        if isinstance(getattr(layer, "layers", None), list):
            for address, inner in leaves(layer):
                yield f"{layer.name}{SEPARATOR}{address}", inner
        else:
            yield layer.name, layer


def resolve(model: Any, names: Iterable[str]) -> tuple[str, ...]:
    """The addresses of layers named in full, by their last part where that is plain, or by a pattern such as
    ``block5_*``; in the order of the graph.

    Raises:
        BadRecipe: there is no such layer; near ones are suggested. Or a short name fits several.
    """
    known = [address for address, _ in leaves(model)]
    chosen: set[str] = set()
    for name in names:
        chosen.update(_matches(name, known))
    return tuple(address for address in known if address in chosen)


def near(name: str, known: Sequence[str]) -> str:
    """Names there are that look like this one, as the end of a sentence."""
    short = {address.rsplit(SEPARATOR, 1)[-1]: address for address in known}
    found = difflib.get_close_matches(name, [*known, *short], SUGGESTIONS, 0.5)
    if found:
        return f"did you mean {', '.join(dict.fromkeys(short.get(one, one) for one in found))}?"
    return f"there are {', '.join(known[:10])}{' and more' if len(known) > 10 else ''}"


def layer_table(model: Any) -> list[LayerRow]:
    """Name, kind, output shape and parameters of every layer, in the order of the graph."""
    return [
        LayerRow(
            address,
            type(layer).__name__,
            _output_shape(layer),
            _count(layer.weights),
            _count(layer.trainable_weights),
        )
        for address, layer in leaves(model)
    ]


def parameter_counts(model: Any) -> ParameterCounts:
    """All parameters, and those that are trained now."""
    return ParameterCounts(_count(model.weights), _count(model.trainable_weights))


def _matches(name: str, known: Sequence[str]) -> list[str]:
    if name in known:
        return [name]
    last = name.rsplit(SEPARATOR, 1)[-1]
    found = [address for address in known if address.rsplit(SEPARATOR, 1)[-1] == last]
    if len(found) == 1:
        return found
    if found:
        raise BadRecipe(f"layer {name!r} may be any of {', '.join(found)}; say which")
    found = fnmatch.filter(known, name) if any(sign in name for sign in "*?[") else []
    if not found:
        raise BadRecipe(f"there is no layer {name!r}; {near(name, known)}")
    return found


def _output_shape(layer: Any) -> tuple[int | None, ...] | None:
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):
        # A layer with several outputs, or called several times, has no one shape.
        return None
    return tuple(shape)


def _count(weights: Iterable[Any]) -> int:
    total = 0
    for weight in weights:
        size = 1
        for length in weight.shape:
            size *= int(length)
        total += size
    return total
