"""Rebuilding a Keras graph layer by layer, on another input or with other layers.

Models nested inside are opened up, so that their layers can be cut after, frozen and replaced. Nothing here recurses
along the graph: networks with hundreds of layers are walked like short ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LayerFor = Callable[[str, Any], Any]
"""From a layer's address and the layer to what is called in its place."""
SEPARATOR = "/"
"""Between a nested model's name and its layer's; Keras allows it in no name."""


def same_layer(address: str, layer: Any) -> Any:
    """The layer itself: the new graph shares its weights with the old one."""
    return layer


def replay(model: Any, start: Any, layer_for: LayerFor = same_layer) -> Any:
    """The output of ``model`` computed from the Keras tensor ``start`` in place of its one input.

    Args:
        layer_for: called once for each layer. By default layers are called again, not copied.
    """
    return _replay(model, start, layer_for, {}, "")


def nodes_in_order(model: Any) -> list[Any]:
    """The graph's calls, each once and after all it depends on; inputs left out, nested models as one call."""
    found: list[Any] = []
    known = {id(tensor) for tensor in model.inputs}
    waiting = [(_node_of(tensor), False) for tensor in reversed(model.outputs) if id(tensor) not in known]
    seen: set[int] = set()
    while waiting:
        node, ready = waiting.pop()
        if ready:
            found.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            waiting.append((node, True))
            before = [tensor for tensor in node.input_tensors if id(tensor) not in known]
            waiting.extend((_node_of(tensor), False) for tensor in reversed(before))
    return [node for node in found if node.input_tensors]


def opens(layer: Any) -> bool:
    """Whether this is a nested model whose layers can stand in the outer graph."""
    import keras

    return (
        isinstance(layer, keras.Model)
        and len(getattr(layer, "inputs", None) or ()) == 1
        and len(getattr(layer, "outputs", None) or ()) == 1
    )


def _replay(model: Any, start: Any, layer_for: LayerFor, made_layers: dict[int, Any], prefix: str) -> Any:
    import keras

    made: dict[int, Any] = {id(model.inputs[0]): start}

    def new(old: Any) -> Any:
        return made[id(old)] if isinstance(old, keras.KerasTensor) else old

    for node in nodes_in_order(model):
        layer = node.operation
        args = keras.tree.map_structure(new, node.arguments.args)
        kwargs = keras.tree.map_structure(new, node.arguments.kwargs)
        address = f"{prefix}{layer.name}"
        if opens(layer):
            outputs = _replay(layer, args[0], layer_for, made_layers, f"{address}{SEPARATOR}")
        else:
            if id(layer) not in made_layers:
                made_layers[id(layer)] = layer_for(address, layer) if isinstance(layer, keras.Layer) else layer
            outputs = made_layers[id(layer)](*args, **kwargs)
        for before, after in zip(node.output_tensors, keras.tree.flatten(outputs), strict=True):
            made[id(before)] = after
    return made[id(model.outputs[0])]


def _node_of(tensor: Any) -> Any:
    operation, node_index, _ = tensor._keras_history
    return operation._inbound_nodes[node_index]
