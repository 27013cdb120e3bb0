"""SavedModels of any origin as bases: one output is the feature, weights are stored once, what is unfit is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.artifact import InputKind
from training.bases.sources.saved_model import from_saved_model
from training.errors import BadBase
from training.export.base_model import export_base
from training.export.extras import stored_ratio
from training.recipe import SavedModelBase


def choice(directory: Path, **more: Any) -> SavedModelBase:
    return SavedModelBase(kind="saved_model", ref=str(directory), **more)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signatures of many kinds in one SavedModel that Keras had no part in."""
    import tensorflow as tf

    module = tf.Module()
    module.kernel = tf.Variable(np.random.default_rng(0).normal(size=(3, 400)).astype(np.float32))
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant(["red", "blue"]), tf.constant([1, 2])), 0
    )
    module.table = table

    def image(shape: Any) -> Any:
        return tf.TensorSpec(shape, tf.float32, "picture")

    def maps(picture: Any) -> Any:
        return {"map": tf.nn.relu(tf.tensordot(picture / 255, module.kernel, 1))}

    def several(picture: Any) -> Any:
        return {"one": tf.reduce_mean(picture, [1, 2]), "two": tf.reduce_max(picture, [1, 2])}

    def numbers(picture: Any) -> Any:
        return {"label": tf.argmax(tf.reduce_mean(picture, [1, 2]), axis=1)}

    def batchwise(picture: Any) -> Any:
        pooled = tf.reduce_mean(picture, [1, 2])
        return {"y": pooled - tf.reduce_mean(pooled, axis=0)}

    def colours(text: Any) -> Any:
        return {"code": tf.one_hot(module.table.lookup(text), 3)}

    whole, open_, fixed = image([None, 8, 8, 3]), image([None, None, None, 3]), image([1, 8, 8, 3])
    signatures = {
        "maps": tf.function(maps, input_signature=[whole]),
        "open": tf.function(maps, input_signature=[open_]),
        "several": tf.function(several, input_signature=[whole]),
        "numbers": tf.function(numbers, input_signature=[whole]),
        "batchwise": tf.function(batchwise, input_signature=[whole]),
        "fixed": tf.function(maps, input_signature=[fixed]),
        "colours": tf.function(colours, input_signature=[tf.TensorSpec([None], tf.string, "text")]),
        "pair": tf.function(
            lambda a, b: {"y": a + b}, input_signature=[tf.TensorSpec([None, 2], tf.float32, n) for n in "ab"]
        ),
    }
    directory = tmp_path_factory.mktemp("foreign") / "model"
    tf.saved_model.save(module, str(directory), signatures)
    return directory


def test_its_features_are_exported_with_each_weight_once(foreign: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    base = from_saved_model(choice(foreign, signature="maps"), 0)
    assert (base.spec.kind, base.spec.shape, base.labels) == (InputKind.IMAGE, (8, 8, 3), ())
    assert dict(base.network.widths) == {"map": 400}
    found = export_base(base.network, base.spec, (), tmp_path / "export")
    assert stored_ratio(tmp_path / "export", found.weights) <= 1.1
    signatures = tf.saved_model.load(str(tmp_path / "export")).signatures
    assert set(signatures) == {"serving_default", "features", "features_from_examples", "features_from_bytes"}
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype(np.float32))
    theirs = tf.saved_model.load(str(foreign)).signatures["maps"](picture=images)["map"].numpy().mean(axis=(1, 2))
    for name in ("serving_default", "features"):
        assert np.abs(signatures[name](inputs=images)["map"].numpy() - theirs).max() < 1e-5


def test_an_open_size_is_taken_from_the_recipe(foreign: Path) -> None:
    with pytest.raises(BadBase, match=r"leaves the size of 'picture' open.*give base.shape"):
        from_saved_model(choice(foreign, signature="open"), 0)
    base = from_saved_model(choice(foreign, signature="open", shape=[6, 6, 3], pooling="gap"), 0)
    assert (base.spec.shape, dict(base.network.widths)) == ((6, 6, 3), {"map": 400})
    with pytest.raises(BadBase, match=r"not \[6, 6, 1\] an item"):
        from_saved_model(choice(foreign, signature="open", shape=[6, 6, 1]), 0)


def test_texts_and_tables_come_along(foreign: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    base = from_saved_model(choice(foreign, signature="colours"), 0)
    assert base.spec.kind is InputKind.TEXT
    export_base(base.network, base.spec, (), tmp_path / "export")
    features = tf.saved_model.load(str(tmp_path / "export")).signatures["features"]
    assert features(inputs=tf.constant(["blue", "green"]))["code"].numpy().tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"signature": "gone"}, "no signature 'gone'; it has batchwise, colours"),
        ({"signature": "numbers"}, r"no output of numbers to take as features; its outputs: label \(int64\)"),
        ({"signature": "several"}, "several outputs of numbers; say base.output: one, two"),
        ({"signature": "several", "output": "three"}, "no output of numbers 'three'"),
        ({"signature": "batchwise"}, "depends on the items beside it"),
        ({"signature": "fixed"}, "batches of any size"),
        ({"signature": "pair"}, r"takes 2 inputs \(a, b\)"),
        ({"signature": "maps", "pooling": "none"}, "pooling none does not suit 'map'"),
        ({"signature": "maps", "pooling": "last"}, "pooling last does not suit 'map'"),
    ],
    ids=str,
)
def test_what_is_no_base_is_said(foreign: Path, more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadBase, match=words):
        from_saved_model(choice(foreign, **more), 0)


def test_what_is_no_saved_model_and_what_reaches_out(foreign: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    with pytest.raises(BadBase, match=r"saved_model\.pb is missing"):
        from_saved_model(choice(tmp_path), 0)
    (tmp_path / "saved_model.pb").write_bytes((foreign / "saved_model.pb").read_bytes()[:-2000])
    with pytest.raises(BadBase, match=r"not the graph of a SavedModel|cannot load"):
        from_saved_model(choice(tmp_path, signature="maps"), 0)
    module = tf.Module()
    module.read = tf.function(
        lambda x: {"y": tf.strings.to_number(tf.io.read_file("secret")) + x},
        input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")],
    )
    tf.saved_model.save(module, str(tmp_path / "reader"), {"serving_default": module.read})
    with pytest.raises(BadBase, match="is a ReadFile; a base reads no files"):
        from_saved_model(choice(tmp_path / "reader"), 0)


def test_a_keras_export_is_a_saved_model_like_any_other(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.BatchNormalization()])
    model.export(str(tmp_path / "m"), verbose=False)
    base = from_saved_model(choice(tmp_path / "m"), 0)
    assert (base.spec.kind, base.spec.shape) == (InputKind.VECTOR, (4,))
    found = export_base(base.network, base.spec, (), tmp_path / "export")
    # Written twice by the stock export, and once here.
    assert stored_ratio(tmp_path / "export", found.weights) <= 1.1
    weights = {str(at): int(np.prod(weight.shape)) * 4 for at, weight in enumerate(model.weights)}
    assert sum(found.weights.values()) == sum(weights.values())
