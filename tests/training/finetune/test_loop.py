"""The compiled loop: what it trains, what it leaves alone, when it stops, and that it repeats itself to the bit."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from training.errors import Diverged
from training.finetune.batches import batches, orders
from training.finetune.loop import CHUNK_BYTES, Schedule, run


def points(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(200, 3)).astype(np.float32)
    return inputs, (inputs @ [1.0, -2.0, 0.5] > 0).astype(np.int64)


def network(dropout: float = 0.0, seed: int = 1) -> Any:
    import keras

    entry = keras.Input((3,))
    hidden = keras.layers.Dense(8, "relu", kernel_initializer=keras.initializers.HeUniform(seed), name="hidden")(entry)
    hidden = keras.layers.Dropout(dropout, seed=seed)(hidden)
    answer = keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(seed + 1), name="answer")
    return keras.Model(entry, answer(hidden))


def cross_entropy(logits: Any, wanted: Any) -> Any:
    import keras

    return keras.ops.sparse_categorical_crossentropy(wanted, logits, from_logits=True)


def weights_digest(model: Any) -> str:
    return hashlib.sha256(b"".join(weight.numpy().tobytes() for weight in model.weights)).hexdigest()


def trained(seed: int, dropout: float = 0.3, **schedule: Any) -> Any:
    model = network(dropout)
    inputs, wanted = points()
    settings: dict[str, Any] = {"steps": 60, "learning_rate": 1e-2, "batch": 16, **schedule}
    run(model, model.trainable_variables, batches(inputs, wanted, None, 16, seed), cross_entropy, Schedule(**settings))
    return model


def test_it_learns_and_says_how_it_went() -> None:
    model, (inputs, wanted) = network(), points()
    told: list[tuple[int, int]] = []
    schedule = Schedule(steps=110, learning_rate=3e-2, look_every=25, warmup=10)
    data = batches(inputs, wanted, None, 32, 0)
    history = run(model, model.trainable_variables, data, cross_entropy, schedule, told=lambda *at: told.append(at))
    assert [look.step for look in history.looks] == [0, 25, 50, 75, 100, 110]
    assert history.looks[0].loss is None
    assert history.last_loss < 0.3 < history.looks[1].loss
    assert history.stopped == "steps"
    assert told[-1] == (110, 110)
    assert history.best_step is None, "nothing was validated"


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = trained(3), trained(3), trained(4)
    assert weights_digest(first) == weights_digest(again)
    assert weights_digest(first) != weights_digest(other)


def test_dropout_is_drawn_anew_at_each_step() -> None:
    # One mask baked into the graph would leave some hidden units without any gradient.
    still = network(dropout=0.5)
    before = still.get_layer("hidden").kernel.numpy()
    inputs, wanted = points()
    schedule = Schedule(steps=40, learning_rate=1e-2)
    run(still, still.trainable_variables, batches(inputs, wanted, None, 32, 0), cross_entropy, schedule)
    assert (still.get_layer("hidden").kernel.numpy() != before).any(axis=0).all()


def test_only_the_given_variables_move_whatever_the_flags_say() -> None:
    model, (inputs, wanted) = network(), points()
    hidden, answer = model.get_layer("hidden"), model.get_layer("answer")
    before, answered = [w.numpy() for w in hidden.weights], answer.kernel.numpy()
    assert hidden.trainable
    data = batches(inputs, wanted, None, 32, 0)
    schedule = Schedule(steps=20, learning_rate=1e-1, optimizer="adamw", weight_decay=0.1)
    run(model, answer.trainable_variables, data, cross_entropy, schedule)
    assert all((weight.numpy() == old).all() for weight, old in zip(hidden.weights, before, strict=True))
    assert (answer.kernel.numpy() != answered).all()


def test_the_best_state_is_what_remains_and_patience_ends_it() -> None:
    model, (inputs, wanted) = network(), points()
    scores = iter([0.1, 0.5, 0.9, 0.9, 0.2, 0.3, 1.0])
    states: list[str] = []

    def validate() -> float:
        states.append(weights_digest(model))
        return next(scores)

    schedule = Schedule(steps=500, learning_rate=1e-2, look_every=10, patience=3)
    data = batches(inputs, wanted, None, 32, 0)
    history = run(model, model.trainable_variables, data, cross_entropy, schedule, validate)
    assert history.stopped == "patience"
    assert history.steps == 50
    assert (history.best_step, history.best_score) == (20, 0.9)
    assert weights_digest(model) == states[2], "the first of equals"
    assert len(set(states)) == len(states)


def test_the_second_score_decides_between_equals() -> None:
    model, (inputs, wanted) = network(), points()
    scores = iter([(0.5, -2.0), (0.5, -1.0), (0.5, -3.0), (0.4, 0.0)])
    schedule = Schedule(steps=30, learning_rate=1e-2, look_every=10)
    data = batches(inputs, wanted, None, 32, 0)
    history = run(model, model.trainable_variables, data, cross_entropy, schedule, lambda: next(scores))
    assert history.best_step == 10
    assert history.best_score == 0.5


def test_patience_waits_for_the_end_of_the_warm_up() -> None:
    model, (inputs, wanted) = network(), points()
    schedule = Schedule(steps=500, learning_rate=1e-2, look_every=10, patience=1, warmup=50)
    data = batches(inputs, wanted, None, 32, 0)
    history = run(model, model.trainable_variables, data, cross_entropy, schedule, lambda: 0.5)
    assert history.steps == 60
    assert history.best_step == 0


def test_the_rate_rises_over_a_fifth_of_the_steps_at_most() -> None:
    rates = Schedule(steps=100, learning_rate=1.0, warmup=100).rates(0, 100)
    assert rates[0] == pytest.approx(1 / 21)
    assert (rates[20:] == 1.0).all()
    assert (np.diff(rates[:21]) > 0).all()
    assert (Schedule(steps=100, learning_rate=0.5).rates(0, 3) == 0.5).all()


def test_what_diverges_says_what_to_change() -> None:
    model, (inputs, wanted) = network(), points()
    data = batches(inputs * np.float32(1e30), wanted, None, 32, 0)
    with pytest.raises(Diverged, match="smaller"):
        run(model, model.trainable_variables, data, cross_entropy, Schedule(50, 10.0, "sgd"))


def test_a_factor_below_one_slows_a_group_under_adam_too() -> None:
    inputs, wanted = points()
    ways = []
    for factor in (1.0, 0.01):
        model = network()
        kernel = model.get_layer("hidden").kernel
        before = kernel.numpy()
        factors = [factor if "hidden" in variable.path else 1.0 for variable in model.trainable_variables]
        data = batches(inputs, wanted, None, 32, 0)
        run(model, model.trainable_variables, data, cross_entropy, Schedule(5, 1e-3), factors=factors)
        ways.append(np.abs(kernel.numpy() - before).mean())
    assert ways[1] == pytest.approx(ways[0] / 100, rel=0.1)


def test_weights_of_items_and_of_labels_count() -> None:
    model, (inputs, wanted) = network(), points()
    weights = (wanted == 0).astype(np.float32) * 2
    data = batches(inputs, wanted, weights, 32, 0)
    run(model, model.trainable_variables, data, cross_entropy, Schedule(80, 3e-2))
    answered = np.asarray(model(inputs)).argmax(axis=1)
    assert (answered == 0).all(), "the other class counts nothing"


def test_strings_and_large_chunks_go_through() -> None:
    import keras

    vocabulary = ["good", "bad", "film"]
    entry = keras.Input((), dtype="string")
    counts = keras.layers.TextVectorization(vocabulary=vocabulary, output_mode="count")(entry)
    answer = keras.layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(0))(counts)
    model = keras.Model(entry, answer)
    texts = np.array([b"good film", b"bad film"] * 20, dtype=object)
    wanted = np.array([1, 0] * 20)
    data = batches(texts, wanted, None, 8, 0)
    history = run(model, model.trainable_variables, data, cross_entropy, Schedule(60, 5e-2, look_every=30))
    assert history.last_loss < 0.3
    wide = np.zeros((8, CHUNK_BYTES // 8), dtype=np.float32)
    squeeze = keras.Sequential([keras.Input(wide.shape[1:]), keras.layers.Dense(2, kernel_initializer="zeros")])
    data = batches(wide, np.zeros(8, dtype=np.int64), None, 8, 0)
    assert run(squeeze, squeeze.trainable_variables, data, cross_entropy, Schedule(3, 1e-3)).steps == 3


def test_orders_are_whole_passes_in_new_orders() -> None:
    drawn = orders(10, 4, 0)
    first, second, third, fourth = (next(drawn) for _ in range(4))
    assert len({*first, *second}) == 8
    assert len({*third, *fourth}) == 8
    assert first.tolist() != third.tolist()
    assert [next(orders(3, 10, 0)).size for _ in range(2)] == [3, 3]
