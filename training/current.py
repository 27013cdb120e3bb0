"""The version that answers now, as an arm: by its head on the features at hand, or by its own graph on the items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import HEAD, Manifest, ModelKind
from service.domain.errors import InvalidInput
from service.domain.heads import Head, cut_parts, read_head
from service.domain.learning import LearningTask
from training.base_graph import read_manifest
from training.errors import BadBase
from training.objectives import Objective

if TYPE_CHECKING:
    from training.head_state import HeadState

Doubles = NDArray[np.float64]
BATCH = 64
LEAST_PROBABILITY = 1e-30
ALIKE = frozenset({LearningTask.BINARY, LearningTask.MULTICLASS})


@dataclass(frozen=True, slots=True)
class Current:
    """A published version whose answers can be compared."""

    objective: Objective
    """As it decides: with its own thresholds."""
    head: Head | None
    """Where it stands on the same base; else its graph is asked."""
    cut: str
    directory: Path
    alias: str

    def logits(self, run: HeadState, items: NDArray[np.int64]) -> Doubles:
        """[n, outputs] as the objective understands them."""
        if self.head is not None:
            raw = self.head.logits(run.features_at(cut_parts(self.cut, run.base_manifest.features), items))
            return _as_logits(self.objective, raw.astype(np.float64))
        return self._by_graph(run, items)

    def _by_graph(self, run: HeadState, items: NDArray[np.int64]) -> Doubles:
        import tensorflow as tf

        from training.features import inputs_of

        answer = tf.saved_model.load(str(self.directory)).signatures["serving_default"]
        found = []
        for first in range(0, len(items), BATCH):
            batch = items[first : first + BATCH].tolist()
            inputs = inputs_of(run.contents, batch, run.base_manifest.input, run.decode)
            outputs = answer(**{self.alias: tf.constant(inputs)})
            found.append(self._from_answer({name: tensor.numpy() for name, tensor in outputs.items()}))
        return np.concatenate(found)

    def _from_answer(self, outputs: dict[str, NDArray[Any]]) -> Doubles:
        if self.objective.loss == "squared":
            return _as_logits(self.objective, outputs["values"].astype(np.float64))
        probabilities = np.clip(outputs["probabilities"].astype(np.float64), LEAST_PROBABILITY, 1.0)
        if self.objective.loss == "softmax":
            return np.log(probabilities)
        result: Doubles = np.log(probabilities) - np.log(np.clip(1.0 - probabilities, 1e-12, 1.0))
        return result


def current_version(directory: Path, base: Manifest, objective: Objective) -> tuple[Current | None, str | None]:
    """The version in a directory if it can be compared; else why not.

    It must take the same input and answer the same question. Another base is no obstacle to a complete version.
    """
    try:
        manifest = read_manifest(directory)
        problem = _incomparable(manifest, base, objective)
        if problem:
            return None, f"not compared with the current version: {problem}"
        head = None
        if manifest.kind is ModelKind.HEAD:
            with np.load(directory / HEAD, allow_pickle=False) as file:
                head = read_head(dict(file), manifest.labels, manifest.task)
    except (BadBase, InvalidInput, OSError, KeyError, ValueError) as error:
        # The service may have removed it since the job was made; the candidate is still worth having.
        return None, f"not compared with the current version: {error}"
    same_base = manifest.base is not None and manifest.base.digest == base.digest
    if manifest.thin and not same_base:
        return None, "not compared with the current version: it is thin, and stands on another base"
    if head is not None:
        objective = objective.settled(thresholds=head.thresholds, half_widths=head.half_widths)
    return Current(objective, head if same_base else None, str(manifest.cut), directory, manifest.input.name), None


def _incomparable(manifest: Manifest, base: Manifest, objective: Objective) -> str | None:
    if manifest.labels != objective.labels:
        return "it answers with other classes"
    if manifest.task != objective.task and not ALIKE.issuperset({manifest.task, objective.task}):
        return f"its task is {manifest.task}"
    if (manifest.input.kind, manifest.input.shape) != (base.input.kind, base.input.shape):
        return "it takes another input"
    return None


def _as_logits(objective: Objective, raw: Doubles) -> Doubles:
    """What a head gives before its answer: logits for classes; values in units, which are scaled again."""
    if objective.loss != "squared":
        return raw
    zero, one = objective.in_units(np.zeros(raw.shape[1])), objective.in_units(np.ones(raw.shape[1]))
    result: Doubles = (raw - zero) / (one - zero)
    return result
