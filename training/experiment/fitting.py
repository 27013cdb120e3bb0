"""Training one network through its stages, with everything about it that is worth comparing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.experiment.arms import LOOKS, Stage
from training.experiment.network import Network, Weights
from training.finetune.batches import Batch
from training.finetune.loop import Schedule, run
from training.seeds import child_seed, generator

SHARES = (0.90, 0.95, 0.99)
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Items:
    """Inputs [n, ...] and classes [n]."""

    x: NDArray[Any]
    y: Integers


@dataclass(frozen=True, slots=True)
class Training:
    """What a training was like. A point of the curve: step, seconds, training loss since the last point, score."""

    curve: tuple[tuple[int, float, float | None, float], ...]
    steps: int
    seconds: float
    """Of training alone: neither compiling nor looking."""
    trained: tuple[str, ...]
    """Names of the layers that were trained in any stage."""
    parameters: int
    displacement: Mapping[str, float]
    """How far each layer went: the length of the change as a share of the length before."""

    def reach(self) -> dict[str, dict[str, float]]:
        """The first point with 90, 95 and 99 % of the way from nought to the final score."""
        final = self.curve[-1][3]
        found = {}
        for share in SHARES:
            step, seconds, _, _ = next(point for point in self.curve if point[3] >= share * final)
            found[f"{100 * share:.0f}"] = {"step": step, "seconds": seconds}
        return found


def train(
    network: Network, start: Weights, stages: Sequence[Stage], items: Items, watched: Items, seed: int
) -> Training:
    """Set the weights, go through the stages, and look at the watched items' accuracy on the way.

    Raises:
        Diverged: a loss is not finite.
        FrozenLayerMoved: a layer that was to stay as it is has changed.
    """
    network.put(start, seed)
    curve: list[tuple[int, float, float | None, float]] = [
        (0, 0.0, None, accuracy(network.logits(watched.x), watched.y))
    ]
    done, spent = 0, 0.0
    trained: dict[str, None] = {}
    for place, stage in enumerate(stages):
        schedule = _schedule(stage, len(items.x))
        stepper, variables = network.stepper(stage, schedule)
        looks = _Looks(network, watched, schedule.look_every, done, spent)
        before = network.weights()
        batches = padded_batches(items, schedule.batch, child_seed(seed, "stage", place))
        history = run(network.model, variables, batches, _unused_loss, schedule, None, looks.told, stepper=stepper)
        losses = {look.step: look.loss for look in history.looks}
        curve += [(done + at, seconds, losses.get(at), score) for at, seconds, score in looks.points]
        done, spent = done + schedule.steps, looks.spent
        names = network.trained(stage.train)
        _check_frozen(before, network.weights(), names)
        trained.update(dict.fromkeys(names))
    after = network.weights()
    return Training(
        tuple(curve), done, spent, tuple(trained), network.parameters(tuple(trained)), _displacement(start, after)
    )


class FrozenLayerMoved(Exception):
    """A fault of this program: flags and lists say what is frozen, but only the weights know."""


class _Looks:
    """The watched items' accuracy at every look, and the clock without the time that looking takes."""

    def __init__(self, network: Network, watched: Items, every: int, done: int, spent: float) -> None:
        self._network, self._watched, self._every = network, watched, every
        self.spent = spent
        self.points: list[tuple[int, float, float]] = []
        self._since = time.perf_counter()

    def told(self, done: int, total: int) -> None:
        self.spent += time.perf_counter() - self._since
        if done % self._every == 0 or done == total:
            score = accuracy(self._network.logits(self._watched.x), self._watched.y)
            self.points.append((done, round(self.spent, 4), score))
        self._since = time.perf_counter()


def padded_batches(items: Items, size: int, seed: int) -> Iterator[Batch]:
    """Endless batches of one size, as epochs have them: the last of a pass holds what is left.

    It is filled up with items of weight nought; the others weigh so much more that the mean over the batch is theirs.
    """
    draw = generator(seed, "batches")
    n = len(items.x)
    size = min(size, n)
    while True:
        order = draw.permutation(n)
        for start in range(0, n, size):
            rows = order[start : start + size]
            weights = np.zeros(size, dtype=np.float32)
            weights[: len(rows)] = size / len(rows)
            filled = np.concatenate([rows, np.zeros(size - len(rows), dtype=rows.dtype)])
            yield items.x[filled], items.y[filled], weights


def accuracy(logits: NDArray[Any], y: Integers) -> float:
    """The share of items whose largest logit is their class's."""
    return float((logits.argmax(axis=1) == y).mean())


def _schedule(stage: Stage, items: int) -> Schedule:
    batch = min(stage.batch, items)
    an_epoch = -(-items // batch)
    steps = stage.steps if stage.steps is not None else (stage.epochs or 0) * an_epoch
    return Schedule(
        steps=steps,
        learning_rate=stage.learning_rate,
        optimizer=stage.optimizer,
        momentum=stage.momentum,
        weight_decay=stage.weight_decay,
        batch=batch,
        look_every=an_epoch if stage.epochs is not None else max(1, steps // LOOKS),
    )


def _unused_loss(logits: Any, wanted: Any) -> Any:
    raise AssertionError("the stepper has a loss of its own")


def _check_frozen(before: Weights, after: Weights, trained: Sequence[str]) -> None:
    for name, values in before.items():
        same = all(old.tobytes() == new.tobytes() for old, new in zip(values, after[name], strict=True))
        if name not in trained and not same:
            raise FrozenLayerMoved(f"layer {name} was frozen and has moved")


def _displacement(before: Weights, after: Weights) -> dict[str, float]:
    found = {}
    for name, values in after.items():
        old = np.concatenate([one.ravel() for one in before[name]]).astype(np.float64)
        new = np.concatenate([one.ravel() for one in values]).astype(np.float64)
        found[name] = round(float(np.linalg.norm(new - old)) / max(float(np.linalg.norm(old)), 1e-12), 4)
    return found
