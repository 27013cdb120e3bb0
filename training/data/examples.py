"""``tf.Example``, as protobuf alone reads it: a map from key to a list of bytes, of floats or of whole numbers.

The message is described here, field by field as TensorFlow publishes it, so that looking at data does not have to
import TensorFlow, which takes seconds.
"""

from __future__ import annotations

from functools import cache
from typing import Any

PACKAGE = "training.example"
LISTS = ("bytes_list", "float_list", "int64_list")


def parsed_example(record: bytes) -> dict[str, Any]:
    """The features of a serialized Example: lists of numbers; texts for bytes that are text, else bytes; one alone.

    Raises:
        ValueError: it is no Example.
    """
    from google.protobuf.message import DecodeError

    example = _message_class()()
    try:
        example.ParseFromString(record)
    except DecodeError as error:
        raise ValueError(f"it is no tf.Example: {error}") from error
    features = example.features.feature
    if not features:
        raise ValueError("it is no tf.Example, or one without features")
    return {key: _value(features[key]) for key in features if features[key].WhichOneof("kind")}


def _value(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value)
    if kind != "bytes_list":
        return values
    texts = [_text(value) for value in values]
    return texts[0] if len(texts) == 1 else texts


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


@cache
def _message_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="training/example.proto", package=PACKAGE, syntax="proto3")
    for name, kind in zip(LISTS, (kinds.TYPE_BYTES, kinds.TYPE_FLOAT, kinds.TYPE_INT64), strict=True):
        message = file.message_type.add(name=name)
        message.field.add(name="value", number=1, type=kind, label=kinds.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(LISTS, start=1):
        feature.field.add(
            name=name,
            number=number,
            type=kinds.TYPE_MESSAGE,
            type_name=f".{PACKAGE}.{name}",
            oneof_index=0,
            label=kinds.LABEL_OPTIONAL,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    entry.field.add(
        name="value", number=2, type=kinds.TYPE_MESSAGE, type_name=f".{PACKAGE}.Feature", label=kinds.LABEL_OPTIONAL
    )
    features.field.add(
        name="feature",
        number=1,
        type=kinds.TYPE_MESSAGE,
        type_name=f".{PACKAGE}.Features.FeatureEntry",
        label=kinds.LABEL_REPEATED,
    )
    example = file.message_type.add(name="Example")
    example.field.add(
        name="features", number=1, type=kinds.TYPE_MESSAGE, type_name=f".{PACKAGE}.Features", label=kinds.LABEL_OPTIONAL
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Example"))
