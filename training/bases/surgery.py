"""Rebuilding a Keras graph on another input, layer by layer, with the same layers and so the same weights."""

from __future__ import annotations

from typing import Any


def replay(model: Any, start: Any) -> Any:
    """The output of ``model`` computed from the Keras tensor ``start`` in place of its one input.

    Layers are called again, not copied. Models nested inside are opened up, so that their layers can be cut after.
    """
    import keras

    return _Replay({id(model.inputs[0]): start}, keras).tensor(model.outputs[0])


class _Replay:
    """One walk over one graph: old tensors, by identity, to new ones."""

    def __init__(self, made: dict[int, Any], keras: Any) -> None:
        self._made = made
        self._keras = keras

    def tensor(self, old: Any) -> Any:
        if not isinstance(old, self._keras.KerasTensor):
            return old
        if id(old) not in self._made:
            layer, node_index, _ = old._keras_history
            node = layer._inbound_nodes[node_index]
            args = self._keras.tree.map_structure(self.tensor, node.arguments.args)
            kwargs = self._keras.tree.map_structure(self.tensor, node.arguments.kwargs)
            opened = isinstance(layer, self._keras.Model) and len(getattr(layer, "inputs", None) or ()) == 1
            new = replay(layer, args[0]) if opened and len(layer.outputs) == 1 else layer(*args, **kwargs)
            for before, after in zip(node.output_tensors, self._keras.tree.flatten(new), strict=True):
                self._made[id(before)] = after
        return self._made[id(old)]
