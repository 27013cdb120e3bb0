"""The graphs of the contract suite, one SavedModel each, with TensorFlow alone: nothing here knows Graft.

Most are written as TensorFlow 1 wrote them, because then any tensor can be any signature's, under any name and method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

v1 = tf.compat.v1
PREDICT, CLASSIFY, REGRESS = (f"tensorflow/serving/{method}" for method in ("predict", "classify", "regress"))
DTYPES: Mapping[str, Any] = {
    "float": tf.float32,
    "double": tf.float64,
    "half": tf.float16,
    "bfloat16": tf.bfloat16,
    "int8": tf.int8,
    "int16": tf.int16,
    "int32": tf.int32,
    "int64": tf.int64,
    "uint8": tf.uint8,
    "uint16": tf.uint16,
    "uint32": tf.uint32,
    "uint64": tf.uint64,
    "bool": tf.bool,
    "string": tf.string,
    "complex64": tf.complex64,
}
Tensors = Mapping[str, Any]
SHELF = ("zero", "one", "two")


def _signature(inputs: Tensors, outputs: Tensors, method: str = PREDICT) -> Any:
    infos = [
        {alias: v1.saved_model.build_tensor_info(one) for alias, one in side.items()} for side in (inputs, outputs)
    ]
    return v1.saved_model.build_signature_def(*infos, method)


def _save(directory: Path, build: Callable[[], Mapping[str, Any]]) -> None:
    """Write the graph that ``build`` makes, with the signatures it returns."""
    with v1.Graph().as_default(), v1.Session() as session:
        signatures = build()
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder = v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map=dict(signatures),
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )
        builder.save()


def half_plus(directory: Path, addend: float) -> None:
    """``x / 2 + addend``, TensorFlow Serving's own first example."""

    def build() -> Mapping[str, Any]:
        x = v1.placeholder(tf.float32, [None], name="x")
        a = v1.get_variable("a", initializer=0.5, use_resource=False)
        b = v1.get_variable("b", initializer=addend, use_resource=False)
        return {"serving_default": _signature({"x": x}, {"y": tf.add(a * x, b, name="y")})}

    _save(directory, build)


