"""A few images of each class, small enough to lie in the page."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.report.observed.png import encode

SIDE = 48
A_CLASS, MOST_CLASSES = 3, 24
BUDGET = 250_000
"""Characters of all thumbnails together."""
WHITE = 255.0


def thumbnails(
    items: Mapping[str, Sequence[int]], pixels: Callable[[Sequence[int]], NDArray[np.float32]]
) -> list[dict[str, Any]]:
    """Thumbnails by class, each ``label`` and base64 PNG ``images``; no more when the budget is spent.

    Args:
        items: which items are of each class.
        pixels: gives some items as [n, height, width, channels] on 0..255.
    """
    shown, spent = [], 0
    for label, members in list(items.items())[:MOST_CLASSES]:
        if not len(members):
            continue
        images = [code_of(image) for image in pixels(list(members[:A_CLASS]))]
        spent += sum(map(len, images))
        if spent > BUDGET:
            break
        shown.append({"label": label, "images": images})
    return shown


def code_of(image: NDArray[np.float32]) -> str:
    """One image [height, width, channels] on 0..255 as base64 of a PNG at most ``SIDE`` wide and high."""
    small = _shrunk(np.nan_to_num(image.astype(np.float64), nan=0.0))
    channels = small[:, :, :3] if small.shape[2] >= 3 else small[:, :, :1]
    return base64.b64encode(encode(np.clip(channels, 0, WHITE).round().astype(np.uint8))).decode("ascii")


def _shrunk(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole blocks of pixels averaged; a rest at the edge is left out."""
    every = math.ceil(max(image.shape[:2]) / SIDE)
    if every == 1:
        return image
    height, width = (max(1, size // every) for size in image.shape[:2])
    rows, columns = min(image.shape[0], height * every), min(image.shape[1], width * every)
    trimmed = image[:rows, :columns]
    blocks = trimmed.reshape(height, rows // height, width, columns // width, image.shape[2])
    result: NDArray[np.float64] = blocks.mean(axis=(1, 3))
    return result
