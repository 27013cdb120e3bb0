"""The compiled loop that all training by gradient goes through: builders, heads with hidden layers, fine-tuning, arms.

No ``fit``: its cost per epoch is more than the work itself on small data. Many steps are one call of one compiled
function, so that a step of a tiny network costs what its arithmetic costs. The function is made anew by every call of
``run``: what is trainable is decided by the variables given, never by flags that an older function has not heard of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from training.errors import Diverged, OutOfMemory
from training.finetune.batches import Batch
from training.finetune.history import History, Look

OptimizerName = Literal["adam", "adamw", "sgd"]
LARGEST_WARMUP = 0.2
"""Of all steps."""
Score = float | tuple[float, ...]
CHUNK_BYTES = 16 * 2**20
"""Of the inputs that one call of the compiled function is given."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast."""

    steps: int
    learning_rate: float
    optimizer: OptimizerName = "adam"
    momentum: float = 0.0
    """Of ``sgd``."""
    weight_decay: float = 0.0
    """Of matrices and kernels; biases and the scales of normalisation are let alone."""
    warmup: int = 0
    """Steps in which the rate rises to ``learning_rate``; at most a fifth of all are used."""
    batch: int = 32
    """Items a batch, for whoever makes the batches."""
    look_every: int = 25
    """Steps between two looks at loss and validation."""
    patience: int | None = None
    """Looks without a better score, after the warm-up, before it stops; None goes through to the last step."""
    seconds: float | None = None
    """It stops at the first look after so many; None has no such limit. A limit that is reached makes the result
    depend on the machine."""

    @property
    def rising(self) -> int:
        """The steps in which the rate rises."""
        return min(self.warmup, int(LARGEST_WARMUP * self.steps))

    def rates(self, first: int, count: int) -> NDArray[np.float32]:
        """The learning rates of steps ``first`` (counted from 0) and the ``count - 1`` behind it."""
        warmup = self.rising
        done = np.arange(first + 1, first + count + 1, dtype=np.float64)
        rising = np.minimum(1.0, done / (warmup + 1)) if warmup else np.ones(count)
        return (self.learning_rate * rising).astype(np.float32)


def run(
    model: Callable[..., Any],
    trainable: Sequence[Any],
    batches: Iterator[Batch],
    loss: Callable[[Any, Any], Any],
    schedule: Schedule,
    validate: Callable[[], Score] | None = None,
    told: Callable[[int, int], None] = lambda done, total: None,
    *,
    factors: Sequence[float] | None = None,
    state: Sequence[Any] | None = None,
    stepper: Stepper | None = None,
) -> History:
    """Train in place.

    Args:
        model: ``model(inputs, training=True)`` gives logits [n, K]; a Keras model, or any function of one.
        trainable: the Keras variables that are trained, and no others.
        batches: endless; inputs numbers or strings, all batches of the same shapes (see ``batches.batches``).
        loss: of logits [n, K] and what is wanted of them, [n] or [n, K], in Keras operations.
        validate: a score, greater is better, or several of which the later ones decide between equals; with it the best
            state, which may be the first, is what remains.
        told: called with steps done and steps in all, a few times a second or at each look.
        factors: of the learning rate, for each of ``trainable``; every factor has an optimizer of its own, since Adam
            would undo a mere scaling of gradients.
        state: all variables that may change, for the best state: the trained ones by default; with batch
            normalisation in training also its statistics.
        stepper: one that was compiled for the same model, variables, loss, optimizer and rate; experiments train the
            same network hundreds of times, and a new function each time would cost more than the training.

    Raises:
        Diverged: the loss is not finite.
        OutOfMemory: a batch is too large for the device.
    """
    stepper = stepper or Stepper(model, trainable, loss, schedule, factors)
    stepper.reset()
    kept = _Best(list(state if state is not None else trainable))
    began = time.monotonic()
    looks = [Look(0, 0.0, None, kept.offer(validate, 0), 0.0)]
    losses: list[float] = []
    done, stopped = 0, "steps"
    while done < schedule.steps:
        until_look = min(schedule.look_every - done % schedule.look_every, schedule.steps - done)
        taken = stepper.steps(batches, done, until_look)
        losses.append(taken.loss)
        done += taken.count
        if not np.isfinite(taken.loss):
            raise Diverged(
                f"the loss became {taken.loss} by step {done} with {schedule.optimizer} at a learning rate of "
                f"{schedule.learning_rate:g}: a smaller one, or inputs on a smaller scale, may help"
            )
        told(done, schedule.steps)
        if taken.count < until_look:
            continue
        seconds = time.monotonic() - began
        score = kept.offer(validate, done)
        if done <= schedule.rising:
            kept.looks_since = 0
        looks.append(Look(done, round(seconds, 4), float(np.mean(losses)), score, float(taken.rate)))
        losses = []
        if schedule.patience is not None and validate is not None and kept.looks_since >= schedule.patience:
            stopped = "patience"
            break
        if schedule.seconds is not None and seconds > schedule.seconds and done < schedule.steps:
            stopped = "time"
            break
    if validate is not None:
        kept.restore()
    seconds = round(time.monotonic() - began, 4)
    return History(tuple(looks), done, seconds, stopped, kept.step, kept.score)


def make_optimizer(schedule: Schedule, rate: float) -> Any:
    """A Keras optimizer as the schedule says, starting with a rate."""
    import keras

    decay = schedule.weight_decay or None
    match schedule.optimizer:
        case "adam":
            optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
        case "adamw":
            optimizer = keras.optimizers.AdamW(rate, weight_decay=schedule.weight_decay)
        case "sgd":
            optimizer = keras.optimizers.SGD(rate, momentum=schedule.momentum, weight_decay=decay)
    return optimizer


