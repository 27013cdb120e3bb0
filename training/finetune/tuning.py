"""Fine-tuning: the upper layers of a base and a head trained together, starting from the head's own best solution.

A random head sends large gradients into weights that are good already; one that has been fitted first does not. How
large both are is measured at the first step and kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.bases.surgery.freezing import EVERYTHING, freeze, is_batch_norm, training_graph
from training.bases.surgery.layers import leaves, parameter_counts
from training.errors import Diverged
from training.finetune.batches import batches
from training.finetune.history import History
from training.finetune.inputs import Predictor
from training.finetune.loop import Schedule, mean_loss, run
from training.finetune.material import Material
from training.finetune.movement import check_moved, displacement, snapshot
from training.finetune.stages import Stage, groups, stages
from training.recipe import FinetuneChoice
from training.seeds import child_seed

RATES = (1e-5, 1e-4, 1e-3)
"""What ``learning_rate: auto`` tries."""
DEFAULT_STEPS = 500
Change = Callable[[Any, int], Any]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What fine-tuning found. The weights are in the model that was given."""

    layers: tuple[str, ...]
    """Addresses of the base's layers that were trained."""
    learning_rate: float
    steps: int
    epochs: float
    trials: tuple[dict[str, Any], ...]
    """Each learning rate with its best score, and when it had it."""
    history: History
    """Of the best trial."""
    gradient_norms: dict[str, float]
    """Into the base's trained weights at the first step: with the fitted head, and with a random one."""
    displacement: dict[str, float]
    unmoved: list[str]
    """Weights that were to be trained and did not change."""
    trainable_parameters: int
    total_parameters: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {**asdict(self), "layers": list(self.layers), "history": self.history.to_dict()}


