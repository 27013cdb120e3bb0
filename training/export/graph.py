"""The pieces of graph that every exported model is made of: answers, parsing of examples, decoding of images.

Outputs are named, float32 and free in their first dimension; labels are constants in the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.domain.artifact import SAVED_MODEL, InputKind, InputSpec
from service.domain.learning import LearningTask
from service.domain.replies import TOP_CLASSES, AnswerForm, Reply

METHODS = {"classify": "tensorflow/serving/classify", "regress": "tensorflow/serving/regress"}
"""TF Serving's method names, by signature."""
BYTES_CHANNELS = frozenset({1, 3})
"""Numbers of channels that both PNG and JPEG decode to."""


def takes_bytes(spec: InputSpec) -> bool:
    """Whether a model with this input can be given encoded images."""
    return spec.kind is InputKind.IMAGE and spec.shape[-1] in BYTES_CHANNELS


def predict_outputs(probabilities: Any, labels: Sequence[str]) -> dict[str, Any]:
    """[n, K] as ``AnswerForm.PREDICT``."""
    import tensorflow as tf

    scores, best = tf.math.top_k(probabilities, k=min(TOP_CLASSES, len(labels)))
    classes = tf.gather(tf.constant(list(labels)), best)
    return {"probabilities": probabilities, "classes": classes, "scores": scores}


def classify_outputs(probabilities: Any, labels: Sequence[str]) -> dict[str, Any]:
    """[n, K] as ``AnswerForm.CLASSIFY``."""
    import tensorflow as tf

    classes = tf.tile(tf.constant([list(labels)]), [tf.shape(probabilities)[0], 1])
    return {"classes": classes, "scores": probabilities}


def reply_outputs(reply: Reply, logits: Any, form: AnswerForm) -> dict[str, Any]:
    """Logits [n, K], or values [n, M] in their units, as ``Reply.outputs`` gives them."""
    import tensorflow as tf

    if reply.task is LearningTask.REGRESSION:
        if form is AnswerForm.REGRESS:
            return {"outputs": logits[:, 0]}
        if not reply.half_widths:
            return {"values": tf.identity(logits)}
        reach = tf.constant(reply.half_widths, tf.float32)
        return {"values": tf.identity(logits), "interval_low": logits - reach, "interval_high": logits + reach}
    several = reply.task is LearningTask.MULTILABEL
    probabilities = tf.math.sigmoid(logits) if several else tf.nn.softmax(logits)
    if form is AnswerForm.CLASSIFY:
        return classify_outputs(probabilities, reply.labels)
    names = tf.constant(list(reply.labels))
    if several:
        reached = probabilities >= tf.constant(reply.thresholds or (0.5,) * len(reply.labels), tf.float32)
        return {"probabilities": probabilities, "labels": tf.where(reached, names, "")}
    outputs = predict_outputs(probabilities, reply.labels)
    if reply.task is LearningTask.BINARY:
        (threshold,) = reply.thresholds or (0.5,)
        chosen = tf.cast(probabilities[:, 1] >= tf.constant(threshold, tf.float32), tf.int32)
        outputs["label"] = tf.gather(names, chosen)
    return outputs


def parse_examples(serialized: Any, spec: InputSpec) -> Any:
    """Serialized ``tf.Example`` [n] to the model's input: a feature a column where columns have names, else one
    feature with all numbers.
    """
    import tensorflow as tf

    if spec.columns:
        wanted = {column: tf.io.FixedLenFeature([], tf.float32) for column in spec.columns}
        parsed = tf.io.parse_example(serialized, wanted)
        return tf.stack([parsed[column] for column in spec.columns], axis=1)
    # Examples know no int32.
    stored = tf.int64 if spec.dtype == "int32" else tf.as_dtype(spec.dtype)
    parsed = tf.io.parse_example(serialized, {spec.name: tf.io.FixedLenFeature(spec.shape, stored)})
    return parsed[spec.name] if spec.dtype == "string" else tf.cast(parsed[spec.name], spec.dtype)


def decode_images(encoded: Any, spec: InputSpec) -> Any:
    """Encoded PNG or JPEG [n] to float32 [n, height, width, channels] on 0..255, padded to keep their proportions."""
    import tensorflow as tf

    height, width, channels = spec.shape

    def decode_one(data: Any) -> Any:
        image = tf.io.decode_image(data, channels=channels, expand_animations=False)
        image.set_shape([None, None, channels])
        return tf.image.resize_with_pad(_no_thinner(tf.cast(image, tf.float32), height, width), height, width)

    return tf.map_fn(decode_one, encoded, fn_output_signature=tf.TensorSpec(spec.shape, tf.float32))


