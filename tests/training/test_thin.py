"""Thin heads: published without a graph, served through their base, and made complete again with the same answers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_fakes import RecordingObserver

from service.adapters.engines.tensorflow_engine import TensorFlowEngine
from service.adapters.repositories import DirectoryRepository
from service.application.graphs import SharedGraphs
from service.application.lanes import Lanes
from service.application.loading import Loader
from service.domain.artifact import CHECKSUMS, EXTRA, GOLDEN, MANIFEST, Manifest
from service.domain.batches import BatchLimits
from service.domain.errors import ModelFailed
from training.__main__ import main
from training.pipeline import HeadRun
from training.recipe import parse_overrides
from training.task import Task
from training.workarea import WorkArea

INPUTS = np.random.default_rng(3).integers(0, 256, (5, 8, 8, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def thin(base_repository: Any, digits_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thin version, published by a job beside its base."""
    home = tmp_path_factory.mktemp("thin")
    shutil.copytree(base_repository.root, home / "repo")
    base = home / "repo" / "digits" / "1"
    task = Task("fives", "digits", 1, base, digits_file, home / "repo", job_id="j1")
    recipe = parse_overrides({"publish": {"form": "thin"}, "gate": {"mode": "record"}})
    finished = HeadRun(task, recipe, WorkArea(home / "j1", task.identity()), lambda event: None).run()
    assert finished.version == 1
    return home / "repo" / "fives" / "1"


def answers(directory: Path) -> dict[str, Any]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(directory))
    outputs = loaded.signatures["serving_default"](inputs=tf.constant(INPUTS))
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def prepared(version: Path) -> tuple[Loader, Any]:
    """The version as a server prepares it."""
    repository = DirectoryRepository(version.parent.parent)
    listings = {one.id.model: one for found in repository.scan().values() for one in found}
    observer = RecordingObserver()
    engine = TensorFlowEngine(tags=["serve"])
    loader = Loader(repository, engine, SharedGraphs(engine, Lanes(1), BatchLimits(), observer), observer)
    bases = {one.manifest.digest: one for one in listings.values() if one.manifest and one.manifest.features}
    return loader, loader.prepare(listings["fives"], bases)


def test_it_holds_no_graph_and_says_what_it_holds(thin: Path) -> None:
    files = {str(path.relative_to(thin)) for path in thin.rglob("*") if path.is_file()}
    assert all(file.startswith(f"{EXTRA}/") for file in files)
    manifest = Manifest.from_json((thin / MANIFEST).read_text())
    assert manifest.thin
    assert set(manifest.files) == files - {str(MANIFEST)}
    listed = {line.split("  ")[1] for line in (thin / CHECKSUMS).read_text().splitlines()}
    assert listed == files - {str(MANIFEST), str(CHECKSUMS)}
    subprocess.run(["sha256sum", "--check", "--quiet", str(CHECKSUMS)], cwd=thin, check=True)


def test_what_it_is_exported_to_answers_the_same_in_a_fresh_process(thin: Path, tmp_path: Path) -> None:
    out = tmp_path / "complete"
    assert main(["export", str(thin), "--out", str(out)]) == 0
    assert subprocess.run([sys.executable, "-m", "training", "verify", str(out)], check=False).returncode == 0
    manifest = Manifest.from_json((out / MANIFEST).read_text())
    assert not manifest.thin
    assert set(manifest.files) == {
        str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and path.name != MANIFEST.name
    }
    subprocess.run(["sha256sum", "--check", "--quiet", str(CHECKSUMS)], cwd=out, check=True)
    loader, online = prepared(thin)
    endpoint = online.endpoint("serving_default")
    served = endpoint.finish(online.shared.graph.run(endpoint.runs, {"inputs": INPUTS}))
    complete = answers(out)
    assert served.keys() == complete.keys()
    assert np.abs(served["probabilities"] - complete["probabilities"]).max() <= 1e-5
    assert served["classes"].tolist() == complete["classes"].tolist()
    signatures = TensorFlowEngine(tags=["serve"]).signatures(out)
    assert {name: (set(one.inputs), set(one.outputs), one.method) for name, one in signatures.items()} == {
        name: (set(one.signature.inputs), set(one.signature.outputs), one.signature.method)
        for name, one in online.endpoints.items()
    }
    loader.release(online)


def test_a_complete_version_and_a_place_that_is_taken_are_refused(
    thin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = thin.parent.parent / "digits" / "1"
    assert main(["export", str(base), "--out", str(tmp_path / "out")]) == 1
    assert "it is complete as it is" in capsys.readouterr().err
    assert main(["export", str(thin), "--out", str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err


def test_without_its_base_it_is_neither_exported_nor_served(
    thin: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "repo" / "fives" / "1"
    shutil.copytree(thin, alone)
    assert main(["export", str(alone), "--out", str(tmp_path / "out")]) == 1
    assert "the base digits@1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(ModelFailed, match=r"answers by its base digits@1, .* is not in the repository"):
        prepared(alone)


def test_a_base_with_another_golden_pair_proves_nothing(thin: Path, tmp_path: Path) -> None:
    shutil.copytree(thin.parent.parent, tmp_path / "repo")
    golden = tmp_path / "repo" / "digits" / "1" / GOLDEN
    with np.load(golden) as file:
        arrays = {name: array[:2] for name, array in file.items()}
    np.savez(golden, **arrays)
    place = tmp_path / "repo" / "digits" / "1" / MANIFEST
    manifest = Manifest.from_json(place.read_text())
    files = {**manifest.files, str(GOLDEN): sha256(golden.read_bytes()).hexdigest()}
    place.write_text(replace(manifest, files=files).to_json())
    with pytest.raises(ModelFailed, match="no longer, those of its base"):
        prepared(tmp_path / "repo" / "fives" / "1")
