"""What a head job may end in: a linear head, a network on features, a fine-tuned model; each from data to the answers
of a server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.artifact import KERAS_MODEL, LINEAGE, MANIFEST, REPORT, Manifest, ModelKind
from service.domain.progress import Finished
from training.finetune.movement import moved, snapshot
from training.pipeline import HeadRun
from training.recipe import parse_overrides
from training.task import Task
from training.workarea import WorkArea


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that ended, and where its version lies."""

    run: HeadRun
    finished: Finished
    home: Path

    @property
    def version(self) -> Path:
        return self.home / "fives" / str(self.finished.version)

    @property
    def manifest(self) -> Manifest:
        return Manifest.from_json((self.version / MANIFEST).read_text())

    def document(self, place: Any) -> dict[str, Any]:
        return json.loads((self.version / place).read_text())  # type: ignore[no-any-return]


def ended(base: Path, file: Path, home: Path, cut: str = "auto", **recipe: Any) -> Ended:
    task = Task("fives", "digits", 1, base, file, home / "repo", job_id="j1")
    run = HeadRun(task, parse_overrides(recipe), WorkArea(home / "work", task.identity()), lambda _: None, cut=cut)
    return Ended(run, run.run(), home / "repo")


@pytest.fixture(scope="module")
def fives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of the digits 5-9 that lie on their side: the base has seen others, and upright."""
    from training.builtin import digits

    images, target = digits(5, 9)
    file = tmp_path_factory.mktemp("fives") / "fives.npz"
    np.savez(file, x=np.rot90(images[:500], axes=(1, 2)), y=target[:500])
    return file


@pytest.fixture(scope="module")
def tuned(base_repository: Any, fives: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """At its last layer the narrow base carries them badly, so that fine-tuning has something to gain."""
    return ended(
        base_repository.base,
        fives,
        tmp_path_factory.mktemp("tuned"),
        cut="dense",
        finetune={"learning_rate": 3e-3, "steps": 300, "mode": "full", "patience": 30},
        baselines=["majority", "linear_raw", "random_features", "scratch"],
    )


def served(home: Path, inputs: np.ndarray) -> Mapping[str, np.ndarray]:
    """What the service answers, with its own loader and engine, batching included."""
    from service.adapters.engines.tensorflow_engine import TensorFlowEngine
    from service.adapters.repositories import DirectoryRepository
    from service.application.batching import BatchLimits
    from service.application.graphs import SharedGraphs
    from service.application.lanes import Lanes
    from service.application.loading import Loader
    from tests.support.serving_fakes import RecordingObserver

    async def ask() -> Mapping[str, np.ndarray]:
        repository, engine, observer, lanes = (
            DirectoryRepository(home),
            TensorFlowEngine(),
            RecordingObserver(),
            Lanes(1),
        )
        graphs = SharedGraphs(engine, lanes, BatchLimits(), observer)
        (listing,) = repository.scan()["fives"]
        online = await asyncio.to_thread(Loader(repository, engine, graphs, observer).prepare, listing, {})
        try:
            return await online.endpoint("serving_default").call({"inputs": inputs})
        finally:
            lanes.close()

    return asyncio.run(ask())


def test_fine_tuning_that_pays_is_published_as_a_model_of_its_own(tuned: Ended) -> None:
    found = tuned.run.found["finetune"]
    assert found["kept"], found["reason"]
    assert found["score"] > found["probe_score"]
    manifest = tuned.manifest
    assert manifest.kind is ModelKind.FULL
    assert manifest.base is not None
    assert manifest.base.digest == tuned.run.base_manifest.digest
    assert manifest.provenance["unfrozen"] == ["conv_1", "conv_2", "dense"]
    assert not manifest.routes
    assert tuned.finished.metrics["accuracy"] > 0.9
    assert tuned.document(REPORT)["arms"]["probe"]["accuracy"] < tuned.finished.metrics["accuracy"]
    assert tuned.document(LINEAGE)


def test_it_started_at_exactly_the_probes_answers(tuned: Ended) -> None:
    assert tuned.run.found["finetune"]["start_gap"] < 1e-4
    # Which of the two is larger depends on how good the features are; both are measured.
    assert min(tuned.run.found["finetune"]["gradient_norms"].values()) > 0


def test_all_its_forms_give_the_same_answers(tuned: Ended) -> None:
    import keras
    import tensorflow as tf

    items = tuned.run.watched[:8]
    inputs = tuned.run.area.arrays("sample")["inputs"]
    model = keras.saving.load_model(tuned.version / KERAS_MODEL, compile=False, safe_mode=True)
    by_keras = np.asarray(model(inputs, training=False))
    graph = tf.saved_model.load(str(tuned.version))
    by_graph = graph.signatures["serving_default"](inputs=tf.constant(inputs))["probabilities"].numpy()
    by_service = served(tuned.home, inputs)
    assert np.abs(by_graph - by_keras).max() < 1e-5
    assert np.abs(by_service["probabilities"] - by_graph).max() < 1e-5
    assert by_service["classes"][:, 0].tolist() == [
        tuned.run.labels[place].encode() for place in by_graph.argmax(axis=1)
    ]
    assert graph.signatures["features"](inputs=tf.constant(inputs))["dense"].shape == (8, 32)
    logits = tuned.run.candidate.logits(items)
    temperature = tuned.run.found["calibrate"]["temperature"]
    answered = model(tuned.run.contents.numbers[items].reshape(-1, 8, 8, 1), training=False)
    expected = np.exp(logits / temperature)
    assert np.abs(np.asarray(answered) - expected / expected.sum(axis=1, keepdims=True)).max() < 1e-5


def test_every_arm_has_its_figures_and_its_cost(tuned: Ended) -> None:
    arms = tuned.document(REPORT)["arms"]
    assert arms.keys() == {"candidate", "majority", "probe", "linear_raw", "random_features", "scratch"}
    for name in ("candidate", "probe", "linear_raw", "random_features", "scratch"):
        assert arms[name]["seconds"] > 0, name
        assert arms[name]["trainable_parameters"] > 0, name
    # The first convolution 3x3x1x8, the second 3x3x8x16, the dense layer from 4x4 maps pooled to 2x2x16, the head.
    whole = 80 + 1168 + (64 * 32 + 32) + (32 * 5 + 5)
    assert arms["candidate"]["trainable_parameters"] == arms["scratch"]["trainable_parameters"] == whole
    assert arms["probe"]["trainable_parameters"] == arms["random_features"]["trainable_parameters"] == 32 * 5 + 5
    assert 0 < arms["scratch"]["steps"] <= 300
    assert tuned.finished.metrics["configs_tried"] >= 5 + 5 + 5 + 1 + 1


def test_fine_tuning_that_does_not_pay_leaves_the_probe(base_repository: Any, fives: Path, tmp_path: Path) -> None:
    found = ended(base_repository.base, fives, tmp_path, baselines=["majority"], finetune={"learning_rate": 1e-5})
    assert not found.run.found["finetune"]["kept"]
    assert found.run.found["finetune"]["reason"]
    assert found.manifest.kind is ModelKind.HEAD
    assert "probe" not in found.document(REPORT)["arms"]


def test_hidden_layers_are_fitted_on_features_and_published_whole(
    base_repository: Any, fives: Path, tmp_path: Path
) -> None:
    found = ended(
        base_repository.base,
        fives,
        tmp_path,
        head={"hidden": [16], "dropout": 0.1, "label_smoothing": 0.05},
        finetune={"enabled": "never"},
        baselines=["majority"],
    )
    manifest, arms = found.manifest, found.document(REPORT)["arms"]
    assert manifest.kind is ModelKind.FULL
    assert arms["candidate"]["accuracy"] > 0.85
    width = found.run.base_manifest.features[found.run.found["probe"]["cut"]]
    assert arms["candidate"]["trainable_parameters"] == width * 16 + 16 + 16 * 5 + 5
    assert "probe" in arms, "the linear head stands beside it"
    assert (found.version / KERAS_MODEL).exists()
    inputs = found.run.area.arrays("sample")["inputs"]
    assert np.abs(served(found.home, inputs)["probabilities"].sum(axis=1) - 1).max() < 1e-5


def test_numbers_are_learned_with_hidden_layers_and_answered_in_their_units(
    base_repository: Any, tmp_path: Path
) -> None:
    from service.domain.learning import LearningTask
    from training.builtin import digits
    from training.data.reading import Reading

    images, target = digits(5, 9)
    np.savez(tmp_path / "values.npz", x=images[:300], y=100.0 + 10.0 * target[:300])
    recipe = {
        "head": {"task": "regression", "hidden": [16]},
        "finetune": {"enabled": "never"},
        "baselines": ["majority"],
        "gate": {"mode": "record"},
    }
    task = Task(
        "fives",
        "digits",
        1,
        base_repository.base,
        tmp_path / "values.npz",
        tmp_path / "repo",
        job_id="j1",
        reading=Reading(task=LearningTask.REGRESSION),
    )
    run = HeadRun(task, parse_overrides(recipe), WorkArea(tmp_path / "work", task.identity()), lambda _: None)
    finished = run.run()
    assert finished.version == 1
    assert finished.metrics["value"] < 8.0
    inputs = run.area.arrays("sample")["inputs"]
    values = served(tmp_path / "repo", inputs)["values"]
    assert 140 < values.min() < values.max() < 200


def test_the_same_recipe_gives_the_same_weights(
    base_repository: Any, fives: Path, tuned: Ended, tmp_path: Path
) -> None:
    settings = {"learning_rate": 3e-3, "steps": 300, "mode": "full", "patience": 30}
    again = ended(base_repository.base, fives, tmp_path, "dense", finetune=settings, baselines=["majority"])
    weights = [snapshot(ended.run.candidate.model) for ended in (tuned, again)]  # type: ignore[attr-defined]
    assert weights[0].keys() == weights[1].keys()
    # The files differ: TensorFlow numbers the functions of a graph anew in each trace.
    assert moved(*weights) == frozenset()
