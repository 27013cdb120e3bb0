"""A base as a SavedModel: its features at every cut and, where it has a classifier of its own, its answer.

Features and answer are two traced functions that all signatures share, so that the graph is written once, and a head
that takes over the features does not carry the base's output layer with it. A base without an answer gives its
features by ``serving_default`` too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.domain.artifact import InputSpec
from service.domain.learning import LearningTask
from service.domain.replies import Reply
from training.export.graph import (
    answering_signatures,
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
class BaseNetwork:
    """What a base computes, as functions of one batch of inputs that TensorFlow can trace."""

    features: Callable[[Any], Mapping[str, Any]]
    """Inputs to [n, width] float tensors by cut."""
    widths: Mapping[str, int]
    """Of each cut."""
    answer: Callable[[Any], Any] | None
    """Inputs to [n, K] probabilities, or [n, M] values in units; None for a base that has features only."""
    variables: Sequence[Any]
    """TensorFlow variables that the functions read, each once."""
    resources: Sequence[Any] = ()
    """What else they read that has to be saved: lookup tables."""


@dataclass(frozen=True, slots=True)
class ExportedBase:
    """What was written: the width of each cut, and the bytes of each weight."""

    features: Mapping[str, int]
    weights: Mapping[str, int]


def keras_network(model: Any, cuts: Mapping[str, Any], *, answers: bool = True) -> BaseNetwork:
    """A Keras model as a base.

    Args:
        model: from the input to [n, K] probabilities or, when it does not ``answers``, to anything.
        cuts: flat Keras tensors of that model by name.
    """
    import keras
    import tensorflow as tf

    cutter = keras.Model(model.inputs[0], list(cuts.values()))
    whole = model if answers else cutter

    def features(inputs: Any) -> dict[str, Any]:
        found = cutter(inputs, training=False)
        found = found if isinstance(found, list | tuple) else [found]
        return {name: tf.cast(tensor, tf.float32) for name, tensor in zip(cuts, found, strict=True)}

    def answer(inputs: Any) -> Any:
        return tf.cast(model(inputs, training=False), tf.float32)

    return BaseNetwork(
        features,
        {name: int(tensor.shape[1]) for name, tensor in cuts.items()},
        answer if answers else None,
        [weight.value for weight in whole.weights],
        [layer for layer in whole.layers if hasattr(layer, "get_vocabulary")],
    )


def export_base(
    network: BaseNetwork,
    spec: InputSpec,
    labels: Sequence[str],
    directory: Path,
    task: str = LearningTask.MULTICLASS,
) -> ExportedBase:
    """Write the SavedModel; ``labels`` and ``task`` are of the network's answer, if it has one."""
    import tensorflow as tf

    module = tf.Module()
    # The variables alone are attached: with a Keras model every weight would be written twice.
    module.weights = list(network.variables)
    module.resources = list(network.resources)

    def features(inputs: Any) -> dict[str, Any]:
        return {name: tf.cast(tensor, tf.float32) for name, tensor in network.features(inputs).items()}

    def features_from_examples(inputs: Any) -> dict[str, Any]:
        return dict(take_features(parse_examples(inputs, spec)))

    take_features = traced(features, numbers_spec(spec))
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
    signatures.update(_answers(network, module, spec, labels, LearningTask(task), take_features))
    save_module(module, directory, signatures)
    # Numbered, since two members of an ensemble may have weights of one name.
    weights = {f"{at}:{one.name}": int(np.prod(one.shape)) * one.dtype.size for at, one in enumerate(module.weights)}
    return ExportedBase(dict(network.widths), weights)


def _answers(
    network: BaseNetwork,
    module: Any,
    spec: InputSpec,
    labels: Sequence[str],
    task: LearningTask,
    take_features: Any,
) -> dict[str, Any]:
    """The signatures that people ask by."""
    if network.answer is None:

        def serving_default(inputs: Any) -> dict[str, Any]:
            return dict(take_features(inputs))

        return {"serving_default": traced(serving_default, numbers_spec(spec))}
    answer = traced(_as_logits(network.answer, task), numbers_spec(spec))
    ways: dict[str, Callable[[Any], Any]] = {
        "numbers": answer,
        "examples": lambda inputs: answer(parse_examples(inputs, spec)),
    }
    if takes_bytes(spec):
        ways["bytes"] = lambda image_bytes: answer(module.pixels(image_bytes))
    if task is LearningTask.MULTICLASS:
        return classifier_signatures(spec, labels, ways)
    return answering_signatures(spec, Reply(tuple(labels), task), ways)


def _as_logits(answer: Callable[[Any], Any], task: LearningTask) -> Callable[[Any], Any]:
    """Probabilities turned back, as far as float32 tells them from 0 and 1; several classes and values as they are."""
    import tensorflow as tf

    def of_two(inputs: Any) -> Any:
        return tf.math.log(tf.maximum(answer(inputs), 1e-30))

    def of_each(inputs: Any) -> Any:
        found = tf.clip_by_value(answer(inputs), 1e-7, 1 - 1e-7)
        return tf.math.log(found) - tf.math.log1p(-found)

    return {LearningTask.BINARY: of_two, LearningTask.MULTILABEL: of_each}.get(task, answer)
