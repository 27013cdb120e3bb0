"""TF Serving's gRPC services over a real server and a real channel, with its own message classes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from serving_fakes import Bench, FakeModel, Gate, scaling_model, signature, spec
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from service.adapters.rpc import tensor_proto
from service.adapters.rpc.model_status import ModelStatusService
from service.adapters.rpc.prediction import PredictionService
from service.adapters.rpc.server import RpcServer
from service.domain.errors import InvalidInput, ModelFailed, Overloaded
from service.domain.tensors import Array, Tensors
from service.domain.versions import ModelRef

Code = grpc.StatusCode
ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


class Place:
    """A server on a free port over fakes, and a channel to it."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.server = RpcServer(
            PredictionService(self.bench.predictor),
            ModelStatusService(self.bench.models, self.bench.reloads),
            "127.0.0.1:0",
        )
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    async def predict(self, name: str = "m", timeout: float | None = 20, **changes: Any) -> Any:
        return await self.prediction.Predict(request(name, **changes), timeout=timeout)


def request(
    name: str = "m", inputs: dict[str, Array] | None = None, version: int | None = None, **fields: Any
) -> predict_pb2.PredictRequest:
    made = predict_pb2.PredictRequest(output_filter=fields.pop("output_filter", ()))
    made.model_spec.name = name
    made.model_spec.signature_name = fields.pop("signature", "")
    if version is not None:
        made.model_spec.version.value = version
    if "label" in fields:
        made.model_spec.version_label = fields["label"]
    for alias, array in ({"x": ROWS} if inputs is None else inputs).items():
        made.inputs[alias].CopyFrom(tensor_proto.encode(array))
    return made


async def refused(call: Any) -> tuple[Code, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


def model_that(function: Any, outputs: tuple[str, ...] = ("y",)) -> FakeModel:
    x = spec("x", (None, 3))
    answer = signature([x], [spec(alias, (None, 3)) for alias in outputs])
    return FakeModel({"serving_default": answer}, {"serving_default": function})


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    made = Place()
    made.bench.publish("m", 3, scaling_model(2))
    await made.bench.look()
    await made.server.start()
    yield made
    await made.channel.close()
    await made.server.stop(0)
    await made.bench.close()


# --- Predict ----------------------------------------------------------------------------------------------------------


async def test_a_prediction_names_the_version_and_signature_that_answered(place: Place) -> None:
    for changes in ({}, {"version": 3}, {"signature": "serving_default"}):
        response = await place.predict(**changes)
        assert tensor_proto.decode("y", response.outputs["y"]).tolist() == (ROWS * 2 + 1).tolist()
        assert response.outputs.keys() == {"y"}
        assert (response.model_spec.name, response.model_spec.version.value) == ("m", 3)
        assert response.model_spec.signature_name == "serving_default"
    assert list(response.outputs["y"].float_val), "typed fields, as TF Serving writes them"


async def test_tensor_content_is_read_too(place: Place) -> None:
    message = request(inputs={})
    message.inputs["x"].dtype = types_pb2.DT_FLOAT
    message.inputs["x"].tensor_content = ROWS.tobytes()
    for size in ROWS.shape:
        message.inputs["x"].tensor_shape.dim.add(size=size)
    response = await place.prediction.Predict(message)
    assert tensor_proto.decode("y", response.outputs["y"]).tolist() == (ROWS * 2 + 1).tolist()


async def test_outputs_can_be_chosen(place: Place) -> None:
    two = model_that(lambda inputs: {"y": inputs["x"], "z": inputs["x"] * 2}, ("y", "z"))
    place.bench.publish("two", 1, two)
    await place.bench.look()
    assert (await place.predict("two")).outputs.keys() == {"y", "z"}
    assert (await place.predict("two", output_filter=["z"])).outputs.keys() == {"z"}


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"name": ""}, Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        ({"name": "n"}, Code.NOT_FOUND, "Servable not found for request: Latest(n)"),
        ({"version": 9}, Code.NOT_FOUND, "Servable not found for request: Specific(m, 9)"),
        ({"version": 0}, Code.NOT_FOUND, "Specific(m, 0)"),
        ({"version": -1}, Code.NOT_FOUND, "Specific(m, -1)"),
        ({"label": "l"}, Code.INVALID_ARGUMENT, "Unrecognized servable version label: l"),
        ({"signature": "s"}, Code.FAILED_PRECONDITION, 'Serving signature key "s" not found.'),
        ({"output_filter": ["z"]}, Code.INVALID_ARGUMENT, "output tensor alias not found in signature: z"),
        ({"output_filter": ["y", "y"]}, Code.INVALID_ARGUMENT, "duplicate output tensor alias: y"),
        ({"inputs": {}}, Code.INVALID_ARGUMENT, "Missing but required: {x}"),
        ({"inputs": {"x": ROWS, "z": ROWS}}, Code.INVALID_ARGUMENT, "2!=1 len({x,z}) != len({x}). Sent extra: {z}"),
        (
            {"inputs": {"z": ROWS}},
            Code.INVALID_ARGUMENT,
            "Signature input alias: x(feed name: x:0) not found in request",
        ),
        ({"inputs": {"x": ROWS.astype(np.float64)}}, Code.INVALID_ARGUMENT, "expects DT_FLOAT but got DT_DOUBLE"),
        ({"inputs": {"x": ROWS[:, :2]}}, Code.INVALID_ARGUMENT, "expects shape [?,3] but got [2, 2]"),
        ({"inputs": {"x": np.array(["a"])}}, Code.INVALID_ARGUMENT, "DT_STRING"),
    ],
)
async def test_errors_have_tf_servings_codes(place: Place, changes: dict[str, Any], code: Code, text: str) -> None:
    got, said = await refused(place.predict(**changes))
    assert (got, text in said) == (code, True), said


