"""Several published bases as one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.bases.publishing import base_manifest, write_base
from training.bases.sources.ensemble import from_ensemble
from training.bases.sources.keras_file import from_keras_file
from training.errors import BadBase
from training.export.base_model import export_base
from training.export.extras import stored_ratio
from training.publish import Candidate, complete
from training.recipe import EnsembleBase, KerasFileBase


def published(repository: Path, name: str, width: int, classes: int, scratch: Path) -> Any:
    import keras

    layers = [keras.layers.Dense(3, "relu", name="wide"), keras.layers.Dense(2, "relu", name="deep")]
    model = keras.Sequential([keras.Input((width,)), *layers, keras.layers.Dense(classes, "softmax")])
    model.save(scratch / f"{name}.keras")
    choice = KerasFileBase(kind="keras_file", ref=str(scratch / f"{name}.keras"))
    base = from_keras_file(choice, "multiclass", 0, scratch)
    directory = repository / name / "1"
    found = write_base(base, name, directory)
    complete(directory, Candidate(name, directory, base_manifest(base, found["features"], {}), {}))
    return model


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A repository with two bases that go together and two that do not; the two models."""
    repository, scratch = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("scratch")
    models = [published(repository, name, 4, 3, scratch) for name in ("one", "two")]
    published(repository, "wider", 5, 3, scratch)
    published(repository, "other", 4, 2, scratch)
    return repository, models


def ensemble(repository: Path, members: list[str], combine: Any = "features") -> Any:
    return from_ensemble(EnsembleBase(kind="ensemble", members=members, combine=combine), repository, 0)


def test_features_side_by_side_are_the_members_last_ones(members: Any, tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    repository, models = members
    base = ensemble(repository, ["one", "two@1"])
    assert dict(base.network.widths) == {"joined": 4, "one": 2, "two-1": 2}
    found = export_base(base.network, base.spec, (), tmp_path / "export")
    assert stored_ratio(tmp_path / "export", found.weights) <= 1.1
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    deep = [np.asarray(keras.Model(model.inputs[0], model.get_layer("deep").output)(rows)) for model in models]
    features = tf.saved_model.load(str(tmp_path / "export")).signatures["features"](inputs=tf.constant(rows))
    assert features["joined"].numpy() == pytest.approx(np.concatenate(deep, axis=1), abs=1e-6)


def test_answers_averaged(members: Any) -> None:
    repository, models = members
    base = ensemble(repository, ["one", "two"], "probabilities")
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    expected = np.mean([np.asarray(model(rows)) for model in models], axis=0)
    assert base.labels == ("0", "1", "2")
    assert np.asarray(base.network.answer(rows)) == pytest.approx(expected, abs=1e-6)


def test_members_that_do_not_go_together(members: Any) -> None:
    repository, _ = members
    with pytest.raises(BadBase, match=r"one takes vector \[4\], wider takes vector \[5\]"):
        ensemble(repository, ["one", "wider"])
    with pytest.raises(BadBase, match="same classes: one has 0, 1, 2, other has 0, 1"):
        ensemble(repository, ["one", "other"], "probabilities")
    with pytest.raises(BadBase, match="no base gone"):
        ensemble(repository, ["one", "gone"])


def test_the_ensemble_stands_without_its_members(members: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    repository = tmp_path / "repository"
    shutil.copytree(members[0], repository)
    base = ensemble(repository, ["one", "two"])
    export_base(base.network, base.spec, (), tmp_path / "export")
    shutil.rmtree(repository)
    features = tf.saved_model.load(str(tmp_path / "export")).signatures["features"]
    assert features(inputs=tf.zeros((2, 4)))["joined"].shape == (2, 4)
