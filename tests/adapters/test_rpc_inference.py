"""Classify, Regress and MultiInference over a real server and a real channel, with TF Serving's own message classes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from serving_fakes import Bench, FakeModel, signature, spec
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    input_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from service.adapters.rpc import tensor_proto
from service.adapters.rpc.prediction import PredictionService
from service.domain.inference import CLASSIFY_METHOD, REGRESS_METHOD
from service.domain.tensors import Array, Tensors
from service.domain.versions import ModelRef

Code = grpc.StatusCode
PREDICT_METHOD = "tensorflow/serving/predict"


def example(**features: float) -> example_pb2.Example:
    made = example_pb2.Example()
    for name, value in features.items():
        made.features.feature[name].float_list.value.append(value)
    return made


def into(*examples: example_pb2.Example, context: example_pb2.Example | None = None) -> input_pb2.Input:
    made = input_pb2.Input()
    if context is None:
        made.example_list.examples.extend(examples)
    else:
        made.example_list_with_context.examples.extend(examples)
        made.example_list_with_context.context.CopyFrom(context)
    return made


ONE = into(example(age=1.5))


def ages(inputs: Tensors) -> Array:
    """A number for each example, read as a graph would."""
    read = [example_pb2.Example.FromString(one).features.feature["age"] for one in inputs["inputs"]]
    return np.array([[one.float_list.value[0]] for one in read], np.float32)


def judge(inputs: Tensors) -> dict[str, Array]:
    scores = np.concatenate([ages(inputs), -ages(inputs)], axis=1)
    return {"scores": scores, "classes": np.array([[b"old", b"young"]] * len(scores), dtype=object)}


def judging_model() -> FakeModel:
    inputs = spec("inputs", (None,), "DT_STRING")
    classes, scores = spec("classes", (None, 2), "DT_STRING"), spec("scores", (None, 2))
    outputs = spec("outputs", (None, 1))
    return FakeModel(
        {
            "serving_default": signature([inputs], [classes, scores]),
            "regress": signature([inputs], [outputs]),
            "odd": signature([inputs], [classes, scores]),
        },
        {
            "serving_default": judge,
            "regress": lambda inputs: {"outputs": ages(inputs)},
            "odd": lambda inputs: {**judge(inputs), "classes": np.full(judge(inputs)["scores"].shape, b"\xff", object)},
        },
    )


class Place:
    """A server on a free port over a judging model, and a channel to it."""

    def __init__(self) -> None:
        self.bench = Bench(keep=2)
        self.server = grpc.aio.server()
        prediction = PredictionService(self.bench.predictor)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, self.server)
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}")
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    async def classify(self, given: input_pb2.Input = ONE, **changes: Any) -> Any:
        return await self.stub.Classify(asking(classification_pb2.ClassificationRequest(input=given), **changes))

    async def regress(self, given: input_pb2.Input = ONE, **changes: Any) -> Any:
        request = asking(regression_pb2.RegressionRequest(input=given), **{"signature": "regress", **changes})
        return await self.stub.Regress(request)

    async def multi(self, *tasks: dict[str, Any], given: input_pb2.Input = ONE) -> Any:
        request = inference_pb2.MultiInferenceRequest(input=given)
        for task in tasks:
            asking(request.tasks.add(method_name=task.pop("method", CLASSIFY_METHOD)), **task)
        return await self.stub.MultiInference(request)


def asking(request: Any, name: str = "m", signature: str = "", version: int | None = None, label: str = "") -> Any:
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    return request


async def refused(call: Any) -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    for version in (2, 3):
        made.bench.publish("m", version, judging_model())
    await made.bench.look()
    await made.server.start()
    yield made
    await made.channel.close()
    await made.server.stop(0)
    await made.bench.close()


def spoken(spec: Any) -> tuple[str, int, str, str]:
    return spec.name, spec.version.value, spec.signature_name, spec.version_label


async def test_examples_are_classified(place: Place) -> None:
    response = await place.classify(into(example(age=1.5), example(age=0.5)))
    assert [[(one.label, one.score) for one in each.classes] for each in response.result.classifications] == [
        [("old", 1.5), ("young", -1.5)],
        [("old", 0.5), ("young", -0.5)],
    ]
    assert spoken(response.model_spec) == ("m", 3, "serving_default", "")


async def test_examples_are_regressed(place: Place) -> None:
    response = await place.regress(into(example(age=1.5), example(age=0.5)), version=2)
    assert [one.value for one in response.result.regressions] == [1.5, 0.5]
    assert spoken(response.model_spec) == ("m", 2, "regress", "")


async def test_a_context_is_part_of_every_example_that_does_not_say_otherwise(place: Place) -> None:
    response = await place.regress(into(example(x=1), example(age=7), context=example(age=4.5)))
    assert [one.value for one in response.result.regressions] == [4.5, 7]


async def test_several_tasks_are_done_by_one_version(place: Place) -> None:
    response = await place.multi(
        {"version": 2}, {"signature": "regress", "method": REGRESS_METHOD}, given=into(example(age=1.5), example(age=2))
    )
    first, second = response.results
    assert spoken(first.model_spec) == ("m", 2, "serving_default", "")
    assert spoken(second.model_spec) == ("m", 2, "regress", "")
    assert [each.classes[0].score for each in first.classification_result.classifications] == [1.5, 2]
    assert [one.value for one in second.regression_result.regressions] == [1.5, 2]
    assert place.bench.models.find(ModelRef("m", 2)).pins == 0


COMMON = [
    ({"name": ""}, Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
    ({"name": "n"}, Code.NOT_FOUND, "Servable not found for request: Latest(n)"),
    ({"version": 9}, Code.NOT_FOUND, "Servable not found for request: Specific(m, 9)"),
    ({"label": "l"}, Code.INVALID_ARGUMENT, "Unrecognized servable version label: l"),
    ({"signature": "s"}, Code.INVALID_ARGUMENT, "No signature was found with the name: s"),
    ({"given": into()}, Code.INVALID_ARGUMENT, "Input is empty."),
    ({"given": input_pb2.Input()}, Code.INVALID_ARGUMENT, "Input is empty."),
    ({"given": into(context=example(age=1))}, Code.INVALID_ARGUMENT, "Input is empty."),
]


@pytest.mark.parametrize("method", ["classify", "regress"])
@pytest.mark.parametrize(("changes", "code", "text"), COMMON)
async def test_errors_have_tf_servings_codes(
    place: Place, method: str, changes: dict[str, Any], code: Code, text: str
) -> None:
    assert await refused(getattr(place, method)(**changes)) == (code, text)


async def test_a_signature_that_is_none_for_it_is_refused(place: Place) -> None:
    code, said = await refused(place.classify(signature="regress"))
    assert (code, "at least one of" in said) == (Code.INVALID_ARGUMENT, True)
    code, said = await refused(place.regress(signature="serving_default"))
    assert (code, "Expected one output Tensor" in said) == (Code.INVALID_ARGUMENT, True)
    code, said = await refused(place.classify(signature="odd"))
    assert (code, "not UTF-8" in said) == (Code.INVALID_ARGUMENT, True)


async def test_without_a_model_spec_every_method_says_so(place: Place) -> None:
    for call in (
        place.stub.Classify(classification_pb2.ClassificationRequest(input=ONE)),
        place.stub.Regress(regression_pb2.RegressionRequest(input=ONE)),
    ):
        assert await refused(call) == (Code.INVALID_ARGUMENT, "Missing ModelSpec")


REGRESS = {"signature": "regress", "method": REGRESS_METHOD}


@pytest.mark.parametrize(
    ("tasks", "code", "text"),
    [
        ([], Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        ([{"name": ""}], Code.INVALID_ARGUMENT, "Found ModelSpec with an empty model name."),
        ([{}, {"name": ""}], Code.INVALID_ARGUMENT, "Found ModelSpec with an empty model name."),
        (
            [{}, {**REGRESS, "name": "n"}],
            Code.INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        ([{}, REGRESS, REGRESS], Code.INVALID_ARGUMENT, "Duplicate evaluation of signature: regress"),
        (
            [{}, {"signature": "serving_default"}],
            Code.INVALID_ARGUMENT,
            "Duplicate evaluation of signature: serving_",
        ),
        ([{"signature": "s"}], Code.INVALID_ARGUMENT, "Requested signature not found in model graph: s"),
        ([{"name": "n"}], Code.NOT_FOUND, "Servable not found for request: Latest(n)"),
        (
            [{"method": PREDICT_METHOD}],
            Code.UNIMPLEMENTED,
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
    ],
)
async def test_tasks_that_do_not_belong_together_are_refused(
    place: Place, tasks: list[dict[str, Any]], code: Code, text: str
) -> None:
    got, said = await refused(place.multi(*(dict(task) for task in tasks)))
    assert (got, said.startswith(text)) == (code, True), said


async def test_tasks_need_examples(place: Place) -> None:
    assert await refused(place.multi({}, given=into())) == (Code.INVALID_ARGUMENT, "Input is empty.")


async def test_a_classifier_can_be_asked_to_predict(place: Place) -> None:
    request = asking(predict_pb2.PredictRequest())
    rows = np.array([example(age=2.5).SerializeToString()], dtype=object)
    request.inputs["inputs"].CopyFrom(tensor_proto.encode(rows))
    response = await place.stub.Predict(request)
    assert list(response.outputs["scores"].float_val) == [2.5, -2.5]


async def test_numbers_go_out_as_blocks_where_the_operator_says_so(place: Place) -> None:
    service = PredictionService(place.bench.predictor, tensor_content=True)
    server = grpc.aio.server()
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = asking(predict_pb2.PredictRequest())
        rows = np.array([example(age=2.5).SerializeToString()], dtype=object)
        request.inputs["inputs"].CopyFrom(tensor_proto.encode(rows))
        response = await prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request)
    await server.stop(0)
    assert response.outputs["scores"].tensor_content == np.array([2.5, -2.5], np.float32).tobytes()
    assert list(response.outputs["classes"].string_val) == [b"old", b"young"]