def mean_loss(losses: Any, weights: Any) -> Any:
    """The mean over all entries of losses, each times its weight; weights of mean 1 leave the scale as it is."""
    from keras import ops

    return ops.mean(losses if weights is None else losses * ops.cast(weights, losses.dtype))


@dataclass(frozen=True, slots=True)
class _Taken:
    """So many steps at once, their mean loss, and the last one's rate."""

    count: int
    loss: float
    rate: float


class Stepper:
    """The compiled function, and the optimizers it uses."""

    def __init__(
        self,
        model: Callable[..., Any],
        trainable: Sequence[Any],
        loss: Callable[[Any, Any], Any],
        schedule: Schedule,
        factors: Sequence[float] | None,
    ) -> None:
        self._model, self._loss, self._schedule = model, loss, schedule
        self._variables = list(trainable)
        self._groups: list[tuple[float, list[int], Any]] = []
        each = list(factors) if factors is not None else [1.0] * len(self._variables)
        for factor in dict.fromkeys(each):
            places = [place for place, own in enumerate(each) if own == factor]
            optimizer = make_optimizer(schedule, schedule.learning_rate * factor)
            members = [self._variables[place] for place in places]
            optimizer.exclude_from_weight_decay(var_list=[one for one in members if len(one.shape) < 2])
            optimizer.build(members)
            self._groups.append((factor, places, optimizer))
        self._compiled: Any = None
        self._start = [[np.array(one) for one in optimizer.variables] for _, _, optimizer in self._groups]

    def reset(self) -> None:
        """The optimizers as they were made: no momentum, no count of steps."""
        for (_, _, optimizer), values in zip(self._groups, self._start, strict=True):
            for variable, value in zip(optimizer.variables, values, strict=True):
                variable.assign(value)

    def steps(self, batches: Iterator[Batch], first: int, most: int) -> _Taken:
        """Take steps, as many as fit into one call, at most ``most``."""
        import tensorflow as tf

        batch = next(batches)
        count = max(1, min(most, CHUNK_BYTES // max(1, _nbytes(batch[0]))))
        chunk = [batch, *islice(batches, count - 1)]
        inputs, wanted = (_stacked([one[place] for one in chunk]) for place in (0, 1))
        weights = None if batch[2] is None else _stacked([one[2] for one in chunk])
        if self._compiled is None:
            self._compiled = self._compile(inputs, wanted, weights)
        rates = self._schedule.rates(first, count)
        given = (inputs, wanted) if weights is None else (inputs, wanted, weights)
        try:
            total = self._compiled(tf.constant(rates), *(tf.constant(one) for one in given))
        except tf.errors.ResourceExhaustedError as error:
            raise OutOfMemory(
                f"a step with batches of {len(batch[0])} items does not fit into memory; a smaller batch may"
            ) from error
        return _Taken(count, float(total) / count, float(rates[-1]))

    def _compile(self, *examples: Any) -> Any:
        import tensorflow as tf

        # Numbers of steps and of items are left open: one trace, whatever is left for a last chunk.
        given = [
            tf.TensorSpec([None, None, *one.shape[2:]], tf.constant(one[:1, :1]).dtype)
            for one in examples
            if one is not None
        ]

        def chunk(rates: Any, *arrays: Any) -> Any:
            def one(at: Any, total: Any) -> tuple[Any, Any]:
                return at + 1, total + self._step(rates[at], *(array[at] for array in arrays))

            return tf.while_loop(lambda at, _: at < tf.shape(rates)[0], one, (0, 0.0), parallel_iterations=1)[1]

        return tf.function(chunk, input_signature=[tf.TensorSpec([None], tf.float32), *given], autograph=False)

    def _step(self, rate: Any, inputs: Any, wanted: Any, weights: Any = None) -> Any:
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for variable in self._variables:
                tape.watch(variable.value)
            loss = mean_loss(self._loss(self._model(inputs, training=True), wanted), weights)
        gradients = tape.gradient(loss, [variable.value for variable in self._variables])
        for factor, places, optimizer in self._groups:
            optimizer.learning_rate.assign(rate * factor)
            pairs = [(gradients[place], self._variables[place]) for place in places if gradients[place] is not None]
            optimizer.apply_gradients(pairs)
        return tf.cast(loss, tf.float32)


class _Best:
    """The best state so far; the first of equals."""

    def __init__(self, variables: Sequence[Any]) -> None:
        self._variables = list(variables)
        self._values: list[NDArray[Any]] | None = None
        self._scores: tuple[float, ...] = ()
        self.step: int | None = None
        self.looks_since = 0

    @property
    def score(self) -> float | None:
        """The best score; of several the one that counts most."""
        return self._scores[0] if self._scores else None

    def offer(self, validate: Callable[[], Score] | None, step: int) -> float | None:
        """Look at the state as it is now; its score."""
        if validate is None:
            return None
        found = validate()
        scores = found if isinstance(found, tuple) else (found,)
        self.looks_since += 1
        if not self._scores or scores > self._scores:
            self._scores, self.step, self.looks_since = scores, step, 0
            self._values = [variable.numpy() for variable in self._variables]
        return float(scores[0])

    def restore(self) -> None:
        """Put the best state back."""
        assert self._values is not None
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)


def _stacked(parts: Sequence[Any]) -> NDArray[Any]:
    return np.stack([np.asarray(part) for part in parts])


def _nbytes(inputs: Any) -> int:
    return int(np.asarray(inputs).nbytes)
