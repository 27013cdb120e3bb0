"""A model of its own as a SavedModel, with the signatures of a head: its answers, and the features they are made of.

For what a server cannot share a base for: heads with hidden layers, and networks whose layers below the cut were tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.artifact import InputSpec
from service.domain.replies import Reply
from training.export.graph import (
    answering_signatures,
    decode_images,
    numbers_spec,
    parse_examples,
    save_module,
    strings_spec,
    takes_bytes,
    traced,
)


@dataclass(frozen=True, slots=True)
class FullNetwork:
    """What a model computes, as functions of one batch of inputs that TensorFlow can trace."""

    features: Callable[[Any], Any]
    """Inputs to [n, width]."""
    logits: Callable[[Any], Any]
    """Inputs to [n, outputs]: logits with any temperature in them, or values in their units."""
    variables: Sequence[Any]
    """TensorFlow variables that the functions read, each once."""
    resources: Sequence[Any] = ()
    """What else they read that has to be saved: lookup tables."""


def keras_full(model: Any, features: Any) -> FullNetwork:
    """A Keras model from inputs to logits as answered, and the part of it from inputs to features."""
    import tensorflow as tf

    return FullNetwork(
        lambda inputs: tf.cast(features(inputs, training=False), tf.float32),
        lambda inputs: tf.cast(model(inputs, training=False), tf.float32),
        [weight.value for weight in model.weights],
        [layer for layer in model.layers if hasattr(layer, "get_vocabulary")],
    )


def on_base(base: Any, cuts: Sequence[str], head: Any) -> FullNetwork:
    """A Keras model from features [n, width] to logits as answered, on the features of a loaded SavedModel."""
    import tensorflow as tf

    source = base.signatures["features"]
    (alias,) = source.structured_input_signature[1]

    def features(inputs: Any) -> Any:
        outputs = source(**{alias: inputs})
        parts = [outputs[cut] for cut in cuts]
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)

    read = {id(variable.handle): variable for variable in source.variables}
    return FullNetwork(
        features,
        lambda inputs: tf.cast(head(features(inputs), training=False), tf.float32),
        [*read.values(), *(weight.value for weight in head.weights)],
        list(getattr(base, "resources", ())),
    )


def export_full(network: FullNetwork, cut: str, reply: Reply, spec: InputSpec, directory: Path) -> Mapping[str, int]:
    """Write the SavedModel; the bytes of each weight.

    Args:
        cut: the name of the features among the outputs of ``features``.
    """
    import tensorflow as tf

    module = tf.Module()
    # The variables alone are attached: with a Keras model every weight would be written twice.
    module.weights = list(network.variables)
    module.resources = list(network.resources)

    def features(inputs: Any) -> dict[str, Any]:
        return {cut: tf.cast(network.features(inputs), tf.float32)}

    take_features = traced(features, numbers_spec(spec))
    logits = traced(network.logits, numbers_spec(spec))

    def features_from_examples(inputs: Any) -> dict[str, Any]:
        return dict(take_features(parse_examples(inputs, spec)))

    signatures = {
        "features": take_features,
        "features_from_examples": traced(features_from_examples, strings_spec("inputs")),
    }
    ways: dict[str, Callable[[Any], Any]] = {
        "numbers": logits,
        "examples": lambda inputs: logits(parse_examples(inputs, spec)),
    }
    if takes_bytes(spec):

        def pixels(image_bytes: Any) -> Any:
            return decode_images(image_bytes, spec)

        def features_from_bytes(image_bytes: Any) -> dict[str, Any]:
            return dict(take_features(module.pixels(image_bytes)))

        module.pixels = traced(pixels, strings_spec("image_bytes"))
        signatures["features_from_bytes"] = traced(features_from_bytes, strings_spec("image_bytes"))
        ways["bytes"] = lambda image_bytes: logits(module.pixels(image_bytes))
    signatures.update(answering_signatures(spec, reply, ways))
    save_module(module, directory, signatures)
    return {f"{at}:{one.name}": int(np.prod(one.shape)) * one.dtype.size for at, one in enumerate(module.weights)}
