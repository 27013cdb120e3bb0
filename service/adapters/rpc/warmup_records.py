"""Warm-up requests as TF Serving keeps them: a TFRecord file of ``PredictionLog`` messages beside a version's graph.

Read as the doors read the same messages from the wire, and as slowly as they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from service.adapters.rpc import record_files, tensor_proto
from service.adapters.rpc.examples import serialized
from service.application.ports import Request
from service.domain.errors import InvalidInput, ModelFailed
from service.domain.tensors import DEFAULT_SIGNATURE, Signature
from service.tensorflow_protos import prediction_log_pb2

FILE = Path("assets.extra/tf_serving_warmup_requests")
_MOST_RECORDS = 1000


class WarmUpRecords:
    """Implements the warm-up port."""

    def requests(self, directory: Path, signatures: Mapping[str, Signature]) -> Iterator[Request]:
        """The requests in the file, if there is one.

        Raises:
            ModelFailed: while iterating.
        """
        file = directory / FILE
        if not file.is_file():
            return
        for number, record in enumerate(_records(file), start=1):
            if number > _MOST_RECORDS:
                raise ModelFailed(f"Number of warmup records exceeds the maximum ({_MOST_RECORDS}) at {file}")
            try:
                yield from _requests(record, signatures)
            except InvalidInput as error:
                raise ModelFailed(f"warm-up record {number} of {file} cannot be run: {error}") from error


def _records(file: Path) -> Iterator[bytes]:
    try:
        yield from record_files.records(file)
    except (record_files.BrokenRecords, OSError) as error:
        raise ModelFailed(f"{file} cannot be read as a TFRecord file: {error}") from error


def _requests(record: bytes, signatures: Mapping[str, Signature]) -> Iterator[Request]:
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise InvalidInput(f"it is no PredictionLog: {error}") from error
    match log.WhichOneof("log_type"):
        case "predict_log":
            request = log.predict_log.request
            inputs = {alias: tensor_proto.decode(alias, proto) for alias, proto in request.inputs.items()}
            yield Request(request.model_spec.signature_name or DEFAULT_SIGNATURE, inputs)
        case "classify_log":
            yield _on_examples(log.classify_log.request.model_spec, log.classify_log.request.input, signatures)
        case "regress_log":
            yield _on_examples(log.regress_log.request.model_spec, log.regress_log.request.input, signatures)
        case "multi_inference_log":
            for task in log.multi_inference_log.request.tasks:
                yield _on_examples(task.model_spec, log.multi_inference_log.request.input, signatures)
        case None:
            return
        case other:
            raise InvalidInput(f"Unsupported log_type for warmup: {other}")


def _on_examples(spec: Any, given: Any, signatures: Mapping[str, Signature]) -> Request:
    name = spec.signature_name or DEFAULT_SIGNATURE
    signature = signatures.get(name)
    if signature is None:
        raise InvalidInput(f"No signature was found with the name: {name}")
    if len(signature.inputs) != 1:
        raise InvalidInput(f"signature {name!r} takes {len(signature.inputs)} inputs, and examples are one")
    return Request(name, {next(iter(signature.inputs)): serialized(given)})