def _no_thinner(image: Any, height: int, width: int) -> Any:
    """The image, with a border where it is so thin that nothing of it would be left at this height and width."""
    import tensorflow as tf

    high, wide = tf.shape(image)[0], tf.shape(image)[1]
    missing_rows = tf.maximum((wide + width - 1) // width - high, 0)
    missing_columns = tf.maximum((high + height - 1) // height - wide, 0)
    borders = [(missing // 2, missing - missing // 2) for missing in (missing_rows, missing_columns)]
    return tf.pad(image, [*borders, (0, 0)])


def numbers_spec(spec: InputSpec) -> Any:
    """The TensorFlow specification of a batch of the model's input."""
    import tensorflow as tf

    return tf.TensorSpec([None, *spec.shape], tf.as_dtype(spec.dtype), name=spec.name)


def strings_spec(alias: str) -> Any:
    """The TensorFlow specification of a batch of strings."""
    import tensorflow as tf

    return tf.TensorSpec([None], tf.string, name=alias)


def traced(function: Callable[[Any], Any], spec: Any) -> Any:
    """A TensorFlow function of one batched input, named after the Python function's argument."""
    import tensorflow as tf

    return tf.function(function, input_signature=[spec])


def classifier_signatures(
    spec: InputSpec,
    labels: Sequence[str],
    probabilities: Mapping[str, Callable[[Any], Any]],
) -> dict[str, Any]:
    """The answering signatures of a model that gives probabilities itself, as TensorFlow functions.

    Args:
        spec: the model's input.
        labels: of the K classes.
        probabilities: how to get [n, K] from ``numbers``, from ``examples`` and, where they are taken, from ``bytes``.
    """

    def outputs(found: Any, form: AnswerForm) -> dict[str, Any]:
        return (classify_outputs if form is AnswerForm.CLASSIFY else predict_outputs)(found, labels)

    return _signatures(spec, probabilities, outputs, AnswerForm.CLASSIFY)


def answering_signatures(spec: InputSpec, reply: Reply, logits: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """The answering signatures for any task: ``serving_default``, ``classify`` or ``regress``, ``classify_bytes``.

    Args:
        spec: the model's input.
        reply: how logits, or values in their units, become an answer.
        logits: how to get [n, K] from ``numbers``, from ``examples`` and, where they are taken, from ``bytes``.
    """

    def outputs(found: Any, form: AnswerForm) -> dict[str, Any]:
        return reply_outputs(reply, found, form)

    return _signatures(spec, logits, outputs, reply.by_examples)


def _signatures(
    spec: InputSpec,
    ways: Mapping[str, Callable[[Any], Any]],
    outputs: Callable[[Any, AnswerForm], dict[str, Any]],
    by_examples: AnswerForm | None,
) -> dict[str, Any]:
    def serving_default(inputs: Any) -> dict[str, Any]:
        return outputs(ways["numbers"](inputs), AnswerForm.PREDICT)

    signatures = {"serving_default": traced(serving_default, numbers_spec(spec))}
    if by_examples is not None:
        form = by_examples

        def from_examples(inputs: Any) -> dict[str, Any]:
            return outputs(ways["examples"](inputs), form)

        signatures[str(form)] = traced(from_examples, strings_spec("inputs"))
    if "bytes" in ways:

        def classify_bytes(image_bytes: Any) -> dict[str, Any]:
            return outputs(ways["bytes"](image_bytes), AnswerForm.PREDICT)

        signatures["classify_bytes"] = traced(classify_bytes, strings_spec("image_bytes"))
    return signatures


def save_module(module: Any, directory: Path, signatures: Mapping[str, Any]) -> None:
    """Write a SavedModel; ``classify`` and ``regress`` get TF Serving's method names, which TensorFlow 2 cannot write
    itself.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    tf.saved_model.save(module, str(directory), signatures=dict(signatures))
    path = directory / SAVED_MODEL
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString(path.read_bytes())
    for name, method in METHODS.items():
        if name in signatures:
            saved.meta_graphs[0].signature_def[name].method_name = method
    path.write_bytes(saved.SerializeToString(deterministic=True))
    # The fingerprint names the graph by its bytes, and they are others now.
    (directory / "fingerprint.pb").unlink(missing_ok=True)
