"""Small SavedModels of every age, made with TensorFlow itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def half_plus_two_of_tf1(directory: Path) -> None:
    """As TensorFlow 1 wrote them: a graph, a session, ``simple_save``."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="x")
        a = v1.get_variable("a", initializer=0.5, use_resource=False)
        y = tf.add(a * x, 2.0, name="y")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(directory), {"x": x}, {"y": y})


def words_of_tf1(directory: Path) -> None:
    """A lookup table from an asset file, and the op that fills it."""
    import tensorflow as tf

    v1 = tf.compat.v1
    words = directory.parent / f"{directory.name}.txt"
    words.write_text("zero\none\ntwo\n")
    with v1.Graph().as_default(), v1.Session() as session:
        text = v1.placeholder(tf.string, [None], name="text")
        table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            ),
            -1,
        )
        number = table.lookup(text)
        session.run(v1.tables_initializer())
        infos = {
            "serving_default": v1.saved_model.predict_signature_def({"text": text}, {"number": number}),
            # An alias that is no Python name, as graphs made elsewhere have.
            "odd": v1.saved_model.predict_signature_def({"my text:0": text}, {"the-number": number}),
        }
        builder = v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map=infos,
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=v1.tables_initializer(),
        )
        builder.save()


def scaling(directory: Path, factor: float = 2.0) -> None:
    """What ``serving_fakes.scaling_model`` is, for real."""
    import tensorflow as tf

    module = tf.Module()
    module.factor = tf.Variable(factor)
    row = tf.TensorSpec([None, 3], tf.float32, "x")

    @tf.function(input_signature=[row])
    def predict(x: Any) -> Any:
        return {"y": module.factor * x + 1.0}

    @tf.function(input_signature=[row])
    def features(x: Any) -> Any:
        return {"embedding": module.factor * x + 1.0}

    tf.saved_model.save(module, str(directory), {"serving_default": predict, "features": features})


def keras_export(directory: Path) -> Any:
    """A Keras model with two inputs and its ``export``; the model, to compare with."""
    import keras

    a, b = keras.Input([4], name="a"), keras.Input([2], name="b")
    joined = keras.layers.Concatenate()([keras.layers.Dense(3, activation="relu")(a), b])
    model = keras.Model([a, b], keras.layers.Dense(2, name="out")(joined))
    model.export(str(directory), verbose=False)
    return model


def curiosities(directory: Path) -> None:
    """Signatures that few models have, one each."""
    import tensorflow as tf

    module = tf.Module()

    @tf.function(input_signature=[])
    def nothing_in() -> Any:
        return {"answer": tf.constant(42, tf.int64)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def shout(text: Any) -> Any:
        return {"text": tf.strings.upper(text), "length": tf.strings.length(text)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int32, "i"),
            tf.TensorSpec([None], tf.uint8, "u"),
            tf.TensorSpec([None], tf.bool, "b"),
            tf.TensorSpec([None], tf.float64, "d"),
            tf.TensorSpec([None], tf.float16, "h"),
        ]
    )
    def types(i: Any, u: Any, b: Any, d: Any, h: Any) -> Any:
        return {"i": i + 1, "u": u + 1, "b": tf.logical_not(b), "d": d / 3, "h": h * 2}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def brain(x: Any) -> Any:
        return {"y": tf.cast(x, tf.bfloat16)}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, "x")])
    def any_rank(x: Any) -> Any:
        return {"y": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "n")])
    def pick(n: Any) -> Any:
        return {"y": tf.gather(tf.constant([10, 20, 30]), n)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "raw")])
    def parse(raw: Any) -> Any:
        return {"y": tf.map_fn(lambda one: tf.io.decode_raw(one, tf.uint8)[0], raw, fn_output_signature=tf.uint8)}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def normalised(x: Any) -> Any:
        return {"y": x - tf.reduce_mean(x, axis=0)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def asserted(x: Any) -> Any:
        tf.debugging.assert_positive(x, "only positive numbers, please")
        return {"y": x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def unset(x: Any) -> Any:
        handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=[], shared_name="never")
        return {"y": x + tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)}

    names = (nothing_in, shout, types, brain, any_rank, pick, parse, normalised, asserted, unset)
    tf.saved_model.save(module, str(directory), {one.python_function.__name__: one for one in names})
