"""The base's layers up to a cut, from the Keras model that lies beside its SavedModel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from training.bases.cuts import cut_tensors
from training.bases.publishing import pooling_of
from training.bases.surgery.cloning import clone
from training.errors import BadArtifact

if TYPE_CHECKING:
    from training.head_state import HeadState

TOLERANCE = 1e-3
"""Of features, as a share of their spread: Keras and the exported graph may order their sums differently."""


def base_layers(run: HeadState) -> Any:
    """A Keras model from the base's input to the features at the cuts, side by side; all its own, nothing is shared.

    Raises:
        BadArtifact: the Keras model gives other features than the SavedModel.
    """
    import keras

    copy, pooling = clone(run.keras_base), pooling_of(run.base_manifest)
    tensors = [next(iter(cut_tensors(copy, [cut], pooling).values())) for cut in run.cuts]
    joined = tensors[0] if len(tensors) == 1 else keras.layers.Concatenate(name="cuts")(tensors)
    features = keras.Model(copy.inputs[0], joined, name=copy.name)
    sample = run.area.arrays("sample")
    expected = run.features(sample["items"])
    found = np.asarray(features(keras.ops.convert_to_tensor(sample["inputs"]), training=False))
    gap = float(np.abs(found - expected).max()) / (float(expected.std()) or 1.0)
    if gap > TOLERANCE:
        raise BadArtifact(
            f"the base's Keras model gives other features at {' and '.join(run.cuts)} than its graph, by {gap:.2g} of "
            "their spread"
        )
    return features
