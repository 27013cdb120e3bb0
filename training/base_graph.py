"""A published base as the trainer uses it: its manifest, and its SavedModel run for features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import MANIFEST, Manifest, ModelKind
from service.domain.errors import InvalidInput
from training.errors import BadBase

Floats = NDArray[np.float32]


def read_manifest(directory: Path) -> Manifest:
    """What the version in a directory says of itself.

    Raises:
        BadBase: it says nothing, or nothing readable.
    """
    try:
        return Manifest.from_json((directory / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadBase(f"{directory} has no readable manifest: {error.strerror}") from error
    except InvalidInput as error:
        raise BadBase(f"{directory}: {error}") from error


def read_base_manifest(directory: Path) -> Manifest:
    """The manifest of a base. Raises: BadBase, also when it is not one."""
    manifest = read_manifest(directory)
    if manifest.kind is not ModelKind.BASE:
        raise BadBase(f"{directory} is a {manifest.kind}, and heads grow on bases")
    return manifest


class BaseGraph:
    """A base's SavedModel, loaded. Loading imports TensorFlow."""

    def __init__(self, directory: Path) -> None:
        """Raises: BadBase: it cannot be loaded."""
        import tensorflow as tf

        try:
            self.loaded: Any = tf.saved_model.load(str(directory))
            self._features = self.loaded.signatures["features"]
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            raise BadBase(f"the base in {directory} cannot be loaded: {error}") from error

    def features(self, inputs: Floats) -> dict[str, Floats]:
        """[n, *shape] to [n, width] at each cut."""
        import tensorflow as tf

        return {name: tensor.numpy() for name, tensor in self._features(inputs=tf.constant(inputs)).items()}

    def pixels(self, encoded: Sequence[bytes]) -> Floats:
        """Image files to the base's input, by the function that serves them.

        Raises:
            ValueError: TensorFlow cannot decode one of them.
        """
        import tensorflow as tf

        if not hasattr(self.loaded, "pixels"):
            raise BadBase("this base takes no encoded images")
        try:
            pixels: Floats = self.loaded.pixels(image_bytes=tf.constant(list(encoded))).numpy()
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(error.message) from error
        return pixels
