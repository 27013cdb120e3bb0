"""The traps of Keras 3 that concern bases and surgery: each shown in stock Keras where that is cheap, and avoided here.

Named after the specification's table: T1 stale flags, T2 batch normalisation, T3 nested flags, T4 custom layers, T10
signatures, T11 doubled variables, T12 several signatures, T13 labels, T14 bytes, T16 narrow outputs. T5 and T9 are with
the applications, T6 with reinitialising, T7 and T8 with objectives and the loop, T15 (empty batches) with the server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.artifact import InputKind, InputSpec
from training.bases.cuts import cut_tensors
from training.bases.sources.keras_file import from_keras_file
from training.bases.surgery.cloning import clone
from training.bases.surgery.freezing import freeze, training_graph
from training.bases.surgery.reusing import with_output
from training.errors import BadBase
from training.export.base_model import export_base, keras_network
from training.export.extras import stored_ratio
from training.finetune.batches import batches
from training.finetune.loop import Schedule, run
from training.finetune.movement import check_moved, moved, snapshot
from training.recipe import KerasFileBase, Unfreeze

DRAW = np.random.default_rng(0)
IMAGES = DRAW.normal(3, 2, size=(64, 4, 4, 2)).astype(np.float32)
WANTED = DRAW.integers(0, 2, 64)


def network(keras: Any) -> Any:
    """Two convolutions with normalisation, as features [n, width]."""
    inputs = keras.Input((4, 4, 2), name="inputs")
    tensor = inputs
    for place in (1, 2):
        start = keras.initializers.GlorotUniform(seed=place)
        tensor = keras.layers.Conv2D(3, 2, kernel_initializer=start, name=f"conv{place}")(tensor)
        tensor = keras.layers.BatchNormalization(momentum=0.5, name=f"norm{place}")(tensor)
        tensor = keras.layers.ReLU(name=f"relu{place}")(tensor)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="pooled")(tensor))


def train(model: Any, variables: Any, steps: int = 10) -> None:
    import keras

    def loss(logits: Any, wanted: Any) -> Any:
        return keras.ops.sparse_categorical_crossentropy(wanted, logits, from_logits=True)

    schedule = Schedule(steps=steps, learning_rate=0.1, optimizer="sgd")
    run(model, variables, batches(IMAGES, WANTED, None, 16, 0), loss, schedule)


def names(paths: Any) -> set[str]:
    return {"/".join(path.split("/")[-2:]) for path in paths}


def test_t1_stock_keras_does_not_notice_that_a_layer_was_frozen() -> None:
    import keras

    model = with_output(network(keras), 2, 0)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES, WANTED, verbose=0)
    model.get_layer("conv1").trainable = False
    before = snapshot(model)
    model.fit(IMAGES, WANTED, verbose=0)
    assert "conv1/kernel" in names(moved(before, snapshot(model)))


def test_t1_here_what_is_frozen_between_phases_stays_to_the_last_bit() -> None:
    import keras

    base = network(keras)
    model = with_output(base, 2, 0)
    for unfreeze in (Unfreeze(fraction=1.0), Unfreeze(last_n=1), Unfreeze(names=["conv1"])):
        trained = freeze(base, unfreeze)
        before = snapshot(model)
        variables = [*base.trainable_variables, *model.layers[-1].trainable_variables]
        train(model, variables)
        still = check_moved(before, snapshot(model), [variable.path for variable in variables])
        # A bias before a normalisation has no gradient to speak of; every kernel that was to move did.
        assert not [path for path in still if path.endswith("kernel")]
        assert {name.split("/")[0] for name in names(moved(before, snapshot(model)))} == {*trained, "logits"}


def test_t2_calling_the_base_for_inference_does_not_protect_its_statistics() -> None:
    import keras

    base = network(keras)
    inputs = keras.Input((4, 4, 2))
    logits = keras.layers.Dense(2)(base(inputs, training=False))
    model = keras.Model(inputs, logits)
    base.trainable = True
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = snapshot(model)
    model.fit(IMAGES, WANTED, verbose=0)
    assert "norm1/moving_mean" in names(moved(before, snapshot(model)))


@pytest.mark.parametrize(
    ("mode", "parts"),
    [
        ("frozen", set()),
        ("gamma_beta", {"gamma", "beta"}),
        ("train", {"gamma", "beta", "moving_mean", "moving_variance"}),
    ],
)
def test_t2_the_three_modes_of_batch_normalisation(mode: Any, parts: set[str]) -> None:
    import keras

    base = network(keras)
    freeze(base, batch_norm=mode)
    graph = with_output(training_graph(base, mode), 2, 0)
    before = snapshot(base)
    train(graph, graph.trainable_variables)
    changed = {name for name in names(moved(before, snapshot(base))) if name.startswith("norm")}
    assert changed == {f"norm{place}/{part}" for place in (1, 2) for part in parts}


def test_t2_what_was_trained_beside_fixed_statistics_is_saved_as_stock_layers(tmp_path: Path) -> None:
    import keras

    base = network(keras)
    freeze(base, batch_norm="gamma_beta")
    graph = with_output(training_graph(base, "gamma_beta"), 2, 0)
    train(graph, graph.trainable_variables)
    base.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", compile=False)
    expected = np.asarray(keras.Model(graph.inputs[0], graph.layers[-2].output)(IMAGES, training=False))
    assert (np.asarray(again(IMAGES)) == expected).all()


def test_t3_the_set_of_trained_layers_survives_a_file_as_names(tmp_path: Path) -> None:
    import keras

    inner = network(keras)
    model = keras.Sequential([keras.Input((4, 4, 2)), inner, keras.layers.Dense(2)])
    trained = freeze(model, Unfreeze(names=["conv2"]))
    model.save(tmp_path / "n.keras")
    again = clone(keras.saving.load_model(tmp_path / "n.keras", compile=False))
    assert freeze(again, Unfreeze(names=list(trained))) == ("conv2",)
    assert names(weight.path for weight in again.trainable_weights) == {"conv2/kernel", "conv2/bias"}


def test_t4_a_layer_of_ones_own_is_refused_by_name(tmp_path: Path) -> None:
    import keras

    class Doubling(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs * 2

    layers = [keras.layers.Dense(3), Doubling(name="twice"), keras.layers.Dense(2, "softmax")]
    keras.Sequential([keras.Input((4,)), *layers]).save(tmp_path / "m.keras")
    choice = KerasFileBase(kind="keras_file", ref=str(tmp_path / "m.keras"))
    with pytest.raises(BadBase, match="layer 'twice' is a Doubling, which brings code of its own"):
        from_keras_file(choice, "multiclass", 0, tmp_path)


def exported(model: Any, directory: Path, labels: tuple[str, ...], spec: InputSpec) -> Any:
    import tensorflow as tf

    names = [layer.name for layer in model.layers if layer.name in {"pooled", "hidden"}]
    found = export_base(keras_network(model, cut_tensors(model, names)), spec, labels, directory)
    return found, tf.saved_model.load(str(directory)).signatures


@pytest.fixture(scope="module")
def images_base(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An exported classifier of images: where it lies, what was written, its signatures."""
    import keras

    features = network(keras)
    model = keras.Model(features.inputs[0], keras.layers.Dense(2, "softmax")(features.outputs[0]))
    directory = tmp_path_factory.mktemp("base") / "export"
    found, signatures = exported(model, directory, ("no", "yes"), InputSpec(InputKind.IMAGE, (4, 4, 2)))
    return model, directory, found, signatures