async def test_without_a_model_spec_every_method_says_so(place: Place) -> None:
    for call in (
        place.prediction.Predict(predict_pb2.PredictRequest()),
        place.prediction.GetModelMetadata(get_model_metadata_pb2.GetModelMetadataRequest()),
        place.model.GetModelStatus(get_model_status_pb2.GetModelStatusRequest()),
    ):
        assert await refused(call) == (Code.INVALID_ARGUMENT, "Missing ModelSpec")


@pytest.mark.parametrize("dims", [[-1], [2**62, 2**62], [1] * 65, [2**40], [0, 2**62, 2**62]])
@pytest.mark.parametrize("dtype", [types_pb2.DT_FLOAT, types_pb2.DT_HALF, types_pb2.DT_STRING, types_pb2.DT_COMPLEX64])
async def test_a_tensor_that_cannot_be_is_the_callers_fault(place: Place, dims: list[int], dtype: Any) -> None:
    message = request(inputs={})
    message.inputs["x"].dtype = dtype
    message.inputs["x"].scomplex_val.append(1)
    message.inputs["x"].half_val.append(-1)
    for size in dims:
        message.inputs["x"].tensor_shape.dim.add(size=size)
    code, said = await refused(place.prediction.Predict(message))
    assert (code, "tensor parsing error: x" in said) == (Code.INVALID_ARGUMENT, True)


async def test_a_message_that_cannot_be_read_is_refused_and_the_next_one_answered(place: Place) -> None:
    raw = place.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    await refused(raw(b"\xff\xff\xff"))
    assert (await place.predict()).outputs


async def test_a_signature_without_inputs_is_answered_here(place: Place) -> None:
    seven = {"serving_default": lambda inputs: {"y": np.array(7, np.float32)}}
    place.bench.publish("constant", 1, FakeModel({"serving_default": signature([], [spec("y", ())])}, seven))
    await place.bench.look()
    response = await place.predict("constant", inputs={})
    assert tensor_proto.decode("y", response.outputs["y"]) == 7


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelFailed("a kernel died"), Code.INTERNAL),
        (Overloaded("full"), Code.UNAVAILABLE),
        (KeyError("y"), Code.INTERNAL),
    ],
)
async def test_what_breaks_inside_has_the_code_of_its_kind(place: Place, error: Exception, code: Code) -> None:
    def run(inputs: Tensors) -> dict[str, Array]:
        if len(inputs["x"]) == 2 and inputs["x"][0, 1] == 1:
            raise error
        return {"y": inputs["x"]}

    place.bench.publish("breaks", 1, model_that(run))
    await place.bench.look()
    assert (await refused(place.predict("breaks")))[0] == code
    assert (await place.predict("breaks", inputs={"x": ROWS[:1]})).outputs, "and the next one is answered"


