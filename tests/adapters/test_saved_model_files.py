"""``saved_model.pb`` read without TensorFlow; what it says is held against what TensorFlow says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from service.adapters.engines import saved_model_files
from service.domain.errors import ModelFailed
from service.domain.tensors import BFLOAT16, type_name


class Arithmetic(tf.Module):
    """Signatures that run different things: some through functions, a branch and a loop."""

    def __init__(self) -> None:
        self.weight = tf.Variable(2.0)
        self.count = tf.Variable(0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def scaled(self, x: Any) -> Any:
        return {"y": self.inner(x) * self.weight}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def inner(self, x: Any) -> Any:
        return tf.nn.softplus(x)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def branching(self, x: Any) -> Any:
        return {"y": tf.cond(tf.reduce_sum(x) > 0, lambda: tf.sin(x), lambda: tf.atan(x))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def counting(self, x: Any) -> Any:
        self.count.assign_add(1)
        return {"y": tf.while_loop(lambda i, _: i < 3, lambda i, v: (i + 1, tf.exp(v)), (0, x))[1]}


@pytest.fixture(scope="module")
def arithmetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory, module = tmp_path_factory.mktemp("models") / "arithmetic", Arithmetic()
    names = ("scaled", "branching", "counting")
    tf.saved_model.save(module, str(directory), {name: getattr(module, name) for name in names})
    return directory


@pytest.mark.parametrize(
    ("signature", "runs", "not_those"),
    [
        ("scaled", {"Softplus", "Mul", "ReadVariableOp"}, {"Sin", "Exp", "AssignAddVariableOp"}),
        ("branching", {"Sin", "Atan", "Sum"}, {"Softplus", "Exp"}),
        ("counting", {"Exp", "AssignAddVariableOp", "Less"}, {"Sin", "Softplus"}),
    ],
    ids=["functions", "branches", "loops_and_effects"],
)
def test_a_signature_runs_what_it_reaches_through_functions_branches_and_loops(
    arithmetic: Path, signature: str, runs: set[str], not_those: set[str]
) -> None:
    ops = saved_model_files.read(arithmetic).ops(signature)
    assert runs <= ops
    assert not not_those & ops
    assert not any(op.startswith("__inference") for op in ops)


def test_the_signatures_are_those_that_tensorflow_gives(arithmetic: Path) -> None:
    signatures = saved_model_files.read(arithmetic).signatures
    loaded = tf.saved_model.load(str(arithmetic))
    assert signatures.keys() == set(loaded.signatures)
    for name, signature in signatures.items():
        assert signature.inputs.keys() == loaded.signatures[name].structured_input_signature[1].keys()
        assert signature.outputs.keys() == loaded.signatures[name].structured_outputs.keys()
        assert signature.inputs["x"].shape == (None,)
        assert signature.inputs["x"].dtype == "DT_FLOAT"


def test_an_unknown_signature_and_the_initialisation_run_nothing_anybody_asks_for(arithmetic: Path) -> None:
    file = saved_model_files.read(arithmetic)
    for name in ("nowhere", "__saved_model_init_op"):
        with pytest.raises(KeyError):
            file.ops(name)
        assert name not in file.signatures


def test_a_graph_of_tensorflow_1_is_followed_back_from_its_outputs(tmp_path: Path) -> None:
    directory = tmp_path / "old"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None], "x")
        with tf.control_dependencies([tf.debugging.assert_positive(x)]):
            y = tf.identity(tf.sqrt(x))
        tf.cos(x, name="unused")
        tf.compat.v1.saved_model.simple_save(session, str(directory), {"x": x}, {"y": y})
    ops = saved_model_files.read(directory).ops("serving_default")
    assert {"Sqrt", "Assert", "Placeholder"} <= ops
    assert "Cos" not in ops


@pytest.mark.parametrize(
    "value",
    [
        np.array([[1.5, 2.5]], np.float32),
        np.full((3, 2), 7.0, np.float64),
        np.array([1, -2, 3], np.int8),
        np.array(5, np.int64),
        np.array([2**63], np.uint64),
        np.array([True, False]),
        np.array([1.5, -2.0], np.float16),
        np.array([1 + 2j, 3 - 4j], np.complex64),
        np.array([b"one", b""], object),
        np.zeros((2, 0), np.float32),
    ],
    ids=lambda value: f"{value.dtype}-{value.ndim}",
)
@pytest.mark.parametrize("make", [tf.make_tensor_proto, lambda value: typed(value)], ids=["content", "typed"])
def test_defaults_of_every_type_are_read_as_tensorflow_reads_them(
    arithmetic: Path, tmp_path: Path, make: Callable[[Any], Any], value: Any
) -> None:
    proto = make(value)
    read = default(arithmetic, tmp_path, proto)
    assert read.dtype == value.dtype
    assert np.array_equal(read, tf.make_ndarray(proto))


def test_a_default_of_bfloat16_needs_no_type_of_numpys_that_only_tensorflow_brings(
    arithmetic: Path, tmp_path: Path
) -> None:
    read = default(arithmetic, tmp_path, tf.make_tensor_proto([1.0, -2.0], tf.bfloat16))
    assert read.dtype == BFLOAT16
    assert type_name(read) == "DT_BFLOAT16"
    assert read.view(np.uint16).tolist() == [0x3F80, 0xC000]


def test_a_default_that_repeats_its_only_value_is_as_large_as_its_shape(arithmetic: Path, tmp_path: Path) -> None:
    proto = tf.make_tensor_proto([3], tf.int32)
    proto.ClearField("tensor_content")
    proto.int_val[:] = [3]
    proto.tensor_shape.dim[0].size = 4
    assert default(arithmetic, tmp_path, proto).tolist() == [3, 3, 3, 3]
    proto.ClearField("int_val")
    assert default(arithmetic, tmp_path, proto).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", ["resource", "torn"])
def test_a_default_that_is_none_fails_the_model_with_a_reason(arithmetic: Path, tmp_path: Path, kind: str) -> None:
    proto = tf.make_tensor_proto(np.ones(3, np.float32))
    if kind == "resource":
        proto.dtype = 20
    else:
        proto.tensor_content = proto.tensor_content[:-1]
    with pytest.raises(ModelFailed, match="default value"):
        default(arithmetic, tmp_path, proto)


@pytest.mark.parametrize("content", [None, b"no protobuf\xff"], ids=["missing", "garbage"])
def test_a_file_that_cannot_be_read_says_so(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ModelFailed, match=r"saved_model\.pb cannot be read"):
        saved_model_files.read(tmp_path)


def test_tags_that_no_graph_has_are_named_with_those_there_are(arithmetic: Path) -> None:
    with pytest.raises(ModelFailed, match=r"no graph tagged 'gpu' and 'serve' alone; .* \[\['serve'\]\]"):
        saved_model_files.read(arithmetic, ["serve", "gpu"])


def typed(value: Any) -> Any:
    """The tensor with its values one by one, as files written by others have it."""
    proto = tf.make_tensor_proto(value)
    if not proto.tensor_content:
        return proto
    proto.ClearField("tensor_content")
    flat = value.ravel()
    match value.dtype.kind:
        case "c":
            proto.scomplex_val.extend(flat.view(np.float32).tolist())
        case "f" if value.dtype.itemsize == 2:
            proto.half_val.extend(flat.view(np.uint16).tolist())
        case "f" if value.dtype.itemsize == 4:
            proto.float_val.extend(flat.tolist())
        case "f":
            proto.double_val.extend(flat.tolist())
        case "b":
            proto.bool_val.extend(flat.tolist())
        case _:
            fields = {"int64": proto.int64_val, "uint64": proto.uint64_val}
            fields.get(value.dtype.name, proto.int_val).extend(flat.tolist())
    return proto


def default(model: Path, tmp_path: Path, proto: Any) -> Any:
    """What is read of a signature whose input has this default."""
    file = saved_model_files.saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    file.meta_graphs[0].signature_def["scaled"].defaults["x"].CopyFrom(proto)
    (tmp_path / "saved_model.pb").write_bytes(file.SerializeToString())
    return saved_model_files.read(tmp_path).signatures["scaled"].defaults["x"]
