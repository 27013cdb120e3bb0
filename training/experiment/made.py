"""Data made on the spot: noise without anything to learn, and small pictures and texts with something."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.errors import BadRecipe
from training.seeds import generator

MADE = "made:"
PIXEL_NOISE = 40.0


def make(uri: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """The arrays x [n, ...] and y [n] of ``made:noise:ITEMS:WIDTH:CLASSES`` or ``made:images:ITEMS:SIDE:CLASSES``.

    Raises:
        BadRecipe: there is no such data.
    """
    name, _, rest = uri.removeprefix(MADE).partition(":")
    try:
        items, size, classes = (int(part) for part in rest.split(":"))
    except ValueError as error:
        raise BadRecipe(f"{uri!r}: data that is made is {MADE}NAME:ITEMS:SIZE:CLASSES") from error
    if min(items, size) < 1 or classes < 2:
        raise BadRecipe(f"{uri!r}: items and size are at least 1, classes at least 2")
    match name:
        case "noise":
            return noise(items, size, classes)
        case "images":
            return images(items, size, classes)
        case _:
            raise BadRecipe(f"{uri!r}: there is no data {name!r} to make; there are noise and images")


def noise(items: int, width: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Numbers 0..1 [n, width], and labels that have nothing to do with them."""
    draw = generator(0, "noise", items, width, classes)
    return draw.random((items, width), dtype=np.float32), draw.integers(classes, size=items)


def images(items: int, side: int, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Noisy pictures [n, side, side, 3] of stripes; the class is their direction, the colour and place mean nothing."""
    draw = generator(0, "images", items, side, classes)
    y = draw.permutation(np.arange(items) % classes)
    down, across = np.mgrid[:side, :side] / side
    pictures = np.empty((items, side, side, 3), dtype=np.uint8)
    for item, label in enumerate(y):
        angle = np.pi * (label + 0.3 * draw.random()) / classes
        waves = np.sin(2 * np.pi * (4 * (across * np.cos(angle) + down * np.sin(angle)) + draw.random()))
        colour = draw.uniform(30, 100, size=3)
        picture = 128 + waves[:, :, None] * colour + draw.normal(0, PIXEL_NOISE, (side, side, 3))
        pictures[item] = np.clip(picture, 0, 255)
    return pictures, y.astype(np.int64)