async def test_who_is_told_to_come_back_is_told_when(place: Place) -> None:
    """In the trailer that gRPC's own retries go by."""

    def run(inputs: Tensors) -> dict[str, Array]:
        raise Overloaded("full", 2.5) if len(inputs["x"]) == 1 else InvalidInput("no")

    place.bench.publish("full", 1, model_that(run))
    await place.bench.look()
    for rows, pushed in ((1, "2500"), (2, None)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await place.predict("full", inputs={"x": ROWS[:rows]})
        assert dict(caught.value.trailing_metadata() or ()).get("grpc-retry-pushback-ms") == pushed


async def test_a_bug_in_a_method_is_an_internal_error_with_a_number(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.bench.publish("odd", 1, model_that(lambda inputs: {"y": np.array([{"no": "bytes"}], dtype=object)}))
    await place.bench.look()
    code, said = await refused(place.predict("odd"))
    assert (code, said.startswith("internal error, request id ")) == (Code.INTERNAL, True)
    assert said.rsplit(" ", 1)[-1] in caplog.text


@pytest.mark.parametrize("letter", ["x", "é", "𝄞"])
async def test_a_long_error_reaches_the_client_cut(place: Place, letter: str) -> None:
    """A status longer than a trailer may be would reach it as a broken call, whatever the alphabet."""
    code, said = await refused(place.predict(signature=letter * 100_000))
    assert code == Code.FAILED_PRECONDITION
    assert said.endswith("...TRUNCATED")
    assert len(said.encode()) <= 1024 + len("...TRUNCATED")


@pytest.fixture
async def held(place: Place) -> AsyncIterator[Gate]:
    """A live model, ``held``, whose runs stand before this gate."""
    model = scaling_model()
    place.bench.publish("held", 1, model)
    await place.bench.look()
    gate = model.run_gate = Gate()
    yield gate
    gate.open()


async def test_a_deadline_that_passes_is_exceeded_and_lets_the_version_go(place: Place, held: Gate) -> None:
    code, _ = await refused(place.predict("held", timeout=0.2))
    assert code == Code.DEADLINE_EXCEEDED
    online = place.bench.models.find(ModelRef("held"))
    await place.bench.until(lambda: online.pins == 0)


async def test_a_client_that_leaves_lets_the_version_go(place: Place, held: Gate) -> None:
    call = place.prediction.Predict(request("held"))
    await held.arrival()
    online = place.bench.models.find(ModelRef("held"))
    assert online.pins == 1
    call.cancel()
    await place.bench.until(lambda: online.pins == 0)
    await place.bench.until(lambda: place.bench.observer.events[-1][-1] == "Cancelled")


async def test_calls_at_the_same_time_get_their_own_answers(place: Place) -> None:
    async def client(number: int) -> None:
        x = np.full((1 + number % 3, 3), number, np.float32)
        response = await place.predict(inputs={"x": x})
        assert tensor_proto.decode("y", response.outputs["y"]).tolist() == (x * 2 + 1).tolist()

    await asyncio.gather(*(client(number) for number in range(60)))


async def test_a_message_of_64_megabytes_goes_both_ways(place: Place) -> None:
    x = np.arange(2**24, dtype=np.float32).reshape(8, -1)
    wide = {"serving_default": signature([spec("x", (None, None))], [spec("y", (None, None))])}
    place.bench.publish("large", 1, FakeModel(wide, {"serving_default": lambda inputs: {"y": inputs["x"] * 2}}))
    await place.bench.look()
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{place.server.port}", options=options) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        asked = request("large", inputs={})
        asked.inputs["x"].CopyFrom(tensor_proto.encode(x))
        assert asked.ByteSize() > 64_000_000
        response = await stub.Predict(asked, timeout=60)
    np.testing.assert_array_equal(tensor_proto.decode("y", response.outputs["y"]), x * 2)


# --- Metadata and status ----------------------------------------------------------------------------------------------


def metadata_request(name: str = "m", fields: tuple[str, ...] = ("signature_def",)) -> Any:
    made = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    made.model_spec.name = name
    return made


async def test_the_metadata_hold_every_signature(place: Place) -> None:
    response = await place.prediction.GetModelMetadata(metadata_request())
    assert (response.model_spec.name, response.model_spec.version.value) == ("m", 3)
    assert response.model_spec.signature_name == ""
    packed = response.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(signatures)
    assert signatures.signature_def.keys() == {"serving_default", "features"}
    x = signatures.signature_def["serving_default"].inputs["x"]
    assert (x.name, x.dtype, [dim.size for dim in x.tensor_shape.dim]) == ("x:0", types_pb2.DT_FLOAT, [-1, 3])


async def test_an_unknown_rank_and_an_unknown_type_do_not_break_the_metadata(place: Place) -> None:
    odd = FakeModel(
        {"serving_default": signature([spec("x", None)], [spec("y", None, "999"), spec("z", (), "DT_BFLOAT16")])},
        {"serving_default": lambda inputs: {}},
    )
    place.bench.publish("odd", 1, odd)
    await place.bench.look()
    response = await place.prediction.GetModelMetadata(metadata_request("odd"))
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    definition = signatures.signature_def["serving_default"]
    assert definition.inputs["x"].tensor_shape.unknown_rank
    assert definition.outputs["z"].dtype == types_pb2.DT_BFLOAT16
    assert definition.outputs["y"].dtype == 999


@pytest.mark.parametrize(
    ("asked", "code", "text"),
    [
        (metadata_request(fields=()), Code.INVALID_ARGUMENT, "must specify at least one metadata_field"),
        (metadata_request(fields=("other",)), Code.INVALID_ARGUMENT, "Metadata field other is not supported"),
        (metadata_request(""), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        (metadata_request("n"), Code.NOT_FOUND, "Servable not found for request: Latest(n)"),
    ],
)
async def test_metadata_that_cannot_be_given_are_refused(place: Place, asked: Any, code: Code, text: str) -> None:
    got, said = await refused(place.prediction.GetModelMetadata(asked))
    assert (got, text in said) == (code, True)


async def status(
    place: Place, name: str, version: int | None = None, label: str = ""
) -> list[tuple[int, str, int, str]]:
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = name
    if version is not None:
        asked.model_spec.version.value = version
    if label:
        asked.model_spec.version_label = label
    response = await place.model.GetModelStatus(asked)
    state = get_model_status_pb2.ModelVersionStatus.State
    return [
        (one.version, state.Name(one.state), one.status.error_code, one.status.error_message)
        for one in response.model_version_status
    ]


async def test_the_status_lists_versions_newest_first_with_their_errors(place: Place) -> None:
    place.bench.publish("m", 4, problem="half copied")
    await place.bench.look()
    both = [(4, "END", Code.UNKNOWN.value[0], "half copied"), (3, "AVAILABLE", 0, "")]
    assert await status(place, "m") == both
    assert await status(place, "m", label="whatever") == both
    assert await status(place, "m", 3) == both[1:]


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("n", None, "Could not find any versions of model n"),
        ("n", 9, "Could not find any versions of model n"),
        ("", None, "Could not find any versions of model "),
        ("m", 9, "Could not find version 9 of model m"),
    ],
)
async def test_the_status_of_what_is_not_there_is_not_found(
    place: Place, name: str, version: int | None, text: str
) -> None:
    assert await refused(status(place, name, version)) == (Code.NOT_FOUND, text)


# --- The server -------------------------------------------------------------------------------------------------------


async def test_health_follows_readiness(place: Place) -> None:
    health = health_pb2_grpc.HealthStub(place.channel)
    for ready in (False, True, False):
        await place.server.serving(ready)
        qualified = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
        for name in ("", *qualified, *(one.rpartition(".")[2] for one in qualified)):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == (
                health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
            )
    assert (await refused(health.Check(health_pb2.HealthCheckRequest(service="nobody"))))[0] == Code.NOT_FOUND


async def test_a_new_server_is_not_healthy_before_it_is_told_so(place: Place) -> None:
    answer = await health_pb2_grpc.HealthStub(place.channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_reflection_lists_the_services(place: Place) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(place.channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    names = set()
    async for answer in stub.ServerReflectionInfo(iter([asked])):
        names |= {one.name for one in answer.list_services_response.service}
    assert names == {
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_a_method_that_is_not_served_is_unimplemented(place: Place) -> None:
    """TensorFlow Serving has the messages of a streamed prediction, and no such method."""
    for method in ("PredictStreamed", "Nothing"):
        raw = place.channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
        assert (await refused(raw(b"")))[0] == Code.UNIMPLEMENTED


async def test_a_second_server_on_the_same_port_is_refused(place: Place) -> None:
    """By default gRPC would share the port, and take half of the calls without a word."""
    with pytest.raises(OSError, match="gRPC cannot listen on"):
        RpcServer(
            PredictionService(place.bench.predictor),
            ModelStatusService(place.bench.models, place.bench.reloads),
            f"127.0.0.1:{place.server.port}",
        )


async def test_stopping_finishes_what_was_accepted(place: Place, held: Gate) -> None:
    call = asyncio.ensure_future(place.predict("held"))
    await held.arrival()
    stopping = asyncio.create_task(place.server.stop(20))
    await asyncio.sleep(0)
    held.open()
    assert (await call).outputs
    await stopping
