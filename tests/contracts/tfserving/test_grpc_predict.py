"""2.1 to 2.4: Predict over gRPC."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from contract_client import CALL_S, Target, arrays, predict_request, rejected, same
from tensorflow import make_ndarray, make_tensor_proto
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2

INVALID = grpc.StatusCode.INVALID_ARGUMENT
MISSING = grpc.StatusCode.NOT_FOUND
TYPES = (
    "float",
    "double",
    "half",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "string",
    "complex64",
)
FIELDS = {
    "half": "half_val",
    "float": "float_val",
    "double": "double_val",
    "int8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "int64": "int64_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "bool": "bool_val",
    "string": "string_val",
    "complex64": "scomplex_val",
}


def typed(array: np.ndarray[Any, Any]) -> tensor_pb2.TensorProto:
    """An array in the typed field of its type."""
    proto = make_tensor_proto(array)
    name = types_pb2.DataType.Name(proto.dtype).removeprefix("DT_").lower()
    field = FIELDS[name]
    values: Any = array.ravel()
    if name == "half":
        values = values.view(np.uint16)
    elif name == "complex64":
        values = values.view(np.float32)
    proto.tensor_content = b""
    proto.ClearField(field)
    getattr(proto, field).extend(values.tolist())
    return proto


def tensor(dtype: int, shape: tuple[int, ...], **fields: Any) -> tensor_pb2.TensorProto:
    """A message as a client might write it by hand."""
    proto = tensor_pb2.TensorProto(dtype=dtype, **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


# 2.3 values


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("way", ["made by TensorFlow", "typed field"])
def test_every_type(target: Target, dtype: str, way: str) -> None:
    """2.3: each type comes back as it was, from ``tensor_content`` and from its typed field."""
    answer = target.answer(f"identity-{dtype}")
    x = answer.inputs["x"]
    proto = typed(x) if way == "typed field" else make_tensor_proto(x)
    said = target.predict("identity", {"x": proto}, signature_name=dtype)
    same(make_ndarray(said.outputs["y"]), answer.output)


@pytest.mark.parametrize("dtype", TYPES)
def test_typed_fields_out(target: Target, dtype: str) -> None:
    """2.3: without the flag for ``tensor_content`` values are in the typed fields."""
    answer = target.answer(f"identity-{dtype}")
    said = target.predict("identity", answer.inputs, signature_name=dtype).outputs["y"]
    assert not said.tensor_content
    assert len(getattr(said, FIELDS[dtype])) == answer.output.size * (2 if dtype == "complex64" else 1)


def test_bfloat16(target: Target) -> None:
    """2.3: bfloat16 is in ``half_val`` too."""
    proto = tensor(types_pb2.DT_BFLOAT16, (3,), half_val=[0x3F80, 0xC000, 0x7F80])
    said = target.predict("identity", {"x": proto}, signature_name="bfloat16").outputs["y"]
    assert make_ndarray(said).astype(np.float32).tolist() == [1.0, -2.0, float("inf")]


SHORT = [
    ("last value repeated", tensor(types_pb2.DT_FLOAT, (4,), float_val=[1, 2]), [1, 2, 2, 2]),
    ("one value for all", tensor(types_pb2.DT_FLOAT, (2, 2), float_val=[5]), [[5, 5], [5, 5]]),
    ("none are zeros", tensor(types_pb2.DT_FLOAT, (2,)), [0, 0]),
    ("surplus ignored", tensor(types_pb2.DT_FLOAT, (2,), float_val=[1, 2, 3]), [1, 2]),
    ("no shape is a scalar", tensor(types_pb2.DT_FLOAT, (), float_val=[7]), 7),
    ("no rows", tensor(types_pb2.DT_FLOAT, (0, 3)), np.zeros((0, 3))),
]


@pytest.mark.parametrize(("proto", "expected"), [pytest.param(*case[1:], id=f"2.3 {case[0]}") for case in SHORT])
def test_short_typed_fields(target: Target, proto: tensor_pb2.TensorProto, expected: Any) -> None:
    """2.3: as TensorFlow reads a TensorProto."""
    said = target.predict("identity", {"x": proto}, signature_name="float").outputs["y"]
    same(make_ndarray(said), np.array(expected, np.float32))


def test_short_strings(target: Target) -> None:
    """2.3: the same for strings."""
    said = target.predict(
        "identity", {"x": tensor(types_pb2.DT_STRING, (3,), string_val=[b"a", b"b"])}, signature_name="string"
    )
    assert list(said.outputs["y"].string_val) == [b"a", b"b", b"b"]


def test_content_wins(target: Target) -> None:
    """2.3: where both are given ``tensor_content`` counts."""
    content = np.array([1, 2], np.float32).tobytes()
    proto = tensor(types_pb2.DT_FLOAT, (2,), float_val=[8, 9], tensor_content=content)
    said = target.predict("identity", {"x": proto}, signature_name="float").outputs["y"]
    same(make_ndarray(said), np.array([1, 2], np.float32))


BROKEN = [
    ("content too short", tensor(types_pb2.DT_FLOAT, (2,), tensor_content=b"\0" * 7)),
    ("content too long", tensor(types_pb2.DT_FLOAT, (2,), tensor_content=b"\0" * 9)),
    ("no type", tensor(types_pb2.DT_INVALID, (1,), float_val=[1])),
    ("unknown type", tensor(999, (1,), float_val=[1])),
    ("negative size", tensor(types_pb2.DT_FLOAT, (-1,), float_val=[1])),
    ("more elements than can be counted", tensor(types_pb2.DT_FLOAT, (1 << 40, 1 << 40), float_val=[1])),
    ("a resource", tensor(types_pb2.DT_RESOURCE, (1,))),
]


@pytest.mark.parametrize("proto", [pytest.param(proto, id=f"2.4 {name}") for name, proto in BROKEN])
def test_tensors_that_cannot_be_read(target: Target, proto: tensor_pb2.TensorProto) -> None:
    """2.4: an undecodable tensor."""
    with rejected(INVALID):
        target.predict("identity", {"x": proto}, signature_name="float")


def test_what_a_broken_tensor_is_called(target: Target) -> None:
    """2.4: by its alias."""
    proto = tensor(types_pb2.DT_FLOAT, (2,), tensor_content=b"\0")
    with rejected(INVALID, "tensor parsing error: x"):
        target.predict("identity", {"x": proto}, signature_name="float")


@pytest.mark.parametrize("name", ["half-2", "half-rows"])
def test_one_input(target: Target, name: str) -> None:
    """2.3: a plain predict, of few rows and of many."""
    answer = target.answer(name)
    same(arrays(target.predict("half", answer.inputs).outputs)["y"], answer.output)


@pytest.mark.parametrize("name", ["many", "many-rows"])
def test_many(target: Target, name: str) -> None:
    """2.3: several inputs, several outputs, all of them without a filter."""
    answer = target.answer(name)
    said = arrays(target.predict("many", answer.inputs).outputs)
    assert said.keys() == answer.outputs.keys()
    for alias, expected in answer.outputs.items():
        same(said[alias], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("any-rank", "any_rank"),
        ("any-rank-scalar", "any_rank"),
        ("table", "table"),
        ("fixed", "fixed"),
        ("scalar-in", "scalar_in"),
        ("scalar-out", "scalar_out"),
        ("scalar-among", "scalar_among"),
        ("uneven", "uneven"),
        ("doubled", "doubled"),
        ("product", "product"),
        ("broadcast", "sum"),
    ],
)
def test_every_shape(target: Target, name: str, signature: str) -> None:
    """2.3: nothing need be a batch."""
    answer = target.answer(name)
    said = arrays(target.predict("shapes", answer.inputs, signature_name=signature).outputs)
    for alias, expected in answer.outputs.items():
        same(said[alias], expected, rtol=1e-6)


def test_no_input(target: Target) -> None:
    """1.5: signatures without inputs are reachable by gRPC only."""
    said = target.predict("shapes", {}, signature_name="no_input")
    same(make_ndarray(said.outputs["answer"]), target.answer("no-input").output)


@pytest.mark.parametrize(("name", "signature"), [("words", ""), ("words-back", "back")])
def test_string_tables(target: Target, name: str, signature: str) -> None:
    """2.3: a model with an asset and tables to initialise."""
    answer = target.answer(name)
    said = arrays(target.predict("words", answer.inputs, signature_name=signature).outputs)
    for alias, expected in answer.outputs.items():
        same(said[alias], expected)


@pytest.mark.parametrize(
    ("name", "signature"), [("strings", ""), ("echo", "echo"), ("picture", "picture"), ("text-table", "table")]
)
def test_strings(target: Target, name: str, signature: str) -> None:
    """2.3: bytes are bytes here, UTF-8 or not, and no alias changes them."""
    answer = target.answer(name)
    said = arrays(target.predict("strings", answer.inputs, signature_name=signature).outputs)
    for alias, expected in answer.outputs.items():
        same(said[alias], expected)


@pytest.mark.parametrize("signature", ["serving_default", "regress", "predict"])
def test_predict_on_any_method(target: Target, signature: str) -> None:
    """2.3: Predict takes classify and regress signatures too; their method is not checked."""
    answer = target.answer(f"examples-{signature}")
    said = arrays(target.predict("examples", answer.inputs, signature_name=signature).outputs)
    for alias, expected in answer.outputs.items():
        same(said[alias], expected)


def test_defaults(target: Target) -> None:
    """2.4: an input with a default in the signature need not be sent."""
    answer = target.answer("defaults")
    without = {"a": answer.inputs["a"]}
    same(arrays(target.predict("defaults", without).outputs)["y"], answer.output)
    given = {"a": answer.inputs["a"], "b": np.array(0, np.float32)}
    same(arrays(target.predict("defaults", given).outputs)["y"], answer.inputs["a"])


def test_defaults_are_for_some(target: Target) -> None:
    """2.4: an input without one must still be sent."""
    with rejected(INVALID, "Signature input alias: a", "not found in request and no default value provided"):
        target.predict("defaults", {"b": np.array(0, np.float32)})


# 2.3 model_spec and output_filter


@pytest.mark.parametrize(
    ("spec", "version"),
    [
        pytest.param({}, 2, id="2.3 newest ready"),
        pytest.param({"version": 1}, 1, id="2.3 version"),
        pytest.param({"version_label": "stable"}, 1, id="2.3 label"),
        pytest.param({"version_label": "canary"}, 2, id="2.3 other label"),
    ],
)
def test_model_spec_of_the_answer(target: Target, spec: dict[str, Any], version: int) -> None:
    """2.3: the name asked for, the version used, the signature spelt out, and no label."""
    answer = target.answer(f"half-{version}")
    said = target.predict("half", answer.inputs, **spec)
    same(arrays(said.outputs)["y"], answer.output)
    assert said.model_spec.name == "half"
    assert said.model_spec.version.value == version
    assert said.model_spec.signature_name == "serving_default"
    assert said.model_spec.WhichOneof("version_choice") == "version"


def test_signature_of_the_answer(target: Target) -> None:
    """2.3: a signature that was named is the one in the answer."""
    answer = target.answer("other")
    said = target.predict("shapes", answer.inputs, signature_name="other")
    assert said.model_spec.signature_name == "other"
    same(arrays(said.outputs)["y"], answer.output)


@pytest.mark.parametrize("wanted", [["total"], ["name", "scaled"], ["scaled", "name", "total"]])
def test_output_filter(target: Target, wanted: list[str]) -> None:
    """2.3: only the outputs asked for, in any order."""
    answer = target.answer("many")
    said = arrays(target.predict("many", answer.inputs, output_filter=wanted).outputs)
    assert said.keys() == set(wanted)
    for alias, value in said.items():
        same(value, answer.outputs[alias])


# 2.4 errors

X = {"x": np.array([1.0], np.float32)}
ERRORS = [
    ("unknown model", ("x", X), {}, MISSING, "Servable not found for request: Latest(x)"),
    ("unknown version", ("half", X), {"version": 99}, MISSING, "Servable not found for request: Specific(half, 99)"),
    ("unknown label", ("half", X), {"version_label": "l"}, INVALID, "Unrecognized servable version label: l"),
    ("empty name", ("", X), {}, INVALID, "ModelSpec has no name specified."),
    (
        "unknown signature",
        ("half", X),
        {"signature_name": "s"},
        grpc.StatusCode.FAILED_PRECONDITION,
        'Serving signature key "s" not found.',
    ),
    (
        "no default signature",
        ("identity", X),
        {},
        grpc.StatusCode.FAILED_PRECONDITION,
        'Serving signature key "serving_default" not found.',
    ),
    (
        "input too many",
        ("half", {**X, "z": X["x"]}),
        {},
        INVALID,
        "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.",
    ),
    ("no input at all", ("half", {}), {}, INVALID, "input size does not match signature: 0!=1"),
    ("input too few", ("many", {"b": np.array([1], np.int32)}), {}, INVALID, "Missing but required: {a}."),
    ("wrong alias", ("half", {"z": X["x"]}), {}, INVALID, "x"),
    ("wrong type", ("half", {"x": np.array([1], np.int32)}), {}, INVALID, ""),
    ("text for a number", ("half", {"x": np.array(["1"])}), {}, INVALID, ""),
    ("wrong rank", ("half", {"x": np.array([[1.0]], np.float32)}), {}, INVALID, ""),
    ("wrong size", ("shapes", {"x": np.zeros((2, 2), np.float32)}), {"signature_name": "fixed"}, INVALID, ""),
    ("index out of range", ("shapes", {"index": np.array([7], np.int32)}), {"signature_name": "pick"}, INVALID, ""),
    (
        "the graph refuses",
        ("shapes", {"x": np.array([-1], np.float32)}),
        {"signature_name": "checked"},
        INVALID,
        "only positive numbers, please",
    ),
    (
        "unknown output",
        ("half", X),
        {"output_filter": ["z"]},
        INVALID,
        "output tensor alias not found in signature: z Outputs expected to be in the set {y}.",
    ),
    ("output twice", ("half", X), {"output_filter": ["y", "y"]}, INVALID, "duplicate output tensor alias: y"),
]


@pytest.mark.parametrize(
    ("asked", "more", "code", "gist"), [pytest.param(*case[1:], id=f"2.4 {case[0]}") for case in ERRORS]
)
def test_errors(target: Target, asked: Any, more: dict[str, Any], code: grpc.StatusCode, gist: str) -> None:
    """2.4: each with its code and the gist of its message."""
    with rejected(code, gist):
        target.predict(*asked, **more)


def test_wrong_alias(target: Target) -> None:
    """2.4: the right count and the wrong name."""
    with rejected(INVALID, "Signature input alias: x", "not found in request and no default value provided"):
        target.predict("half", {"z": X["x"]})


def test_no_model_spec(target: Target) -> None:
    """2.4: Missing ModelSpec."""
    with rejected(INVALID, "Missing ModelSpec"):
        target.prediction.Predict(predict_pb2.PredictRequest(), timeout=CALL_S)


def test_long_messages_are_cut(target: Target) -> None:
    """2.3: beyond 1024 characters of error text there is ...TRUNCATED."""
    with rejected(INVALID) as caught:
        target.predict("half", {f"input_{n}_{'z' * 20}": X["x"] for n in range(100)})
    assert len(caught.text) <= 1024 + len("...TRUNCATED")
    assert caught.text.endswith("...TRUNCATED")


# 2.1 limits


def test_large_messages(target: Target) -> None:
    """2.1: 64 MB in and 64 MB out; a server's limit is 2 GiB."""
    x = np.random.default_rng(0).standard_normal(16 << 20).astype(np.float32)
    said = target.predict("identity", {"x": x}, signature_name="float").outputs["y"]
    same(np.array(said.float_val, np.float32), x)


