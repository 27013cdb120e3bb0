"""``mnv``: MobileNetV2 for 224 x 224 images with random weights, made to behave as a trained one does.

Weights are drawn with a fixed seed; BatchNorm's statistics are those of made images, and the logits are scaled to a
spread of 3.4, so that answers vary from image to image and an engine that computes less exactly is seen to.

``serving_default``: ``image`` float32 [rows, 224, 224, 3] between -1 and 1 -> ``logits`` float32 [rows, 1000];
``features``: the same -> ``features`` float32 [rows, 1280], what is pooled before the last layer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shared.places import made_once

NAME, INPUT, OUTPUT, SHAPE = "mnv", "image", "logits", (224, 224, 3)
SPREAD, SEEN = 3.4, 48


def mobilenet() -> Path:
    """Its directory, ``.../mnv`` with version 1 in it; made when it is missing."""
    return made_once(NAME, "shared.mobilenet")


def inputs(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Made images: blots of colour of several sizes, and grain; values between -1 and 1 with four decimals."""
    draws = np.random.default_rng(seed)
    images = np.zeros((rows, *SHAPE))
    for cells in (2, 7, 28, 224):
        blots = draws.normal(size=(rows, cells, cells, 3))
        images += blots.repeat(224 // cells, axis=1).repeat(224 // cells, axis=2)
    return np.tanh(images / 2).round(4).astype(np.float32)


def export(directory: Path) -> None:
    """Write the SavedModel."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(5)
    model = keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    images = inputs(SEEN)
    model(images, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    last = model.layers[-1]
    last.kernel.assign(last.kernel * (SPREAD / float(np.std(model(images, training=False)))))
    pooled = keras.Model(model.inputs[0], model.layers[-2].output)
    # OpenVINO finds the variables of a plain module, and not those of a Keras model that is saved as it is.
    module = tf.Module()
    module.kept = [variable.value for variable in model.variables]
    batch = tf.TensorSpec([None, *SHAPE], tf.float32, INPUT)

    @tf.function(input_signature=[batch])
    def features(image: Any) -> Any:
        return {"features": pooled(image, training=False)}

    @tf.function(input_signature=[batch])
    def logits(image: Any) -> Any:
        return {OUTPUT: last(features(image)["features"])}

    tf.saved_model.save(module, str(directory), {"serving_default": logits, "features": features})


if __name__ == "__main__":
    export(Path(sys.argv[1]))
