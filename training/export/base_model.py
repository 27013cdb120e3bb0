"""A base as a SavedModel: its own answer, and its features at every cut.

Features and answer are two traced functions that all signatures share, so that the graph is written once, and a head
that takes over the features does not carry the base's output layer with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.artifact import InputSpec
from training.export.graph import (
    classifier_signatures,
    decode_images,
    numbers_spec,
    parse_examples,
    save_module,
    strings_spec,
    takes_bytes,
    traced,
)


@dataclass(frozen=True, slots=True)
class ExportedBase:
    """What was written: the width of each cut, and the bytes of each weight."""

    features: Mapping[str, int]
    weights: Mapping[str, int]


def export_base(
    model: Any, cuts: Mapping[str, Any], spec: InputSpec, labels: Sequence[str], directory: Path
) -> ExportedBase:
    """Write the SavedModel.

    Args:
        model: a Keras model from the input to [n, K] probabilities.
        cuts: flat Keras tensors of that model by name.
    """
    import keras
    import tensorflow as tf

    cutter = keras.Model(model.inputs[0], list(cuts.values()))
    module = tf.Module()
    # The variables alone are attached: with the Keras model every weight would be written twice.
    module.weights = [weight.value for weight in model.weights]

    def features(inputs: Any) -> dict[str, Any]:
        found = cutter(inputs, training=False)
        found = found if isinstance(found, list | tuple) else [found]
        return {name: tf.cast(tensor, tf.float32) for name, tensor in zip(cuts, found, strict=True)}

    def features_from_examples(inputs: Any) -> dict[str, Any]:
        return dict(take_features(parse_examples(inputs, spec)))

    answer = traced(lambda inputs: tf.cast(model(inputs, training=False), tf.float32), numbers_spec(spec))
    take_features = traced(features, numbers_spec(spec))
    probabilities = {"numbers": answer, "examples": lambda inputs: answer(parse_examples(inputs, spec))}
    signatures = {
        "features": take_features,
        "features_from_examples": traced(features_from_examples, strings_spec("inputs")),
    }
    if takes_bytes(spec):

        def pixels(image_bytes: Any) -> Any:
            return decode_images(image_bytes, spec)

        def features_from_bytes(image_bytes: Any) -> dict[str, Any]:
            return dict(take_features(module.pixels(image_bytes)))

        # Kept as a function of the module, so that training reads images exactly as serving does.
        module.pixels = traced(pixels, strings_spec("image_bytes"))
        signatures["features_from_bytes"] = traced(features_from_bytes, strings_spec("image_bytes"))
        probabilities["bytes"] = lambda image_bytes: answer(module.pixels(image_bytes))
    signatures.update(classifier_signatures(spec, labels, probabilities))
    save_module(module, directory, signatures)
    weights = {weight.path: int(np.prod(weight.shape)) * weight.value.dtype.size for weight in model.weights}
    return ExportedBase({name: int(tensor.shape[1]) for name, tensor in cuts.items()}, weights)
