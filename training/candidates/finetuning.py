"""The finetune phase: whether the base's layers are trained with the head, and whether the result takes its place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from service.domain.artifact import KERAS_MODEL, ModelKind
from training.candidates.candidate import Cost, Doubles, Items
from training.candidates.layers import base_layers
from training.candidates.starting import probe_logits, start_model
from training.finetune.augment import augmenter, resolve_policy
from training.finetune.inputs import Predictor, training_inputs
from training.finetune.material import Material, perfect_scores
from training.finetune.rule import Circumstances, expected_seconds, is_kept, is_tried
from training.finetune.tuning import RATES, length_of, tune
from training.seeds import child_seed

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.head_state import HeadState

MODEL_FILE = "tuned.keras"


def finetune(run: HeadState, told: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Try it if the rule says so, keep it if it proves better; what was found, decisions and reasons included.

    Args:
        told: called with a sentence, steps done, steps in all.
    """
    began = time.monotonic()
    choice, watched = run.recipe.finetune, run.watched
    seconds = _expected(run)
    judged = choice.enabled != "never" and len(watched) > 0
    wanted, probed = run.wanted[watched], probe_logits(run) if judged else None
    tried = is_tried(
        Circumstances(
            enabled=choice.enabled,
            has_layers=(run.base_directory / KERAS_MODEL).exists(),
            fewest=run.fewest_of_a_kind(run.fitting),
            seconds=seconds,
            budget=choice.auto_seconds,
            probe_scores=np.zeros(0) if probed is None else run.objective.choice_score(probed, wanted),
            perfect_scores=np.zeros(0) if probed is None else perfect_scores(run.objective, wanted),
        )
    )
    found: dict[str, Any] = {
        "tried": tried.yes,
        "kept": False,
        "reason": tried.reason,
        "expected_seconds": round(seconds, 2),
        "validation_items": len(watched),
        "configs_tried": 0,
    }
    if not tried.yes or probed is None:
        return found
    found.update(_tuned(run, probed, material_of(run), told))
    found["seconds"] = round(time.monotonic() - began, 3)
    return found


def material_of(run: HeadState) -> Material:
    """The inputs to fit on and those that are watched."""
    fitting, watched = run.fitting, run.watched
    spec, decode = run.base_manifest.input, run.decode
    return Material(
        objective=run.objective,
        inputs=training_inputs(run.contents, fitting, spec, decode),
        wanted=run.wanted[fitting],
        weights=run.loss_weights(fitting),
        held_inputs=training_inputs(run.contents, watched, spec, decode),
        held_wanted=run.wanted[watched],
    )


def _expected(run: HeadState) -> float:
    """Seconds that fine-tuning would take."""
    choice = run.recipe.finetune
    tries = len(RATES) if choice.learning_rate == "auto" else 1
    share = 1.0 if choice.mode == "full" else choice.unfreeze.fraction or 1.0
    return expected_seconds(length_of(choice, len(run.fitting)), choice.batch, tries, run.seconds_an_item, share)


def _tuned(
    run: HeadState, probed: Doubles, material: Material, told: Callable[[str, int, int], None]
) -> dict[str, Any]:
    """Fine-tune, compare with the probe's answers, and leave the model in the work area when it is kept."""
    import keras

    from training.bases.surgery.reinitialising import reinitialise

    recipe, seed = run.recipe, child_seed(run.recipe.seed, "finetune")
    features = base_layers(run)
    renewed = reinitialise(features, recipe.head.reinit, seed) if recipe.head.reinit else ()
    model, fresh = start_model(run, features, seed)
    predictor = Predictor(model)
    at_start = predictor(material.held_inputs)
    policy = resolve_policy(recipe.augment.policy, run.base_manifest.input.kind)
    tuned = tune(
        features,
        model,
        material,
        recipe.finetune,
        seed,
        lambda done, total, message: told(message, done, total),
        change=augmenter(policy, seed),
        fresh_head=fresh,
        always=run.base_manifest.provenance.get("adapter_trainable", ()),
    )
    logits = predictor(material.held_inputs)
    changed = bool(tuned.history.best_step or renewed)
    kept = is_kept(recipe.finetune.enabled, changed, material.scores(logits), material.scores(probed))
    if kept.yes:
        partial = run.area.directory / f".{MODEL_FILE}"
        keras.saving.save_model(model, partial.with_suffix(".part.keras"))
        partial.with_suffix(".part.keras").replace(run.area.directory / MODEL_FILE)
        run.area.save_arrays("tuned_watched", logits=logits)
    return {
        **tuned.to_dict(),
        "kept": kept.yes,
        "reason": kept.reason,
        "reinitialised": list(renewed),
        "cut_layer": features.outputs[0]._keras_history.operation.name,
        "augment": policy,
        "start_gap": float(np.abs(at_start - probed).max()),
        "score": float(material.scores(logits).mean()),
        "probe_score": float(material.scores(probed).mean()),
        "configs_tried": len(tuned.trials),
    }


class TunedCandidate:
    """A fine-tuned model: its own copy of the base's layers, and the head."""

    def __init__(self, run: HeadState) -> None:
        import keras

        self._run = run
        self.model = keras.saving.load_model(run.area.directory / MODEL_FILE, compile=False, safe_mode=True)
        self._predictor = Predictor(self.model)

    @property
    def kind(self) -> ModelKind:
        """A model of its own."""
        return ModelKind.FULL

    @property
    def cost(self) -> Cost:
        """All learning rates that were tried."""
        found = self._run.found["finetune"]
        steps = sum(trial.get("steps", 0) for trial in found["trials"])
        return Cost(float(found["seconds"]), steps, int(found["trainable_parameters"]))

    def logits(self, items: Items) -> Doubles:
        """[n, outputs]."""
        run = self._run
        return self._predictor(training_inputs(run.contents, items, run.base_manifest.input, run.decode))

    def unseen(self) -> tuple[Doubles, Items]:
        """The validation items; the best state was chosen on them, and nothing was fitted on them."""
        return self._run.area.arrays("tuned_watched")["logits"][None], self._run.watched