def many(directory: Path) -> None:
    """Two inputs of two types, three outputs; as TensorFlow 2 writes it."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "a"), tf.TensorSpec([None], tf.int32, "b")])
    def predict(a: Any, b: Any) -> Any:
        number = tf.cast(b, tf.float32)
        return {
            "total": tf.reduce_sum(a, axis=1) + number,
            "scaled": a * number[:, tf.newaxis],
            "name": tf.strings.as_string(b),
        }

    tf.saved_model.save(module, str(directory), {"serving_default": predict})


def strings(directory: Path) -> None:
    """Strings in and out, with and without the ``_bytes`` that decides about base64."""

    def build() -> Mapping[str, Any]:
        text = v1.placeholder(tf.string, [None], name="text")
        table = v1.placeholder(tf.string, [None, None], name="table")
        outputs = {
            "upper": tf.strings.upper(text),
            "copy_bytes": tf.identity(text),
            "length": tf.strings.length(text),
        }
        return {
            "serving_default": _signature({"text": text}, outputs),
            "echo": _signature({"text": text}, {"echo": tf.identity(text)}),
            "picture": _signature({"image_bytes": text}, {"image_bytes": tf.identity(text)}),
            "table": _signature({"table": table}, {"copy": tf.identity(table)}),
        }

    _save(directory, build)


def identity(directory: Path) -> None:
    """A signature for every element type, which answers what it is given; no ``serving_default``."""

    def build() -> Mapping[str, Any]:
        signatures = {}
        for name, dtype in DTYPES.items():
            x = v1.placeholder(dtype, None, name=f"{name}_x")
            signatures[name] = _signature({"x": x}, {"y": tf.identity(x)})
        return signatures

    _save(directory, build)


def examples(directory: Path) -> None:
    """Classifiers and regressors over serialized ``tf.Example``."""

    def build() -> Mapping[str, Any]:
        serialized = v1.placeholder(tf.string, [None], name="tf_example")

        def feature(name: str, dtype: Any, default: Any = None) -> Any:
            wanted = {name: tf.io.FixedLenFeature([1], dtype, default)}
            return v1.io.parse_example(serialized, wanted)[name]

        x = feature("x", tf.float32)
        sure = tf.concat([x, 1 - x], axis=1)
        labels = tf.tile(tf.constant([["up", "down"]]), [tf.shape(x)[0], 1])
        number = tf.cast(feature("n", tf.int64), tf.float32)
        word = feature("word", tf.string)
        shift = feature("shift", tf.float32, [10.0])
        pair = v1.io.parse_example(serialized, {"pair": tf.io.FixedLenFeature([2], tf.float32)})["pair"]
        into = {"inputs": serialized}
        return {
            "serving_default": _signature(into, {"classes": labels, "scores": sure}, CLASSIFY),
            "scores_only": _signature(into, {"scores": sure}, CLASSIFY),
            "classes_only": _signature(into, {"classes": labels}, CLASSIFY),
            "words": _signature(into, {"classes": word, "scores": tf.ones_like(word, tf.float32)}, CLASSIFY),
            "regress": _signature(into, {"outputs": x * 2}, REGRESS),
            "regress_flat": _signature(into, {"outputs": tf.reshape(x, [-1]) * 3}, REGRESS),
            "regress_int": _signature(into, {"outputs": number}, REGRESS),
            "regress_pair": _signature(into, {"outputs": tf.reduce_sum(pair, axis=1)}, REGRESS),
            "regress_shifted": _signature(into, {"outputs": x + shift}, REGRESS),
            "predict": _signature(into, {"outputs": x * 2}),
            "no_inputs_alias": _signature({"x": x}, {"classes": labels, "scores": sure}, CLASSIFY),
            "no_answers": _signature(into, {"y": sure}, CLASSIFY),
        }

    _save(directory, build)


def shapes(directory: Path) -> None:
    """Every way in which a signature is not a batch in and a batch out."""

    def build() -> Mapping[str, Any]:
        x = v1.placeholder(tf.float32, [None], name="x")
        anything = v1.placeholder(tf.float32, None, name="anything")
        table = v1.placeholder(tf.float32, [None, None], name="table")
        fixed = v1.placeholder(tf.float32, [2, 3], name="fixed")
        scalar = v1.placeholder(tf.float32, [], name="scalar")
        index = v1.placeholder(tf.int32, [None], name="index")
        positive = tf.debugging.assert_positive(x, message="only positive numbers, please")
        with tf.control_dependencies([positive]):
            checked = tf.identity(x)
        y = v1.placeholder(tf.float32, [None], name="y")
        left = v1.placeholder(tf.float32, [None, 2], name="left")
        return {
            "serving_default": _signature({"x": x}, {"y": x * 2}),
            "other": _signature({"x": x}, {"y": x * 3}),
            "no_input": _signature({}, {"answer": tf.constant(42, tf.int64)}),
            "any_rank": _signature({"x": anything}, {"y": anything * 2}),
            "any_sum": _signature({"x": anything}, {"y": tf.reduce_sum(anything)}),
            "table": _signature({"x": table}, {"y": tf.reduce_sum(table, axis=1)}),
            "fixed": _signature({"x": fixed}, {"y": fixed + 1}),
            "scalar_in": _signature({"x": scalar}, {"y": scalar + 1}),
            "scalar_out": _signature({"x": x}, {"y": tf.reduce_sum(x)}),
            "scalar_among": _signature({"x": x}, {"y": x, "total": tf.reduce_sum(x)}),
            "uneven": _signature({"x": x}, {"y": x, "first": x[:1]}),
            "hollow": _signature({"x": x}, {"y": x[:0]}),
            "doubled": _signature({"x": x}, {"y": tf.concat([x, x], axis=0)}),
            "pick": _signature({"index": index}, {"y": tf.gather(tf.constant([10, 20, 30]), index)}),
            "checked": _signature({"x": x}, {"y": checked}),
            "sum": _signature({"x": x, "y": y}, {"z": x + y}),
            "product": _signature({"a": left, "b": table}, {"y": tf.matmul(left, table)}),
        }

    _save(directory, build)


def words(directory: Path) -> None:
    """A table from strings to numbers, filled from an asset file, and one back."""
    shelf = directory.parent.parent.parent / "shelf.txt"
    shelf.write_text("".join(f"{word}\n" for word in SHELF))

    def build() -> Mapping[str, Any]:
        text = v1.placeholder(tf.string, [None], name="text")
        number = v1.placeholder(tf.int64, [None], name="number")
        columns = (tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER)
        there = tf.lookup.TextFileInitializer(str(shelf), tf.string, columns[0], tf.int64, columns[1])
        back = tf.lookup.TextFileInitializer(str(shelf), tf.int64, columns[1], tf.string, columns[0])
        return {
            "serving_default": _signature({"text": text}, {"number": tf.lookup.StaticHashTable(there, -1)[text]}),
            "back": _signature({"number": number}, {"text": tf.lookup.StaticHashTable(back, "?")[number]}),
        }

    _save(directory, build)


def defaults(directory: Path) -> None:
    """An input that need not be given: the signature says what it is then."""

    def build() -> Mapping[str, Any]:
        a, b = v1.placeholder(tf.float32, [None], name="a"), v1.placeholder(tf.float32, [], name="b")
        return {"serving_default": _signature({"a": a, "b": b}, {"y": a + 10 * b})}

    _save(directory, build)
    path = directory / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    signature.defaults["b"].CopyFrom(tf.make_tensor_proto(7.0, tf.float32))
    path.write_bytes(saved.SerializeToString())
    (directory / "fingerprint.pb").unlink(missing_ok=True)


def slow(directory: Path) -> None:
    """Turns as many rounds as it is told."""

    def build() -> Mapping[str, Any]:
        rounds = v1.placeholder(tf.int32, [None], name="rounds")
        most = tf.reduce_max(tf.concat([rounds, [0]], axis=0))
        turned = v1.while_loop(lambda i: i < most, lambda i: i + 1, [tf.constant(0)])
        return {"serving_default": _signature({"rounds": rounds}, {"turned": tf.fill(tf.shape(rounds), turned)})}

    _save(directory, build)


def lite(source: Path, directory: Path) -> None:
    """A small dense model, whole in ``source``, and as TensorFlow Lite has it in ``directory``."""
    module = tf.Module()
    module.weights = tf.Variable([[0.5, -1.0], [2.0, 0.25], [-0.75, 4.0]])

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
    def predict(x: Any) -> Any:
        return {"y": tf.matmul(x, module.weights) + 1.0, "largest": tf.reduce_max(x, axis=1)}

    tf.saved_model.save(module, str(source), {"serving_default": predict})
    directory.mkdir(parents=True)
    converted = tf.lite.TFLiteConverter.from_saved_model(str(source), signature_keys=["serving_default"]).convert()
    (directory / "model.tflite").write_bytes(converted)
