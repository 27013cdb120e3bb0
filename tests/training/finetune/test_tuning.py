"""Fine-tuning small networks: where it starts, what it moves and what it must not, and what it says of itself."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.domain.learning import LearningTask
from training.bases.surgery.reusing import with_output
from training.data.targets import Classes
from training.errors import BadRecipe, Diverged
from training.finetune.inputs import Predictor
from training.finetune.material import Material, perfect_scores
from training.finetune.movement import moved, snapshot
from training.finetune.tuning import RATES, Tuned, length_of, tune
from training.objectives import objective_for
from training.recipe import FinetuneChoice, HeadChoice

SHAPE = (6, 6, 1)
ITEMS, WATCHED = 90, 40


def base(seed: int = 0) -> Any:
    """Two convolutions with normalisation that has seen other data, dropout, features [n, 16]."""
    import keras

    def start(at: int) -> Any:
        return keras.initializers.HeUniform(seed=seed + at)

    entry = keras.Input(SHAPE)
    tensor = keras.layers.Conv2D(4, 3, activation="relu", kernel_initializer=start(1), name="low")(entry)
    tensor = keras.layers.BatchNormalization(name="low_norm")(tensor)
    tensor = keras.layers.Conv2D(4, 3, activation="relu", kernel_initializer=start(2), name="high")(tensor)
    tensor = keras.layers.BatchNormalization(name="high_norm")(tensor)
    tensor = keras.layers.Dropout(0.2, seed=seed)(tensor)
    model = keras.Model(entry, keras.layers.Flatten(name="flat")(tensor))
    draw = np.random.default_rng(seed)
    for name in ("low_norm", "high_norm"):
        layer = model.get_layer(name)
        layer.set_weights([draw.uniform(0.5, 1.5, size=weight.shape) for weight in layer.weights])
    return model


def material() -> Material:
    """Whether the left or the right half is brighter."""
    draw = np.random.default_rng(1)
    inputs = draw.normal(size=(ITEMS + WATCHED, *SHAPE)).astype(np.float32)
    labels = tuple("lr"[int(right)] for right in draw.uniform(size=len(inputs)) < 0.5)
    for image, label in zip(inputs, labels, strict=True):
        image[:, 3:] += 0.7 if label == "r" else -0.7
    targets = Classes(labels)
    objective = objective_for(LearningTask.MULTICLASS, targets, labels=None, choice=HeadChoice())
    wanted = objective.targets(targets)
    return Material(objective, inputs[:ITEMS], wanted[:ITEMS], None, inputs[ITEMS:], wanted[ITEMS:])


def tuned(choice: dict[str, Any], seed: int = 0, given: Material | None = None) -> tuple[Tuned, Any, dict[str, Any]]:
    """The result, the model, and its weights before."""
    features = base()
    model = with_output(features, 2, seed=3)
    settings = {"steps": 60, "learning_rate": 1e-2, "batch": 16, "warmup": 5, **choice}
    before = snapshot(model)
    found = tune(features, model, given or material(), FinetuneChoice(**settings), seed, lambda *_: None)
    return found, model, before


def digest(model: Any) -> str:
    return hashlib.sha256(b"".join(value.tobytes() for value in snapshot(model).values())).hexdigest()


def layers_moved(model: Any, before: dict[str, Any]) -> set[str]:
    return {path.rsplit("/", 1)[0] for path in moved(before, snapshot(model))}


def test_only_what_was_thawed_moves_and_the_rest_is_the_same_to_the_bit() -> None:
    found, model, before = tuned({"unfreeze": {"last_n": 1}})
    assert found.layers == ("high",)
    assert layers_moved(model, before) == {"high", "logits"}, "no statistics, no scale, no lower layer"
    assert found.trainable_parameters == 4 * 4 * 9 + 4 + 16 * 2 + 2
    assert found.total_parameters == sum(value.size for value in before.values())
    assert found.displacement["high"] > 0 == found.displacement["low"]
    assert found.unmoved == []


@pytest.mark.parametrize(
    ("batch_norm", "changed"),
    [
        ("frozen", set()),
        ("gamma_beta", {"gamma", "beta"}),
        ("train", {"gamma", "beta", "moving_mean", "moving_variance"}),
    ],
)
def test_batch_normalisation_has_three_modes(batch_norm: str, changed: set[str]) -> None:
    _, model, before = tuned({"mode": "full", "batch_norm": batch_norm})
    paths = moved(before, snapshot(model))
    assert {path.rsplit("/", 1)[1] for path in paths if "norm" in path} == changed
    assert {"low/kernel", "high/kernel"} <= paths


def test_auto_tries_every_rate_from_the_same_start_and_keeps_the_best() -> None:
    found, model, _ = tuned({"learning_rate": "auto", "mode": "full"})
    assert [trial["learning_rate"] for trial in found.trials] == list(RATES)
    best = max(found.trials, key=lambda trial: (trial["score"], -trial["loss"]))
    assert found.learning_rate == best["learning_rate"]
    given = material()
    score, loss = given.watched(Predictor(model))  # type: ignore[misc]
    assert (score, -loss) == (best["score"], pytest.approx(best["loss"])), "the best trial's best state is what remains"
    assert found.history.best_score == best["score"]


def test_the_same_seed_gives_the_same_weights() -> None:
    digests = [digest(tuned({"mode": "full"}, seed)[1]) for seed in (5, 5, 6)]
    assert digests[0] == digests[1] != digests[2]


def test_gradual_thaws_from_the_top_and_groups_below_are_slower() -> None:
    found, model, before = tuned({"mode": "full", "schedule": "gradual", "group_decay": 2.6, "patience": 100})
    assert found.history.steps == 60
    assert layers_moved(model, before) == {"low", "high", "logits"}
    at_once = tuned({"mode": "full", "patience": 100})[0]
    assert found.displacement["low"] < at_once.displacement["low"]


def test_a_random_head_would_send_larger_gradients_into_the_base() -> None:
    features = base()
    model = with_output(features, 2, seed=3)
    given = material()
    # A head that is fitted on the features, as the probe phase leaves it.
    answers = np.asarray(features(given.inputs))
    centred = answers - answers.mean(axis=0)
    kernel = np.linalg.lstsq(centred, 4.0 * np.eye(2)[given.wanted] - 2.0, rcond=None)[0].astype(np.float32)
    model.layers[-1].set_weights([kernel, -(answers.mean(axis=0) @ kernel)])
    fresh = [np.random.default_rng(0).normal(0, 1, size=weight.shape) for weight in model.layers[-1].weights]
    choice = FinetuneChoice(steps=1, learning_rate=1e-5)
    found = tune(features, model, given, choice, 0, lambda *_: None, fresh_head=fresh)
    assert 0 < found.gradient_norms["fitted_head"] < found.gradient_norms["random_head"] / 2


def test_it_refuses_to_train_nothing_and_says_what_diverges() -> None:
    with pytest.raises(BadRecipe, match="no layer"):
        tuned({"unfreeze": {"names": ["hihg"]}})
    given = material()
    with pytest.raises(Diverged, match="smaller"):
        tuned({"optimizer": "sgd"}, given=replace(given, inputs=given.inputs * np.float32(1e30)))


def test_epochs_become_steps() -> None:
    assert length_of(FinetuneChoice(), 90) == 500
    assert length_of(FinetuneChoice(steps=7), 90) == 7
    assert length_of(FinetuneChoice(epochs=4, batch=32), 90) == 8
    assert length_of(FinetuneChoice(epochs=0.1, batch=32), 90) == 1
    assert length_of(FinetuneChoice(epochs=3, batch=32), 10) == 3
    found, _, _ = tuned({"steps": None, "epochs": 4})
    assert (found.steps, found.epochs) == (20, 3.56)


def test_perfect_answers_score_best() -> None:
    given = material()
    assert perfect_scores(given.objective, given.held_wanted).mean() == 1.0
