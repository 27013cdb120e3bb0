"""Finished Keras models as bases: both formats, every task, and what is refused with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.artifact import InputKind
from training.bases.base_model import BaseModel
from training.bases.keras_file import file_digest
from training.bases.sources.keras_file import from_keras_file
from training.errors import BadBase, BadRecipe
from training.export.base_model import export_base
from training.recipe import KerasFileBase


def taken(file: Path, task: str = "multiclass", **more: Any) -> BaseModel:
    return from_keras_file(KerasFileBase(kind="keras_file", ref=str(file), **more), task, 0, file.parent)


def saved(layers: Any, file: Path) -> Any:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "relu", name="hidden"), *layers(keras)])
    model.save(file)
    return model


@pytest.mark.parametrize(("written", "called"), [("m.h5", "m.h5"), ("m.h5", "m.keras"), ("m.keras", "m.h5")])
def test_either_format_under_either_name_and_the_file_stays_as_it_was(
    tmp_path: Path, written: str, called: str
) -> None:
    model = saved(lambda keras: [keras.layers.Dense(3, "softmax")], tmp_path / written)
    file = (tmp_path / written).rename(tmp_path / f"theirs-{called}")
    before = file_digest(file)
    base = taken(file)
    weights = [np.asarray(weight) for weight in model.weights]
    assert all((np.asarray(one) == two).all() for one, two in zip(base.model.weights, weights, strict=True))
    for weight in base.model.weights:
        weight.assign(weight * 0)
    assert file_digest(file) == before
    assert base.facts["source_digest"] == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize(
    ("units", "activation", "task", "answers", "signatures"),
    [
        (3, "sigmoid", "multilabel", "multilabel", {"classify"}),
        (1, "linear", "regression", "regression", {"regress"}),
        (2, "linear", "regression", "regression", set()),
        (1, "sigmoid", "binary", "binary", {"classify"}),
        (3, "linear", "multiclass", "multiclass", {"classify"}),
    ],
)
def test_every_task_is_served_as_its_kind(
    tmp_path: Path, units: int, activation: str, task: str, answers: str, signatures: set[str]
) -> None:
    import keras
    import tensorflow as tf

    model = saved(lambda keras: [keras.layers.Dense(units, activation)], tmp_path / "m.keras")
    base = taken(tmp_path / "m.keras", task)
    assert base.task == answers
    export_base(base.network, base.spec, base.labels, tmp_path / "export", base.task)
    loaded = tf.saved_model.load(str(tmp_path / "export")).signatures
    assert set(loaded) == {"serving_default", "features", "features_from_examples", *signatures}
    rows = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    plain = np.asarray(model(rows))
    if activation == "linear" and task == "multiclass":
        plain = np.asarray(keras.ops.softmax(plain))
    if task == "binary":
        plain = np.concatenate([1 - plain, plain], axis=1)
    answered = loaded["serving_default"](inputs=tf.constant(rows))
    found = answered["values" if task == "regression" else "probabilities"].numpy()
    assert found == pytest.approx(plain, abs=1e-5)


def test_cuts_are_those_asked_for(tmp_path: Path) -> None:
    saved(
        lambda keras: [keras.layers.Dense(4, "relu", name="top"), keras.layers.Dense(3, "softmax")],
        tmp_path / "m.keras",
    )
    assert dict(taken(tmp_path / "m.keras", cuts=["hidden"]).network.widths) == {"hidden": 5}
    with pytest.raises(BadRecipe, match="no layer 'hiden' to cut after; did you mean hidden"):
        taken(tmp_path / "m.keras", cuts=["hiden"])


def test_a_nested_layer_is_cut_by_its_address(tmp_path: Path) -> None:
    import keras

    inner = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, name="block5_conv1")], name="base")
    layers = [inner, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(tmp_path / "m.keras")
    base = taken(tmp_path / "m.keras", cuts=["base/block5_conv1"], pooling="gap")
    assert dict(base.network.widths) == {"block5_conv1": 2}


def test_texts_and_tokens_are_known_by_the_first_layer(tmp_path: Path) -> None:
    import keras

    words = keras.layers.TextVectorization(output_sequence_length=3, vocabulary=["good", "bad"])
    rest = [keras.layers.Embedding(4, 2), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(2, "softmax")]
    keras.Sequential([keras.Input((), dtype="string"), words, *rest]).save(tmp_path / "text.keras")
    assert taken(tmp_path / "text.keras").spec.kind is InputKind.TEXT
    keras.Sequential([keras.Input((3,)), *rest]).save(tmp_path / "tokens.keras")
    spec = taken(tmp_path / "tokens.keras").spec
    assert (spec.kind, spec.shape, spec.dtype) == (InputKind.TOKENS, (3,), "int32")


def test_code_of_its_own_is_refused_with_the_layers_name(tmp_path: Path) -> None:
    for file in ("m.keras", "m.h5"):
        saved(
            lambda keras: [keras.layers.Lambda(lambda x: x * 2, name="trick"), keras.layers.Dense(2, "softmax")],
            tmp_path / file,
        )
        with pytest.raises(BadBase, match="layer 'trick' is a Lambda, which brings code of its own"):
            taken(tmp_path / file)


def test_broken_files_and_weights_alone(tmp_path: Path) -> None:
    for name in ("m.keras", "m.h5"):
        model = saved(lambda keras: [keras.layers.Dense(2, "softmax")], tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        for share in (0.3, 0.9):
            (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(BadBase, match="cannot load"):
                taken(tmp_path / name)
    model.save_weights(tmp_path / "only.weights.h5")
    with pytest.raises(BadBase, match="weights"):
        taken(tmp_path / "only.weights.h5")
