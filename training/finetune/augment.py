"""Varied images for fine-tuning: moved, turned, scaled, and with another contrast, drawn anew for each batch.

Nothing is mirrored. Whether an image and its mirror image mean the same is a property of the task (of cats they do, of
digits they do not) that no data says, while small movements are harmless everywhere. Only images are varied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.domain.artifact import InputKind
from training.errors import BadRecipe
from training.seeds import generator

Policy = Literal["auto", "none", "light", "strong"]


@dataclass(frozen=True, slots=True)
class Strength:
    """The most of each change, drawn uniformly up to it in both directions."""

    shift: float
    """Of height and width."""
    scale: float
    turn: float
    """Radians."""
    contrast: float
    brightness: float
    """Of the image's own spread."""


STRENGTHS = {
    "light": Strength(shift=0.08, scale=0.05, turn=0.05, contrast=0.1, brightness=0.1),
    "strong": Strength(shift=0.15, scale=0.15, turn=0.25, contrast=0.3, brightness=0.3),
}


def resolve_policy(policy: Policy, kind: InputKind) -> str:
    """What ``auto`` becomes: ``light`` for images, ``none`` for all else.

    Raises:
        BadRecipe: something that is not an image was to be varied.
    """
    if kind is not InputKind.IMAGE:
        if policy in STRENGTHS:
            raise BadRecipe(f"augment.policy {policy!r} varies images, and this base takes a {kind}; say none")
        return "none"
    return "light" if policy == "auto" else policy


def augmenter(policy: str, seed: int) -> Callable[[Any, int], Any] | None:
    """From a batch's images [n, height, width, channels] and its number to varied images; None for ``none``."""
    strength = STRENGTHS.get(policy)
    if strength is None:
        return None
    return lambda images, number: varied(images, strength, generator(seed, "augment", number))


def varied(images: NDArray[np.float32], strength: Strength, draw: np.random.Generator) -> NDArray[np.float32]:
    """Each image changed by itself; the same generator gives the same images."""
    from keras import ops

    n, height, width = images.shape[:3]

    def drawn(most: float) -> NDArray[np.float64]:
        return most * draw.uniform(-1.0, 1.0, size=(n,))

    turn, scale = drawn(strength.turn), 1.0 + drawn(strength.scale)
    down, right = drawn(strength.shift) * height, drawn(strength.shift) * width
    cosine, sine = np.cos(turn) / scale, np.sin(turn) / scale
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    # Where in the source each pixel comes from: a turn about the middle, then the shift.
    from_x = middle_x - cosine * middle_x + sine * middle_y + right
    from_y = middle_y - sine * middle_x - cosine * middle_y + down
    zeros = np.zeros(n)
    transforms = np.stack([cosine, -sine, from_x, sine, cosine, from_y, zeros, zeros], axis=1).astype(np.float32)
    moved = ops.image.affine_transform(images, transforms, interpolation="bilinear", fill_mode="nearest")
    means = ops.mean(moved, axis=(1, 2, 3), keepdims=True)
    spreads = ops.std(moved, axis=(1, 2, 3), keepdims=True)
    contrast = (1.0 + drawn(strength.contrast)).astype(np.float32)[:, None, None, None]
    brightness = drawn(strength.brightness).astype(np.float32)[:, None, None, None]
    result: NDArray[np.float32] = ops.convert_to_numpy(means + (moved - means) * contrast + spreads * brightness)
    return result
