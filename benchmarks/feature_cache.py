"""What is won by computing features once: MobileNetV2 (weights none), 200 images of 96 x 96, a head of 5 classes.

Three ways to the same head: the frozen base in every step of the compiled loop, features once and then the loop on
them, features once and then the head solved to the end. Compiling counts, since every job pays it. Prints a table, and
ends with status 1 unless the loop on features is at least twice as fast for 10 epochs and ten times as fast for 100.
With the base in every step 1 and 10 epochs are run, and 100 are reckoned from them; ``--whole`` runs them too.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

ITEMS, SIDE, CLASSES, BATCH = 200, 96, 5, 32
EPOCHS = (10, 100)
LEAST = {10: 2.0, 100: 10.0}


def base() -> Any:
    """The frozen network, averaged over its area."""
    import keras

    from training.bases.sources.application import build_application

    model = build_application("MobileNetV2", (SIDE, SIDE, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(model.outputs[0])
    frozen = keras.Model(model.inputs[0], pooled)
    # Batch normalisation in training would change the base's statistics.
    frozen.trainable = False
    return frozen


def trained(model: Any, head: Any, x: NDArray[Any], y: NDArray[np.int64], epochs: int) -> float:
    """Seconds to train the head's weights for so many epochs."""
    from training.experiment.network import cross_entropy
    from training.finetune.batches import batches
    from training.finetune.loop import Schedule, run

    steps = epochs * (len(x) // BATCH)
    schedule = Schedule(steps, 1e-2, "adam", batch=BATCH, look_every=steps)
    began = time.perf_counter()
    run(model, head.trainable_variables, batches(x, y, None, BATCH, 0), cross_entropy, schedule)
    return time.perf_counter() - began


def main() -> int:
    """Print the table; 0 when the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--whole", action="store_true", help="run all 100 epochs")
    run_whole = parser.parse_args().whole
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import keras
    import tensorflow as tf

    from service.domain.learning import LearningTask
    from training.experiment.made import images
    from training.objectives.softmax import SoftmaxObjective
    from training.probe.solve import fit

    pixels, y = images(ITEMS, SIDE, CLASSES)
    x, frozen = pixels.astype(np.float32), base()
    width = int(frozen.output.shape[1])
    whole: dict[int, float] = {}
    on_features: dict[int, float] = {}
    for epochs in (1, *EPOCHS):
        if epochs == EPOCHS[-1] and not run_whole:
            whole[epochs] = whole[10] + (epochs - 10) * (whole[10] - whole[1]) / 9
            print(f"base in every step, {epochs:>3} epochs: {whole[epochs]:8.2f} s (reckoned)")
            continue
        head = keras.layers.Dense(CLASSES)
        model = keras.Model(frozen.inputs[0], head(frozen(frozen.inputs[0], training=False)))
        whole[epochs] = trained(model, head, x, y, epochs)
        print(f"base in every step, {epochs:>3} epochs: {whole[epochs]:8.2f} s", flush=True)
    began = time.perf_counter()
    compiled = tf.function(lambda rows: frozen(rows, training=False), autograph=False)
    features = np.concatenate([np.asarray(compiled(x[at : at + BATCH])) for at in range(0, ITEMS, BATCH)])
    once = time.perf_counter() - began
    print(f"features once: {once:.2f} s for {features.shape} float32, {features.nbytes // ITEMS} bytes an image")
    for epochs in EPOCHS:
        inputs = keras.Input((width,))
        head = keras.layers.Dense(CLASSES)
        on_features[epochs] = trained(keras.Model(inputs, head(inputs)), head, features, y, epochs)
        print(f"loop on features, {epochs:>3} epochs: {on_features[epochs]:8.2f} s")
    began = time.perf_counter()
    objective = SoftmaxObjective(LearningTask.MULTICLASS, tuple(str(place) for place in range(CLASSES)))
    fit(objective, features, y, 1.0)
    solved = time.perf_counter() - began
    print(f"head solved to the end: {solved:.2f} s")
    met = True
    for epochs in EPOCHS:
        gains = whole[epochs] / (once + on_features[epochs]), whole[epochs] / (once + solved)
        met = met and gains[0] >= LEAST[epochs]
        print(f"{epochs:>3} epochs: {gains[0]:.1f} times as fast by the loop, {gains[1]:.1f} times solved")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
