"""The base a head job stands on: the version named, or one derived from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.artifact import MANIFEST, InputKind, Manifest, ModelKind
from service.domain.dataset import DatasetFormat
from training.base_graph import BaseGraph, read_base_manifest
from training.bases.fitting import fitting_base
from training.bases.publishing import base_manifest, write_base
from training.bases.sources.keras_file import from_keras_file
from training.data.contents import Contents
from training.data.targets import Classes
from training.errors import BadBase, BadRecipe
from training.publish import Candidate, complete
from training.recipe import InputChoice, KerasFileBase
from training.verify import damage, digests


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that takes columns a, b, c."""
    import keras

    scratch = tmp_path_factory.mktemp("scratch")
    layers = [keras.layers.Dense(4, "tanh", name="first"), keras.layers.Dense(3, "tanh", name="second")]
    keras.Sequential([keras.Input((3,), name="inputs"), *layers, keras.layers.Dense(2, "softmax")]).save(
        scratch / "m.keras"
    )
    choice = KerasFileBase.model_validate(
        {"kind": "keras_file", "ref": str(scratch / "m.keras"), "params": {"columns": ["a", "b", "c"]}}
    )
    return written(
        from_keras_file(choice, "multiclass", 0, scratch), tmp_path_factory.mktemp("repository") / "base" / "1"
    )


def written(base: Any, directory: Path, kind: ModelKind = ModelKind.BASE) -> Path:
    from dataclasses import replace

    found = write_base(base, directory.parent.name, directory)
    manifest = replace(base_manifest(base, found["features"], {}), kind=kind)
    complete(directory, Candidate(directory.parent.name, directory, manifest, {}))
    return directory


def table(columns: str, seed: int = 0) -> Contents:
    numbers = np.random.default_rng(seed).normal(size=(20, len(columns))).astype(np.float32)
    labels = Classes(tuple("xy"[n % 2] for n in range(20)))
    digests = tuple(map(str, range(20)))
    return Contents(
        DatasetFormat.CSV, InputKind.VECTOR, Path("t.csv"), labels, digests, numbers=numbers, columns=tuple(columns)
    )


def features(directory: Path, rows: Any) -> Any:
    return BaseGraph(directory).features(np.asarray(rows, dtype=np.float32))["second"]


def test_a_base_that_suits_is_taken_as_it_is(version: Path, tmp_path: Path) -> None:
    assert fitting_base(version, table("cab"), InputChoice(), 0, tmp_path / "base") == version
    assert fitting_base(version, table("cab"), InputChoice(adapter="auto"), 0, tmp_path / "base") == version
    assert fitting_base(version, table("wxyz"), InputChoice(), 0, tmp_path / "base") == version
    assert not (tmp_path / "base").exists()


def test_a_derived_base_is_a_base_like_any_other_and_its_source_stays(version: Path, tmp_path: Path) -> None:
    before = digests(version)
    data = table("zcab")
    found = fitting_base(version, data, InputChoice(adapter="auto"), 0, tmp_path / "base")
    manifest = read_base_manifest(found)
    assert (manifest.input.shape, manifest.input.columns) == ((4,), ("z", "c", "a", "b"))
    assert list(manifest.features) == ["first", "second"]
    assert manifest.provenance["adapter"] == "select"
    assert manifest.provenance["derived_from"] == read_base_manifest(version).digest
    assert damage(found) is None
    assert data.numbers is not None
    expected = features(version, data.numbers[:, [2, 3, 1]])
    assert features(found, data.numbers) == pytest.approx(expected, abs=1e-6)
    assert digests(version) == before


def test_a_run_that_goes_on_takes_the_derived_base_it_has(version: Path, tmp_path: Path) -> None:
    found = fitting_base(version, table("ab"), InputChoice(adapter="pad"), 0, tmp_path / "base")
    stamp = (found / MANIFEST).stat().st_mtime_ns
    assert fitting_base(version, table("ab"), InputChoice(adapter="pad"), 0, tmp_path / "base") == found
    assert (found / MANIFEST).stat().st_mtime_ns == stamp
    (found / MANIFEST).unlink()
    fitting_base(version, table("ab"), InputChoice(adapter="pad"), 0, tmp_path / "base")
    assert damage(found) is None


def test_a_whole_model_becomes_a_base_by_its_own_layers(version: Path, tmp_path: Path) -> None:
    import shutil
    from dataclasses import replace

    whole = tmp_path / "whole" / "3"
    shutil.copytree(version, whole)
    manifest = read_base_manifest(version)
    full = replace(manifest, kind=ModelKind.FULL, features={})
    (whole / MANIFEST).write_text(full.to_json())
    with pytest.raises(BadBase, match="heads grow on bases"):
        read_base_manifest(whole)
    found = fitting_base(whole, table("abc"), InputChoice(), 0, tmp_path / "base")
    derived = Manifest.from_json((found / MANIFEST).read_text())
    assert (derived.kind, derived.labels, dict(derived.features)) == (ModelKind.BASE, (), {"first": 4, "second": 3})
    rows = np.ones((2, 3), np.float32)
    assert features(found, rows) == pytest.approx(features(version, rows), abs=1e-6)


def test_what_cannot_be_derived_is_said(version: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match="no column b, c"):
        fitting_base(version, table("xa"), InputChoice(adapter="select"), 0, tmp_path / "base")
    import shutil

    bare = tmp_path / "bare" / "1"
    shutil.copytree(version, bare)
    (bare / "assets.extra" / "graft" / "model.keras").unlink()
    with pytest.raises(BadBase, match="bare@1 is a base without a Keras model"):
        fitting_base(bare, table("xa"), InputChoice(adapter="project"), 0, tmp_path / "base")