def test_deadline(target: Target) -> None:
    """2.3: the caller's deadline ends the call, and the server is there for the next one."""
    rounds = {"rounds": np.array([2_000_000], np.int32)}
    start = time.monotonic()
    with rejected(grpc.StatusCode.DEADLINE_EXCEEDED):
        target.predict("slow", rounds, timeout=0.2)
    assert time.monotonic() - start < 5
    answer = target.answer("half-2")
    same(arrays(target.predict("half", answer.inputs, timeout=5).outputs)["y"], answer.output)


def test_cancelling(target: Target) -> None:
    """2.3: a call that its caller gives up harms no other."""
    request = predict_request("slow", {"rounds": np.array([500_000], np.int32)})
    call = target.prediction.Predict.future(request, timeout=CALL_S)
    call.cancel()
    assert call.cancelled()
    answer = target.answer("half-2")
    same(arrays(target.predict("half", answer.inputs).outputs)["y"], answer.output)


def test_requests_at_once_keep_their_rows(target: Target) -> None:
    """4: what shares a batch does not mix, whatever the sizes."""
    answer = target.answer("many-rows")
    starts = [(at, at + 1 + at % 5) for at in range(30)]

    def ask(start: int, end: int) -> Any:
        part = {alias: value[start:end] for alias, value in answer.inputs.items()}
        return arrays(target.predict("many", part).outputs)

    with ThreadPoolExecutor(16) as pool:
        for (start, end), said in zip(starts, pool.map(lambda span: ask(*span), starts), strict=True):
            for alias, expected in answer.outputs.items():
                same(said[alias], expected[start:end], rtol=1e-6)
