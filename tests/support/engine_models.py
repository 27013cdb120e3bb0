"""One small SavedModel with a signature of every kind that an engine is to run, to refuse, or to answer wrongly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def _float(*shape: int | None, alias: str = "x") -> Any:
    import tensorflow as tf

    return tf.TensorSpec(list(shape), tf.float32, alias)


def agreeable(directory: Path, seed: int = 0) -> None:
    """Signatures that OpenVINO answers as TensorFlow does. ``seed`` draws other weights."""
    import tensorflow as tf

    draws = tf.random.Generator.from_seed(seed)
    module = tf.Module()
    module.kernel, module.bias = tf.Variable(draws.normal([4, 3])), tf.Variable(draws.normal([3]))
    module.filters = tf.Variable(draws.normal([3, 3, 2, 5]))
    module.embeddings = tf.Variable(draws.normal([7, 4]))
    module.mean, module.variance = tf.Variable(draws.normal([5])), tf.Variable(draws.uniform([5], 0.5, 2.0))

    @tf.function(input_signature=[_float(None, 4)])
    def dense(x: Any) -> Any:
        return {"y": tf.nn.softmax(tf.nn.relu(x @ module.kernel + module.bias))}

    @tf.function(input_signature=[_float(None, 8, 8, 2)])
    def conv(x: Any) -> Any:
        y = tf.nn.conv2d(x, module.filters, 1, "SAME")
        y = tf.nn.batch_normalization(y, module.mean, module.variance, None, None, 1e-3)
        return {"y": tf.reduce_mean(tf.nn.relu(y), [1, 2])}

    @tf.function(input_signature=[tf.TensorSpec([None, 5], tf.int32, "ids")])
    def embedding(ids: Any) -> Any:
        return {"y": tf.reduce_sum(tf.gather(module.embeddings, ids), axis=1) @ module.kernel}

    @tf.function(input_signature=[_float(None, 4, alias="a"), _float(None, 3, alias="b")])
    def two_in_two_out(a: Any, b: Any) -> Any:
        return {"sum": a @ module.kernel + b, "best": tf.argmax(b, axis=1), "positive": b > 0}

    @tf.function(input_signature=[_float(None, 4)])
    def named(x: Any) -> Any:
        scores, best = tf.math.top_k(tf.nn.softmax(x @ module.kernel), k=2)
        return {"classes": tf.gather(tf.constant(["ja", "für", "no"]), best), "scores": scores}

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.uint8, "pixels")])
    def bytes_in(pixels: Any) -> Any:
        return {"y": tf.cast(pixels, tf.float32) / 255.0 * module.bias}

    @tf.function(input_signature=[tf.TensorSpec([2, 4], tf.float32, "x")])
    def fixed(x: Any) -> Any:
        return {"y": x @ module.kernel}

    @tf.function(input_signature=[_float(None, None, 4)])
    def free(x: Any) -> Any:
        return {"y": tf.reduce_mean(x, axis=1) @ module.kernel}

    @tf.function(input_signature=[_float(None, 4)])
    def looped(x: Any) -> Any:
        return {"y": tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(y)), [0, x])[1]}

    @tf.function(input_signature=[_float(None, 3)])
    def over_the_batch(x: Any) -> Any:
        return {"y": tf.nn.batch_normalization(x, *tf.nn.moments(x, [0]), None, None, 1e-3)}

    _save(
        module,
        directory,
        dense, conv, embedding, two_in_two_out, named, bytes_in, fixed, free, looped, over_the_batch,
        serving_default=dense,
    )  # fmt: skip


def disagreeable(directory: Path) -> None:
    """Signatures that must stay on TensorFlow."""
    import tensorflow as tf

    module = tf.Module()
    module.count, module.weight = tf.Variable(0.0), tf.Variable(2.0)
    module.table = tf.constant([1.0, 2.0, 3.0])

    @tf.function(input_signature=[_float(None, 2)])
    def counted(x: Any) -> Any:
        return {"y": x * module.count.assign_add(1.0)}

    @tf.function(input_signature=[_float(None, 2)])
    def asserted(x: Any) -> Any:
        tf.debugging.assert_all_finite(x, "numbers, please")
        return {"y": x * module.weight}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "x")])
    def unique(x: Any) -> Any:
        return {"y": tf.unique(x)[0]}

    @tf.function(input_signature=[_float(None)])
    def xdivy(x: Any) -> Any:
        return {"y": tf.math.xdivy(x, x)}

    @tf.function(input_signature=[_float(None, 2)])
    def noisy(x: Any) -> Any:
        return {"y": x + tf.random.normal(tf.shape(x))}

    @tf.function(input_signature=[_float(None, 2)])
    def printed(x: Any) -> Any:
        tf.print("seen")
        return {"y": x * module.weight}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def text(text: Any) -> Any:
        return {"length": tf.strings.length(text)}

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float64, "x")])
    def wide(x: Any) -> Any:
        return {"y": x / 3.0}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, "x")])
    def any_rank(x: Any) -> Any:
        return {"y": x * module.weight}

    @tf.function(input_signature=[_float(None)])
    def indexed(x: Any) -> Any:
        return {"y": tf.gather(module.table, tf.cast(x, tf.int32))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "n")])
    def sized(n: Any) -> Any:
        return {"y": tf.fill([tf.reduce_max(n)], module.weight)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "n")])
    def divided(n: Any) -> Any:
        return {"y": 12 // n}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "rounds")])
    def turned(rounds: Any) -> Any:
        return {"y": tf.while_loop(lambda i: i < tf.reduce_max(rounds), lambda i: i + 1, [0])[0] + rounds}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "n")])
    def turned_within(n: Any) -> Any:
        return {"y": tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y + n), [0, n])[1]}

    @tf.function(input_signature=[_float(None)])
    def endless(x: Any) -> Any:
        rounds = tf.while_loop(lambda i: tf.reduce_max(x) > 100.0, lambda i: i + 1, [0])[0]
        return {"y": x + tf.cast(rounds, tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "x")])
    def long(x: Any) -> Any:
        return {"y": x * 3}

    _save(
        module,
        directory,
        counted, asserted, unique, xdivy, noisy, printed, text, wide, any_rank, indexed, sized, divided,
        turned, turned_within, endless, long,
    )  # fmt: skip


def tables(directory: Path) -> None:
    """A number looked up in a table, and a word."""
    import tensorflow as tf

    module = tf.Module()

    def table(keys: Any, values: Any, default: Any) -> Any:
        return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), default)

    module.numbers = table(tf.constant([3, 5], tf.int64), tf.constant([30.0, 50.0]), -1.0)
    module.words = table(tf.constant(["a", "b"]), tf.constant([1.0, 2.0]), -1.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "n")])
    def number(n: Any) -> Any:
        return {"y": module.numbers.lookup(n)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "word")])
    def word(word: Any) -> Any:
        return {"y": module.words.lookup(word)}

    _save(module, directory, number, word)


def beside_text(directory: Path) -> None:
    """What a model of Graft's is like: numbers in by default, and the same by a string beside it."""
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable(2.0)

    @tf.function(input_signature=[_float(None, 3)])
    def serving_default(x: Any) -> Any:
        return {"y": x * module.weight}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def parsed(text: Any) -> Any:
        return {"y": tf.strings.to_number(text) * module.weight}

    _save(module, directory, serving_default, parsed)


def keras_saved(directory: Path) -> Any:
    """A Keras model saved, not exported, which leaves OpenVINO without its variables; the model, to compare with."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input([4]), keras.layers.Dense(5, "relu"), keras.layers.Dense(2)])
    one = tf.function(lambda x: {"y": model(x)}, input_signature=[_float(None, 4)])
    tf.saved_model.save(model, str(directory), {"serving_default": one})
    return model


def _save(module: Any, directory: Path, *functions: Callable[..., Any], **more: Callable[..., Any]) -> None:
    import tensorflow as tf

    signatures: Mapping[str, Any] = {one.python_function.__name__: one for one in functions}  # type: ignore[attr-defined]
    tf.saved_model.save(module, str(directory), {**signatures, **more})
