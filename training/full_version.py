"""The files of a version that is a model of its own, and how well its several forms agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.domain.artifact import KERAS_MODEL
from service.domain.replies import AnswerForm, Reply
from training.candidates.answering import fold, largest_gap, with_answer
from training.candidates.finetuning import TunedCandidate
from training.candidates.layers import base_layers
from training.candidates.network import NetworkCandidate
from training.candidates.starting import stacked
from training.errors import BadArtifact
from training.export.extras import make_room, stored_ratio, write_golden, write_warmup
from training.export.full_model import FullNetwork, export_full, keras_full, on_base

if TYPE_CHECKING:
    from training.fitted_state import FittedState
    from training.objectives import Objective

TOLERANCE = 1e-4
"""On probabilities, or on values in units of their spread; Keras and the graph may order their sums differently."""


def write_full(run: FittedState, objective: Objective, directory: Path, ready: Callable[[], None]) -> dict[str, Any]:
    """Write the SavedModel, the golden pair, the warm-up and, where the base has one, the Keras model.

    Args:
        objective: with the thresholds and intervals that were settled on.
        ready: called once SavedModel and golden pair are whole.

    Returns:
        ``head_and_graph`` and, where there is one, ``head_and_keras``: how far the export's answers on the sample are
        from the candidate's; ``stored_ratio``; ``routes``, none.

    Raises:
        BadArtifact: the Keras model answers otherwise than the candidate.
    """
    import keras

    spec, temperature = run.base_manifest.input, run.found["calibrate"]["temperature"]
    reply = Reply(objective.labels, objective.task, objective.thresholds, objective.half_widths)
    sample = run.area.arrays("sample")
    # In units as they are answered, from the candidate before anything is folded into it.
    logits = objective.in_units(run.candidate.logits(sample["items"]) / temperature).astype(np.float32)
    expected = reply.outputs(logits, AnswerForm.PREDICT)
    network, whole = _network(run, objective, temperature)
    weights = export_full(network, run.found["probe"]["cut"], reply, spec, directory)
    make_room(directory)
    answered = write_golden(directory, sample["inputs"], spec.name)
    ready()
    write_warmup(directory, run.task.head, sample["inputs"], spec.name)
    found = {
        "routes": {},
        "head_and_graph": largest_gap(expected, answered),
        "stored_ratio": stored_ratio(directory, weights),
    }
    if whole is not None:
        output = "values" if objective.loss == "squared" else "probabilities"
        by_keras = np.asarray(whole(keras.ops.convert_to_tensor(sample["inputs"]), training=False))
        gap = largest_gap(expected, {output: by_keras})
        if gap > TOLERANCE:
            raise BadArtifact(f"as a Keras model the candidate answers differently, by {gap:.2g}")
        whole.save(directory / KERAS_MODEL)
        found["head_and_keras"] = gap
    return found


def _network(run: FittedState, objective: Objective, temperature: float) -> tuple[FullNetwork, Any]:
    """What is exported, and the Keras model for the next transfer where the base has layers."""
    import keras

    # Loaded anew: what the candidate itself answers with stays as it was trained.
    if run.found["finetune"]["kept"]:
        model = TunedCandidate(run).model
        features = keras.Model(model.inputs[0], model.get_layer(run.found["finetune"]["cut_layer"]).output)
        fold(model, objective, temperature)
        return keras_full(model, features), with_answer(model, objective)
    head = NetworkCandidate(run).model
    fold(head, objective, temperature)
    exported = on_base(run.base.loaded, run.cuts, head)
    if not (run.base_directory / KERAS_MODEL).exists():
        return exported, None
    return exported, with_answer(stacked(base_layers(run), head), objective)
