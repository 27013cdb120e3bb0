"""Bases: from builders and from Keras files; where they are cut; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.artifact import GOLDEN, MANIFEST, InputKind, Manifest
from training.base_graph import BaseGraph
from training.base_run import run_base
from training.bases.cuts import cut_tensors
from training.bases.fit import fit
from training.bases.keras_file import file_digest
from training.builtin import blobs
from training.errors import BadBase, BadRecipe, Diverged
from training.recipe import FitParams, MlpParams, parse_recipe


def keras_recipe(file: Path, **params: Any) -> dict[str, Any]:
    return {
        "apiVersion": "transfer/v1",
        "name": "theirs",
        "base": {"kind": "keras_file", "ref": str(file), "params": params},
    }


def publish(raw: dict[str, Any], home: Path, file: Path | None = None) -> tuple[Path, Manifest]:
    scratch = home / "scratch"
    scratch.mkdir()
    finished = run_base(parse_recipe(raw), file, home / "repo", scratch, lambda event: None)
    version = home / "repo" / finished.model / str(finished.version)
    return version, Manifest.from_json((version / MANIFEST).read_text())


def small_network(keras: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(30, "relu", name="first"),
            keras.layers.Dense(20, "relu", name="second"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, "softmax"),
        ]
    )


def test_a_keras_file_becomes_a_base_and_stays_as_it_was(tmp_path: Path) -> None:
    import keras

    model = small_network(keras)
    file = tmp_path / "theirs.keras"
    model.save(file)
    before = file_digest(file)
    version, manifest = publish(keras_recipe(file, labels=["a", "b", "c"], rescale=1 / 255), tmp_path)
    assert file_digest(file) == before
    assert manifest.labels == ("a", "b", "c")
    assert (manifest.input.kind, manifest.input.shape) == (InputKind.IMAGE, (28, 28, 1))
    assert dict(manifest.features) == {"flatten": 784, "first": 30, "second": 20}
    images = np.random.default_rng(0).uniform(0, 255, (5, 28, 28, 1)).astype(np.float32)
    import tensorflow as tf

    answered = tf.saved_model.load(str(version)).signatures["serving_default"](inputs=tf.constant(images))
    expected = model.predict(images[..., 0] / 255, verbose=0)
    assert np.abs(answered["probabilities"].numpy() - expected).max() < 1e-5
    second = keras.Model(model.inputs[0], model.get_layer("second").output)
    features = BaseGraph(version).features(images)["second"]
    assert np.abs(features - second.predict(images[..., 0] / 255, verbose=0)).max() < 1e-5
    with np.load(version / GOLDEN) as golden:
        assert golden["serving_default/inputs/inputs"].shape == (8, 28, 28, 1)


def test_a_binary_model_on_named_columns(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(4, "relu", name="d"), keras.layers.Dense(1, "sigmoid")]
    )
    model.save(tmp_path / "m.keras")
    version, manifest = publish(keras_recipe(tmp_path / "m.keras", columns=["x", "y"]), tmp_path)
    assert manifest.labels == ("0", "1")
    assert manifest.input.columns == ("x", "y")
    assert dict(manifest.features) == {"d": 4}
    import tensorflow as tf

    rows = np.array([[1.0, 2.0], [-3.0, 0.5]], dtype=np.float32)
    features = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        for name, value in zip(("x", "y"), rows[0], strict=True)
    }
    serialized = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    signatures = tf.saved_model.load(str(version)).signatures
    assert "classify_bytes" not in signatures
    scores = signatures["classify"](inputs=tf.constant([serialized]))["scores"].numpy()
    positive = model.predict(rows[:1], verbose=0)[0, 0]
    assert scores[0] == pytest.approx([1 - positive, positive], abs=1e-6)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (lambda k: [k.Input((4,)), k.layers.Dense(1)], "only classifiers"),
        (lambda k: [k.Input((4,)), k.layers.Dense(3, "sigmoid")], "only classifiers"),
        (lambda k: [k.Input((4,)), k.layers.Dense(3, "softmax")], "no layer before its output"),
        (
            lambda k: [k.Input((None, None, 3)), k.layers.GlobalAveragePooling2D(), k.layers.Dense(3, "softmax")],
            "size open",
        ),
        (lambda k: [k.Input((4, 5)), k.layers.LSTM(3, return_sequences=True)], "a base is a classifier"),
    ],
)
def test_models_that_are_no_base(tmp_path: Path, layers: Any, words: str) -> None:
    import keras

    keras.Sequential(layers(keras)).save(tmp_path / "m.keras")
    with pytest.raises(BadBase, match=words):
        publish(keras_recipe(tmp_path / "m.keras"), tmp_path)
    assert not (tmp_path / "repo").exists()


def test_files_that_are_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(b"no model")
    with pytest.raises(BadBase, match="cannot load"):
        publish(keras_recipe(tmp_path / "m.keras"), tmp_path)
    (tmp_path / "scratch").rmdir()
    with pytest.raises(BadBase, match="no file"):
        publish(keras_recipe(tmp_path / "gone.keras"), tmp_path)


def test_a_model_that_would_run_code_of_its_own_is_refused(tmp_path: Path) -> None:
    import keras

    lambda_layer = keras.layers.Lambda(lambda tensor: tensor * 2)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), lambda_layer, keras.layers.Dense(2, "softmax")]).save(
        tmp_path / "m.keras"
    )
    with pytest.raises(BadBase):
        publish(keras_recipe(tmp_path / "m.keras"), tmp_path)


def test_labels_must_be_as_many_as_classes(tmp_path: Path) -> None:
    import keras

    small_network(keras).save(tmp_path / "m.keras")
    with pytest.raises(BadRecipe, match="names 2 classes"):
        publish(keras_recipe(tmp_path / "m.keras", labels=["a", "b"]), tmp_path)


def test_cuts_of_a_network_with_branches_and_a_nested_model() -> None:
    import keras

    inner_input = keras.Input((32, 32, 3))
    inner = keras.Model(
        inner_input, keras.layers.Conv2D(24, 3, strides=2, name="inner_conv")(inner_input), name="inner"
    )
    inputs = keras.Input((32, 32, 3))
    left = inner(keras.layers.Rescaling(1 / 255)(inputs))
    right = keras.layers.Conv2D(24, 3, strides=2, name="side")(inputs)
    both = keras.layers.Add(name="sum")([left, right])
    wide = keras.layers.Conv2D(200, 3, padding="same", name="wide")(both)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")(wide)
    model = keras.Model(inputs, keras.layers.Dense(4, "softmax")(keras.layers.Dropout(0.1)(pooled)))
    cuts = cut_tensors(model)
    assert {name: tuple(tensor.shape) for name, tensor in cuts.items()} == {
        "sum": (None, 15 * 15 * 24),
        "wide": (None, 200),
        "pooled": (None, 200),
    }


@pytest.mark.parametrize(("pooling", "kind"), [("gap", "mean"), ("flatten", "flat")])
def test_a_network_that_was_built_on_a_cut_can_be_cut_there_again(pooling: str, kind: str) -> None:
    import keras

    image = keras.Input((8, 8, 3))
    body = keras.Model(image, keras.layers.Conv2D(4, 3, name="conv")(image))
    cut = cut_tensors(body, ["conv"], pooling)["conv"]
    built = keras.Model(body.inputs[0], keras.layers.Dense(2, name="new")(cut))
    again = cut_tensors(built, ["conv", "new"], pooling)
    whole = keras.Model(built.inputs[0], [*again.values(), built.output])
    features, answers, last = whole(np.ones((3, 8, 8, 3), np.float32))
    assert f"conv_{kind}" in {layer.name for layer in built.layers}
    np.testing.assert_array_equal(answers, last)
    np.testing.assert_array_equal(features, keras.Model(body.inputs[0], cut)(np.ones((3, 8, 8, 3), np.float32)))


def test_an_mlp_from_a_table_knows_its_columns_and_is_the_same_again(tmp_path: Path) -> None:
    points, target = blobs(1)
    lines = ["x,y,label", *(f"{x},{y},{'abc'[label]}" for (x, y), label in zip(points, target, strict=True))]
    (tmp_path / "blobs.csv").write_text("\n".join(lines))
    raw = {
        "apiVersion": "transfer/v1",
        "name": "blobs",
        "base": {
            "kind": "builder",
            "name": "mlp",
            "params": {"hidden": [5, 5]},
            "fit": {"steps": 300, "learning_rate": 1e-2},
        },
        "dataset": {"uri": str(tmp_path / "blobs.csv")},
    }
    variables = []
    for place in ("one", "two"):
        home = tmp_path / place
        home.mkdir()
        version, manifest = publish(raw, home, tmp_path / "blobs.csv")
        assert manifest.input.columns == ("x", "y")
        assert dict(manifest.features) == {"dense_1": 5, "dense_2": 5}
        import tensorflow as tf

        probabilities = tf.saved_model.load(str(version)).signatures["serving_default"](inputs=tf.constant(points))
        variables.append(probabilities["probabilities"].numpy())
        right = (variables[-1].argmax(axis=1) == target).mean()
        assert right > 0.85
    assert (variables[0] == variables[1]).all()


def test_training_that_diverges_says_so() -> None:
    from training.bases.builders import build_mlp

    points, target = blobs(1)
    model = build_mlp(MlpParams(hidden=[5], standardise=False), 3, points, 0)
    broken = np.full_like(points, 1e38)
    with pytest.raises(Diverged, match="learning rate"):
        fit(model, broken, target, FitParams(steps=30), 0, lambda done, total: None)


def test_the_tutorials_network_has_its_number_of_parameters() -> None:
    from training.bases.builders import build_mlp

    model = build_mlp(MlpParams(hidden=[5, 5], standardise=False), 3, np.zeros((2, 2), dtype=np.float32), 0)
    assert model.count_params() == 63
