"""``tensorflow.serving.PredictionService``: predict, classify, regress, multi-inference and metadata, each decoded,
called and encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc.aio
from google.protobuf import any_pb2

from service.adapters.rpc import tensor_proto
from service.adapters.rpc.errors import answering
from service.adapters.rpc.examples import serialized
from service.adapters.rpc.inference import write_classifications, write_regressions, write_spec
from service.adapters.rpc.predict_request import Received
from service.application.predict import Call, Predictor
from service.domain.errors import InvalidInput, NotSupported, SignatureNotFound
from service.domain.inference import (
    CLASSIFY_METHOD,
    INPUTS,
    REGRESS_METHOD,
    check_classifier,
    check_regressor,
    classifications,
    regressions,
)
from service.domain.tensors import DEFAULT_SIGNATURE, Signature, TensorSpec, select_outputs
from service.domain.versions import ModelRef
from service.tensorflow_protos import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    meta_graph_pb2,
    model_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
    types_pb2,
)

Context = grpc.aio.ServicerContext[Any, Any]

_CHECKS: Mapping[str, Callable[[Signature], None]] = {
    CLASSIFY_METHOD: check_classifier,
    REGRESS_METHOD: check_regressor,
}
_NO_SIGNATURE = "No signature was found with the name: {}"
_NOT_IN_GRAPH = "Requested signature not found in model graph: {}"
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
    """Predict, Classify, Regress, MultiInference and GetModelMetadata."""

    def __init__(self, predictor: Predictor, *, tensor_content: bool = False) -> None:
        """``tensor_content`` answers numbers as one block of bytes each instead of in typed fields."""
        self._predictor, self._tensor_content = predictor, tensor_content

    async def Predict(self, request: predict_pb2.PredictRequest, context: Context) -> predict_pb2.PredictResponse:
        """Run one signature of one version."""
        return await self.predict(Received(request), context)

    @answering
    async def predict(self, received: Received, context: Context) -> predict_pb2.PredictResponse:
        """The same, of a request whose large tensors were left in its message."""
        request = received.request
        ref, wanted = named_reference(request), tuple(request.output_filter)
        with self._predictor.call(ref, request.model_spec.signature_name, "grpc", "predict") as call:
            if wanted:
                select_outputs(call.signature.outputs, wanted)
            inputs = tensor_proto.decode_all(request.inputs, call.signature.inputs, received.contents)
            outputs = await call.run(inputs, context.time_remaining())
            response = predict_pb2.PredictResponse()
            for alias, array in (select_outputs(outputs, wanted) if wanted else outputs).items():
                tensor_proto.write(array, response.outputs[alias], as_content=self._tensor_content)
            write_spec(call.version, call.signature_name, response.model_spec)
        return response

    @answering
    async def Classify(
        self, request: classification_pb2.ClassificationRequest, context: Context
    ) -> classification_pb2.ClassificationResponse:
        """The classes and scores of each example."""
        response = classification_pb2.ClassificationResponse()
        with self._infer(
            named_reference(request), request.model_spec.signature_name, "classify", _NO_SIGNATURE
        ) as call:
            examples = serialized(request.input)
            check_classifier(call.signature)
            outputs = await call.run({INPUTS: examples}, context.time_remaining())
            write_classifications(classifications(outputs, len(examples)), response.result)
            write_spec(call.version, call.signature_name, response.model_spec)
        return response

    @answering
    async def Regress(
        self, request: regression_pb2.RegressionRequest, context: Context
    ) -> regression_pb2.RegressionResponse:
        """The value of each example."""
        response = regression_pb2.RegressionResponse()
        ref, name = named_reference(request), request.model_spec.signature_name
        with self._infer(ref, name, "regress", _NO_SIGNATURE) as call:
            examples = serialized(request.input)
            check_regressor(call.signature)
            outputs = await call.run({INPUTS: examples}, context.time_remaining())
            write_regressions(regressions(outputs, len(examples)), response.result)
            write_spec(call.version, call.signature_name, response.model_spec)
        return response

    @answering
    async def MultiInference(
        self, request: inference_pb2.MultiInferenceRequest, context: Context
    ) -> inference_pb2.MultiInferenceResponse:
        """Several classifications and regressions of the same examples by one version, which the first task names."""
        if not request.tasks:
            raise InvalidInput("ModelSpec has no name specified.")
        response = inference_pb2.MultiInferenceResponse()
        with ExitStack() as held:
            # All are found before anything is awaited, and so in the same serving map.
            calls: list[Call] = []
            for task in request.tasks:
                ref, name = _task(task, calls)
                calls.append(held.enter_context(self._infer(ref, name, "multi_inference", _NOT_IN_GRAPH)))
                _check(task, calls[-1].signature)
            examples = serialized(request.input)
            for task, call in zip(request.tasks, calls, strict=True):
                outputs = await call.run({INPUTS: examples}, context.time_remaining())
                result = response.results.add()
                write_spec(call.version, call.signature_name, result.model_spec)
                if task.method_name == CLASSIFY_METHOD:
                    write_classifications(classifications(outputs, len(examples)), result.classification_result)
                else:
                    write_regressions(regressions(outputs, len(examples)), result.regression_result)
        return response

    @contextmanager
    def _infer(self, ref: ModelRef, signature: str, api: str, not_found: str) -> Iterator[Call]:
        """Hold a version for one inference from examples, which has its own words for a signature that is not there."""
        try:
            with self._predictor.call(ref, signature, "grpc", api) as call:
                yield call
        except SignatureNotFound as error:
            raise InvalidInput(not_found.format(error.signature)) from error

    @answering
    async def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: Context
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


def _task(task: inference_pb2.InferenceTask, before: Collection[Call]) -> tuple[ModelRef, str]:
    """The version and signature of one task among several. Raises: InvalidInput."""
    ref = reference(task) if task.HasField("model_spec") else ModelRef("")
    if not ref.model:
        raise InvalidInput("Found ModelSpec with an empty model name.")
    name = task.model_spec.signature_name or DEFAULT_SIGNATURE
    for call in before:
        if call.version.model != ref.model:
            raise InvalidInput("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        if call.signature_name == name:
            raise InvalidInput(f"Duplicate evaluation of signature: {name}")
        ref = ModelRef(ref.model, call.version.version)
    return ref, name


def _check(task: inference_pb2.InferenceTask, signature: Signature) -> None:
    """Raises: NotSupported, tasks are not of this kind; InvalidInput, the signature is none for it."""
    check = _CHECKS.get(task.method_name)
    if check is None:
        raise NotSupported(f"Unsupported signature method_name: {task.method_name}")
    check(signature)


def _definition(signature: Signature) -> meta_graph_pb2.SignatureDef:
    definition = meta_graph_pb2.SignatureDef(method_name=signature.method)
    for alias, spec in signature.inputs.items():
        definition.inputs[alias].CopyFrom(_tensor_info(spec))
    for alias, spec in signature.outputs.items():
        definition.outputs[alias].CopyFrom(_tensor_info(spec))
    for alias, array in signature.defaults.items():
        tensor_proto.write(array, definition.defaults[alias])
    return definition


def _tensor_info(spec: TensorSpec) -> meta_graph_pb2.TensorInfo:
    # A type that this TensorFlow has no name for is known by its number.
    number = int(spec.dtype) if spec.dtype.isdecimal() else types_pb2.DataType.Value(spec.dtype)
    info = meta_graph_pb2.TensorInfo(name=spec.graph_name, dtype=number)
    info.tensor_shape.SetInParent()
    if spec.shape is None:
        info.tensor_shape.unknown_rank = True
    for size in spec.shape or ():
        info.tensor_shape.dim.add(size=-1 if size is None else size)
    return info