def test_t10_signatures_have_names_of_our_own_and_any_batch(images_base: Any) -> None:
    _, _, _, signatures = images_base
    (given,) = signatures["serving_default"].structured_input_signature[1].items()
    assert given[0] == "inputs"
    assert given[1].shape.as_list() == [None, 4, 4, 2]
    assert set(signatures["serving_default"].structured_outputs) == {"probabilities", "classes", "scores"}
    assert set(signatures["features"].structured_outputs) == {"pooled"}


def test_t11_stock_export_writes_each_weight_twice_and_ours_once(images_base: Any, tmp_path: Path) -> None:
    model, directory, found, _ = images_base
    model.export(str(tmp_path / "stock"), verbose=False)
    weights = {str(at): int(np.prod(weight.shape)) * 4 for at, weight in enumerate(model.weights)}
    assert stored_ratio(tmp_path / "stock", weights) > 1.5
    assert sum(found.weights.values()) == sum(weights.values())
    assert stored_ratio(directory, found.weights) <= 1.1


def test_t12_signatures_agree_with_each_other_and_the_model(images_base: Any) -> None:
    import tensorflow as tf

    model, _, _, signatures = images_base
    rows = IMAGES[:4]
    expected = np.asarray(model(rows))
    assert np.abs(signatures["serving_default"](inputs=tf.constant(rows))["probabilities"] - expected).max() <= 1e-6
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={"inputs": tf.train.Feature(float_list=tf.train.FloatList(value=row.ravel().tolist()))}
            )
        ).SerializeToString()
        for row in rows
    ]
    assert np.abs(signatures["classify"](inputs=tf.constant(examples))["scores"] - expected).max() <= 1e-6


def test_t13_labels_are_strings_in_the_graph(images_base: Any) -> None:
    import tensorflow as tf

    model, directory, _, signatures = images_base
    answered = signatures["serving_default"](inputs=tf.constant(IMAGES))
    best = np.asarray(model(IMAGES)).argmax(axis=1)
    assert [one.decode() for one in answered["classes"].numpy()[:, 0]] == [("no", "yes")[place] for place in best]
    assert not list((directory / "assets").iterdir()) if (directory / "assets").exists() else True


def test_t14_no_output_ends_in_what_rest_takes_for_base64(images_base: Any) -> None:
    _, _, _, signatures = images_base
    outputs = {name for signature in signatures.values() for name in signature.structured_outputs}
    assert not [name for name in outputs if name.endswith("_bytes")]


def test_t16_a_model_of_narrow_numbers_answers_in_float32(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    layers = [
        keras.layers.Dense(4, "relu", dtype="mixed_bfloat16", name="hidden"),
        keras.layers.Dense(3, "softmax", dtype="mixed_bfloat16"),
    ]
    model = keras.Sequential([keras.Input((5,)), *layers])
    assert str(model.outputs[0].dtype) == "bfloat16"
    model.save(tmp_path / "m.keras")
    choice = KerasFileBase(kind="keras_file", ref=str(tmp_path / "m.keras"))
    base = from_keras_file(choice, "multiclass", 0, tmp_path)
    export_base(base.network, base.spec, base.labels, tmp_path / "export")
    answered = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"](inputs=tf.ones((2, 5)))
    assert answered["probabilities"].dtype == tf.float32
    assert np.asarray(answered["probabilities"]).sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert {weight.dtype for weight in base.model.weights} == {"float32"}
    assert {layer.compute_dtype for layer in base.model.layers} == {"float32"}
