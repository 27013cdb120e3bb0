"""TF Serving's configuration messages in protobuf's text format, those that no installed package has classes for.

The messages are declared here as data and read by protobuf's own text parser, so that comments, strings and
separators are read as TF Serving reads them, and a misspelt field is an error that names its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message

_PACKAGE = "tensorflow.serving"
_KINDS: Mapping[str, Any] = {
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
}
_MESSAGES: Mapping[str, Mapping[str, str]] = {
    "Int64Value": {"value": "int64"},
    "BoolValue": {"value": "bool"},
    "StringValue": {"value": "string"},
    "BatchingParameters": {
        "max_batch_size": "Int64Value",
        "batch_timeout_micros": "Int64Value",
        "max_enqueued_batches": "Int64Value",
        "num_batch_threads": "Int64Value",
        "thread_pool_name": "StringValue",
        "allowed_batch_sizes": "repeated int64",
        "pad_variable_length_inputs": "bool",
        "enable_large_batch_splitting": "BoolValue",
        "max_execution_batch_size": "Int64Value",
    },
    "SSLConfig": {"server_key": "string", "server_cert": "string", "custom_ca": "string", "client_verify": "bool"},
    "PrometheusConfig": {"enable": "bool", "path": "string"},
    "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
}


class UnreadableFile(ValueError):
    """A file is missing or not what it ought to be; the text names it and says why."""


def read_message(file: Path, name: str) -> Message:
    """The message of this name that a file holds.

    Raises:
        UnreadableFile
    """
    message = _class(name)()
    try:
        text_format.Parse(file.read_text(encoding="utf-8"), message)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise UnreadableFile(f"Error parsing text-format {_PACKAGE}.{name}: {file}: {error}") from error
    return message


@cache
def _class(name: str) -> type[Message]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_declared())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def _declared() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="tfserving_text_files.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, declared) in enumerate(fields.items(), start=1):
            kind = declared.removeprefix("repeated ")
            repeated = kind != declared
            label = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
            if repeated:
                label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
            added = message.field.add(name=field, number=number, label=label)
            if kind in _KINDS:
                added.type = _KINDS[kind]
            else:
                added.type, added.type_name = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    return file
