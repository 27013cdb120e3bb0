"""``tensorflow.serving.PredictionService``: predict and metadata, decoded, called and encoded."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    model_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from service.adapters.rpc import tensor_proto
from service.adapters.rpc.errors import answering
from service.application.predict import Predictor
from service.domain.errors import InvalidInput
from service.domain.tensors import Signature, TensorSpec, select_outputs
from service.domain.versions import ModelRef

_SIGNATURES = "signature_def"


def reference(request: Any) -> ModelRef:
    """What a request's ``model_spec`` names. Raises: InvalidInput."""
    if not request.HasField("model_spec"):
        raise InvalidInput("Missing ModelSpec")
    spec: model_pb2.ModelSpec = request.model_spec
    which = spec.WhichOneof("version_choice")
    return ModelRef(
        spec.name,
        spec.version.value if which == "version" else None,
        spec.version_label if which == "version_label" else None,
    )


def named_reference(request: Any) -> ModelRef:
    """The same, refusing an empty name. Raises: InvalidInput."""
    ref = reference(request)
    if not ref.model:
        raise InvalidInput("ModelSpec has no name specified.")
    return ref


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    @answering
    async def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> predict_pb2.PredictResponse:
        """Run one signature of one version."""
        ref = named_reference(request)
        with self._predictor.call(ref, request.model_spec.signature_name, "grpc") as call:
            select_outputs(call.signature.outputs, tuple(request.output_filter))
            inputs = {alias: tensor_proto.decode(alias, proto) for alias, proto in request.inputs.items()}
            outputs = await call.run(inputs, context.time_remaining())
            response = predict_pb2.PredictResponse()
            for alias, array in select_outputs(outputs, tuple(request.output_filter)).items():
                response.outputs[alias].CopyFrom(tensor_proto.encode(array))
            response.model_spec.name = ref.model
            response.model_spec.version.value = call.version.version
            response.model_spec.signature_name = call.signature_name
            return response

    @answering
    async def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """The signatures of one version."""
        ref = named_reference(request)
        if not request.metadata_field:
            raise InvalidInput("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURES:
                raise InvalidInput(f"Metadata field {field} is not supported")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        with self._predictor.lease(ref) as online:
            for name, endpoint in online.endpoints.items():
                signatures.signature_def[name].CopyFrom(_definition(endpoint.signature))
            response.model_spec.name = ref.model
            response.model_spec.version.value = online.id.version
        packed = any_pb2.Any()
        packed.Pack(signatures)
        response.metadata[_SIGNATURES].CopyFrom(packed)
        return response


def _definition(signature: Signature) -> meta_graph_pb2.SignatureDef:
    definition = meta_graph_pb2.SignatureDef(method_name=signature.method)
    for alias, spec in signature.inputs.items():
        definition.inputs[alias].CopyFrom(_tensor_info(spec))
    for alias, spec in signature.outputs.items():
        definition.outputs[alias].CopyFrom(_tensor_info(spec))
    return definition


def _tensor_info(spec: TensorSpec) -> meta_graph_pb2.TensorInfo:
    # A type that this TensorFlow has no name for is known by its number.
    number = int(spec.dtype) if spec.dtype.isdecimal() else types_pb2.DataType.Value(spec.dtype)
    info = meta_graph_pb2.TensorInfo(name=spec.graph_name, dtype=number)
    if spec.shape is None:
        info.tensor_shape.unknown_rank = True
    for size in spec.shape or ():
        info.tensor_shape.dim.add(size=-1 if size is None else size)
    return info
