"""What transfer is held against: the same network trained from nothing, and a linear head on random features.

Both need the base's layers. Each is skipped, with the reason, where it would take longer than it is worth.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from service.domain.artifact import KERAS_MODEL
from training.bases.surgery.layers import leaves
from training.bases.surgery.reinitialising import reinitialise
from training.candidates.candidate import Cost, Doubles, Items
from training.candidates.finetuning import material_of
from training.candidates.layers import base_layers
from training.candidates.probing import choose_penalty, save_linear
from training.finetune.augment import augmenter, resolve_policy
from training.finetune.batches import batches
from training.finetune.inputs import Predictor, training_inputs
from training.finetune.loop import Schedule
from training.finetune.loop import run as train
from training.finetune.rule import expected_seconds
from training.finetune.tuning import length_of
from training.seeds import child_seed

if TYPE_CHECKING:
    from training.head_state import HeadState

RANDOM_FEATURES, SCRATCH = "random_features", "scratch"
SCRATCH_FILE = "scratch.keras"
SCRATCH_RATE = 1e-3
PATIENCE = 8
"""Looks; a network that starts from nothing may stand still for a while."""


def fit_baselines(run: HeadState, told: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Fit those the recipe asks for; by name whether it was ``fitted``, why not, and what it took."""
    steps = length_of(run.recipe.finetune, len(run.fitting))
    expected = {
        RANDOM_FEATURES: 2.0 * len(run.contents) * run.seconds_an_item,
        SCRATCH: expected_seconds(steps, run.recipe.finetune.batch, 1, run.seconds_an_item, 1.0),
    }
    fits = {RANDOM_FEATURES: _random_features, SCRATCH: _scratch}
    found: dict[str, Any] = {}
    for place, (name, fit) in enumerate(fits.items()):
        if name not in run.recipe.baselines:
            continue
        reason = _too_much(run, expected[name])
        if reason is not None:
            found[name] = {"fitted": False, "reason": reason}
            continue
        began = time.monotonic()

        def heard(done: int, total: int, name: str = name, place: int = place) -> None:
            told(f"baseline {name}", place * total + done, len(fits) * total)

        facts = fit(run, heard)
        found[name] = {"fitted": True, **facts, "seconds": round(time.monotonic() - began, 3)}
    return found


def random_layers(run: HeadState, purpose: str) -> Any:
    """The base's layers up to the cut, every learned weight drawn anew."""
    features = base_layers(run)
    features.trainable = True
    learned = [address for address, layer in leaves(features) if layer.trainable_weights]
    reinitialise(features, learned, child_seed(run.recipe.seed, purpose))
    return features


class RandomFeaturesArm:
    """A linear head on the features of the base's architecture with random weights."""

    def __init__(self, run: HeadState) -> None:
        self._linear = run.linear(RANDOM_FEATURES)
        self._features = run.area.arrays(f"{RANDOM_FEATURES}_features")["features"]
        self._seconds = float(run.found["finetune"]["baselines"][RANDOM_FEATURES]["seconds"])

    @property
    def cost(self) -> Cost:
        """Like the probe's, with its own pass over the base."""
        return Cost(self._seconds, 0, self._linear.weights.size + self._linear.bias.size)

    def logits(self, items: Items) -> Doubles:
        """[n, outputs]."""
        return self._linear.logits(self._features[items])


class ScratchArm:
    """The whole network, trained from random weights on the same items for as many steps as fine-tuning may take."""

    def __init__(self, run: HeadState) -> None:
        import keras

        self._run = run
        self._predictor = Predictor(
            keras.saving.load_model(run.area.directory / SCRATCH_FILE, compile=False, safe_mode=True)
        )

    @property
    def cost(self) -> Cost:
        """One training."""
        found = self._run.found["finetune"]["baselines"][SCRATCH]
        return Cost(float(found["seconds"]), int(found["steps"]), int(found["trainable_parameters"]))

    def logits(self, items: Items) -> Doubles:
        """[n, outputs]."""
        run = self._run
        return self._predictor(training_inputs(run.contents, items, run.base_manifest.input, run.decode))


def _too_much(run: HeadState, seconds: float) -> str | None:
    if not (run.base_directory / KERAS_MODEL).exists():
        return "the base has no Keras model to take the architecture from"
    if len(run.watched) == 0:
        return "there are too few items to hold some back and watch them"
    budget = run.recipe.finetune.auto_seconds
    if seconds > budget:
        return f"it would take about {seconds:.0f} s; finetune.auto_seconds allows {budget:.0f} s"
    return None


def _random_features(run: HeadState, told: Callable[[int, int], None]) -> dict[str, Any]:
    everything = np.arange(len(run.contents))
    inputs = training_inputs(run.contents, everything, run.base_manifest.input, run.decode)
    features = Predictor(random_layers(run, RANDOM_FEATURES))(inputs).astype(np.float32)
    told(1, 2)
    train_items = run.split.train
    C, tried = choose_penalty(run, RANDOM_FEATURES, features[train_items])
    save_linear(run, RANDOM_FEATURES, features[train_items], train_items, C)
    run.area.save_arrays(f"{RANDOM_FEATURES}_features", features=features)
    return {"C": C, "configs_tried": tried}


def _scratch(run: HeadState, told: Callable[[int, int], None]) -> dict[str, Any]:
    import keras

    from training.bases.surgery.reusing import with_output

    recipe, seed = run.recipe, child_seed(run.recipe.seed, SCRATCH)
    model = with_output(random_layers(run, SCRATCH), run.objective.outputs, seed)
    material = material_of(run)
    policy = resolve_policy(recipe.augment.policy, run.base_manifest.input.kind)
    steps, batch = length_of(recipe.finetune, len(material.inputs)), recipe.finetune.batch
    schedule = Schedule(steps=steps, learning_rate=SCRATCH_RATE, batch=batch, patience=PATIENCE)
    data = batches(material.inputs, material.wanted, material.weights, batch, seed, augmenter(policy, seed))
    predictor = Predictor(model)
    loss = run.objective.keras_loss
    history = train(
        model,
        model.trainable_variables,
        data,
        loss,
        schedule,
        material.watch(predictor),
        told,
        state=model.weights,
    )
    partial = run.area.directory / f".{SCRATCH_FILE}.part.keras"
    keras.saving.save_model(model, partial)
    partial.replace(run.area.directory / SCRATCH_FILE)
    return {
        "steps": history.steps,
        "configs_tried": 1,
        "trainable_parameters": sum(int(np.prod(weight.shape)) for weight in model.trainable_variables),
        "history": history.to_dict(),
    }
