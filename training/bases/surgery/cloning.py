"""Deep copies of Keras models, so that whatever is done to the copy never reaches the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from training.bases.surgery.layers import leaves
from training.bases.surgery.replaying import SEPARATOR, replay
from training.errors import BadBase

Change = Callable[[str, Any, dict[str, Any]], Mapping[str, Any]]
"""From a layer's address, the layer and its configuration to the copy's configuration."""
NARROW = frozenset({"float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"})


def clone(model: Any) -> Any:
    """A copy with the same weights and flags, nested models opened up: ``base/conv`` becomes ``conv``, or
    ``base__conv`` where another layer has that name.

    Raises:
        BadBase: it has no graph of layers with one input and one output, or layers that cannot be made again.
    """
    copy, pairs = rebuilt(model)
    for old, new in pairs:
        copy_state(old, new)
    return copy


def in_float32(model: Any) -> Any:
    """A copy that computes in float32 whatever the source computes in; weights keep their values."""

    def widened(address: str, layer: Any, config: dict[str, Any]) -> Mapping[str, Any]:
        return {key: _widened(key, value) for key, value in config.items()}

    copy, pairs = rebuilt(model, widened)
    for old, new in pairs:
        copy_state(old, new)
    return copy


def rebuilt(model: Any, change: Change | None = None) -> tuple[Any, list[tuple[Any, Any]]]:
    """A new model of new layers, not yet with the old weights; and each old layer with the one made for it.

    Raises:
        BadBase: as ``clone``.
    """
    import keras

    check_graph(model)
    pairs: list[tuple[Any, Any]] = []
    plain = Counter(address.rsplit(SEPARATOR, 1)[-1] for address, _ in leaves(model))
    plain[model.inputs[0].name] += 1

    def copied(address: str, layer: Any) -> Any:
        config = dict(layer.get_config())
        if change is not None:
            config = dict(change(address, layer, config))
        name = address.rsplit(SEPARATOR, 1)[-1]
        if plain[name] > 1:
            name = address.replace(SEPARATOR, "__")
        if config["name"] != layer.name:
            name = config["name"]
        try:
            new = type(layer).from_config({**config, "name": name})
        except Exception as error:
            raise BadBase(f"layer {address!r} ({type(layer).__name__}) cannot be made again: {error}") from error
        pairs.append((layer, new))
        return new

    first = model.inputs[0]
    start = keras.Input(batch_shape=first.shape, dtype=first.dtype, name=first.name)
    whole = keras.Model(start, replay(model, start, copied), name=model.name)
    return whole, pairs


def copy_state(old: Any, new: Any, weights: Sequence[Any] | None = None) -> None:
    """Flags, vocabulary and weights of one layer to another of the same kind; other weights where they are given."""
    if old.weights:
        new.set_weights(old.get_weights() if weights is None else weights)
    if hasattr(old, "get_vocabulary"):
        # A vocabulary learned from data is no weight, and configurations do not carry it.
        new.set_vocabulary(old.get_vocabulary(include_special_tokens=False))
    if hasattr(new, "finalize_state"):
        new.finalize_state()
    _copy_flags(old, new)


def check_graph(model: Any) -> None:
    """Raises: BadBase: it is no graph of layers from one input to one output."""
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    name = getattr(model, "name", "the model")
    if not inputs or not outputs:
        raise BadBase(f"{name} is not a functional or sequential model with a known input")
    if len(inputs) != 1 or len(outputs) != 1:
        raise BadBase(f"{name} has {len(inputs)} inputs and {len(outputs)} outputs; a base has one of each")


def _copy_flags(old: Any, new: Any) -> None:
    # The flag of the whole first: setting it sets those of the parts.
    new.trainable = old.trainable
    for before, after in zip(old._flatten_layers(), new._flatten_layers(), strict=True):
        if before is not old:
            after.trainable = before.trainable


def _widened(key: str, value: Any) -> Any:
    if key == "dtype":
        policy = value["config"].get("name") if isinstance(value, Mapping) and "config" in value else value
        return "float32" if policy in NARROW else value
    if isinstance(value, Mapping):
        return {inner: _widened(inner, one) for inner, one in value.items()}
    return value