def length_of(choice: FinetuneChoice, items: int) -> int:
    """How many steps: epochs are converted, a pass counting whole batches."""
    if choice.epochs is None:
        return choice.steps or DEFAULT_STEPS
    return max(1, round(choice.epochs * max(1, items // min(choice.batch, items))))


def tune(
    features: Any,
    model: Any,
    material: Material,
    choice: FinetuneChoice,
    seed: int,
    told: Callable[[int, int, str], None],
    *,
    change: Change | None = None,
    fresh_head: Sequence[NDArray[Any]] | None = None,
    always: Sequence[str] = (),
) -> Tuned:
    """Train in place; what remains is the best state on the validation items of the best learning rate.

    Args:
        features: the base up to the cut, a Keras model.
        model: the same layers with the head on top, from inputs to logits [n, outputs]; the head's weights are where
            training starts.
        told: called with steps done, steps in all trials, and a sentence.
        change: what is done to a batch's inputs, see ``batches``.
        fresh_head: random weights of the head's, in the order of its variables, to measure what they would do.
        always: layers of the base that are trained whatever ``unfreeze`` says, as an adapter's are.

    Raises:
        Diverged: every learning rate led to numbers that are not finite.
        BadRecipe: ``unfreeze`` leaves nothing to train, or names no layer there is.
    """
    unfreeze = EVERYTHING if choice.mode == "full" else choice.unfreeze
    layers = _thawed(features, freeze(features, unfreeze, choice.batch_norm), always)
    below = groups(features, layers)
    base_weights = {id(weight) for weight in features.weights}
    head = [weight for weight in model.trainable_weights if id(weight) not in base_weights]
    plan = stages(head, below, choice.schedule, choice.group_decay)
    whole = plan[-1].variables
    graph = training_graph(model, choice.batch_norm)
    may_move = [*whole, *(weight for weight in _statistics(features) if choice.batch_norm == "train")]
    steps, n = length_of(choice, len(material.inputs)), len(material.inputs)
    rates = RATES if choice.learning_rate == "auto" else (choice.learning_rate,)
    before = snapshot(model)
    start = [weight.numpy() for weight in model.weights]
    norms = _first_gradients(graph, [v for group in below for v in group.variables], head, material, choice, fresh_head)
    predictor = Predictor(model)

    trials: list[dict[str, Any]] = []
    best: tuple[tuple[float, ...], float, History, list[NDArray[Any]]] | None = None
    failure: Diverged | None = None
    for place, rate in enumerate(rates):
        _put(model.weights, start)

        def heard(done: int, total: int, place: int = place, rate: float = rate) -> None:
            told(place * steps + done, len(rates) * steps, f"learning rate {rate:g}, step {done} of {total}")

        try:
            history = _train(graph, plan, material, choice, rate, steps, seed, predictor, heard, change, may_move)
        except Diverged as error:
            failure = error
            trials.append({"learning_rate": rate, "score": None, "failed": str(error)})
            continue
        watched = material.watched(predictor)
        scores = watched if isinstance(watched, tuple) else (watched,)
        trials.append(
            {
                "learning_rate": rate,
                "score": scores[0],
                "loss": -scores[-1],
                "best_step": history.best_step,
                "steps": history.steps,
                "stopped": history.stopped,
            }
        )
        if best is None or scores > best[0]:
            best = scores, rate, history, [weight.numpy() for weight in model.weights]
    if best is None:
        assert failure is not None
        raise failure
    _, rate, history, weights = best
    _put(model.weights, weights)
    after = snapshot(model)
    paths = {id(weight): path for weight, path in zip(model.weights, before, strict=True)}
    unmoved = check_moved(before, after, (paths[id(weight)] for weight in may_move))
    counts = parameter_counts(model)
    return Tuned(
        layers=layers,
        learning_rate=rate,
        steps=steps,
        epochs=round(steps * min(choice.batch, n) / n, 2),
        trials=tuple(trials),
        history=history,
        gradient_norms=norms,
        displacement=displacement(before, after),
        unmoved=unmoved if history.best_step else [],
        trainable_parameters=sum(math.prod(weight.shape) for weight in whole),
        total_parameters=counts.total,
    )


def _train(
    graph: Any,
    plan: Sequence[Stage],
    material: Material,
    choice: FinetuneChoice,
    rate: float,
    steps: int,
    seed: int,
    predictor: Predictor,
    told: Callable[[int, int], None],
    change: Change | None,
    may_move: Sequence[Any],
) -> History:
    """All stages at one learning rate, each from the best state of the one before."""
    data = batches(material.inputs, material.wanted, material.weights, choice.batch, child_seed(seed, "tune"), change)
    whole: History | None = None
    for place, stage in enumerate(plan):
        first, end = (steps * at // len(plan) for at in (place, place + 1))
        if end == first:
            continue
        schedule = Schedule(
            steps=end - first,
            learning_rate=rate,
            optimizer=choice.optimizer,
            momentum=choice.momentum,
            weight_decay=choice.weight_decay,
            warmup=choice.warmup,
            batch=choice.batch,
            patience=choice.patience,
        )
        history = run(
            graph,
            stage.variables,
            data,
            material.objective.keras_loss,
            schedule,
            lambda: material.watched(predictor),
            lambda done, total, first=first: told(first + done, steps),  # type: ignore[misc]
            factors=stage.factors,
            state=may_move,
        )
        whole = history if whole is None else whole.then(history)
    assert whole is not None
    return whole


def _first_gradients(
    graph: Any,
    base: Sequence[Any],
    head: Sequence[Any],
    material: Material,
    choice: FinetuneChoice,
    fresh_head: Sequence[NDArray[Any]] | None,
) -> dict[str, float]:
    """The length of the gradient into the base's weights on the first items, with the head as it is and a random one.

    Inference mode: dropout would make the two differ by chance.
    """
    import tensorflow as tf

    rows = np.arange(min(choice.batch, len(material.inputs)))
    inputs, wanted = tf.constant(material.inputs[rows]), tf.constant(material.wanted[rows])
    weights = None if material.weights is None else tf.constant(material.weights[rows])
    variables = [variable.value for variable in base]

    def norm() -> float:
        with tf.GradientTape() as tape:
            loss = mean_loss(material.objective.keras_loss(graph(inputs, training=False), wanted), weights)
        gradients = [one for one in tape.gradient(loss, variables) if one is not None]
        return float(tf.linalg.global_norm(gradients)) if gradients else 0.0

    found = {"fitted_head": norm()}
    if fresh_head is not None:
        fitted = [weight.numpy() for weight in head]
        _put(head, fresh_head)
        found["random_head"] = norm()
        _put(head, fitted)
    return found


def _thawed(features: Any, chosen: Sequence[str], always: Sequence[str]) -> tuple[str, ...]:
    """The chosen layers and those that are trained always, in the order of the graph; the latter's flags are set."""
    found = []
    for address, layer in leaves(features):
        if address in always:
            layer.trainable = True
        if address in chosen or address in always:
            found.append(address)
    return tuple(found)


def _statistics(features: Any) -> list[Any]:
    """The running means and variances that training changes."""
    return [
        weight
        for _, layer in leaves(features)
        if is_batch_norm(layer) and layer.trainable
        for weight in layer.non_trainable_weights
    ]


def _put(variables: Sequence[Any], values: Sequence[NDArray[Any]]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
